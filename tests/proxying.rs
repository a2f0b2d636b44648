//! What any reverse proxy owes both sides: the right upstream, the same bytes, and an end to every wait.

mod support;

use std::time::{Duration, Instant};

use support::wire::chunk;
use support::*;

const MIB: usize = 1 << 20;

/// Bytes that repeat at no power of two, so that a lost or doubled buffer shows.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|i| u8::try_from(i % 251).expect("less than 251")).collect()
}

/// A server that refuses connections: its port is bound, so that nobody else gets it, and nobody listens.
fn refusing() -> (socket2::Socket, String) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    socket.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().expect("an address").into()).expect("a free port");
    let port = socket.local_addr().expect("bound").as_socket().expect("IP").port();
    (socket, format!("http://127.0.0.1:{port}"))
}

// ---- routes

#[test]
fn the_longest_prefix_of_whole_segments_wins() {
    let (api, deep) = (Backend::start(), Backend::start());
    let routes = [
        "path = \"/api/v2\"\nupstream = \"deep\"",
        "path = \"/\"\nupstream = \"app\"",
        "path = \"/api\"\nupstream = \"api\"",
    ];
    let site = Site::build().another("api", &api, "").another("deep", &deep, "").routes(&routes).start();
    let cases = [
        ("/", &site.backend),
        ("/other", &site.backend),
        ("/apis", &site.backend),
        ("/API", &site.backend),
        ("/api", &api),
        ("/api?x=/api/v2", &api),
        ("/api/", &api),
        ("/api/v1", &api),
        ("/api/v22", &api),
        ("/api/v2", &deep),
        ("/api/v2?y", &deep),
        ("/api/v2/things/1", &deep),
    ];
    for (target, backend) in cases {
        let pending = site.browser().send(get(target));
        let exchange = backend.next();
        assert_eq!(exchange.target(), target);
        exchange.reply(ok());
        assert_eq!(pending.answer().status(), 200);
    }
}

#[test]
fn an_exact_host_wins_over_a_wildcard_and_a_wildcard_over_none() {
    let (exact, wild) = (Backend::start(), Backend::start());
    let routes = [
        "path = \"/\"\nupstream = \"app\"",
        "host = \"*.example.com\"\npath = \"/\"\nupstream = \"wild\"",
        "host = \"www.example.com\"\npath = \"/\"\nupstream = \"exact\"",
    ];
    let site = Site::build().another("exact", &exact, "").another("wild", &wild, "").routes(&routes).start();
    let cases = [
        ("www.example.com", &exact),
        ("WWW.Example.COM", &exact),
        ("www.example.com:8443", &exact),
        ("api.example.com", &wild),
        ("api.example.com:443", &wild),
        ("a.b.example.com", &wild),
        ("example.com", &site.backend),
        ("notexample.com", &site.backend),
        ("www.example.com.evil.org", &site.backend),
        ("127.0.0.1:8443", &site.backend),
        ("[::1]:8443", &site.backend),
    ];
    for (host, backend) in cases {
        let pending = site.browser_of(host).send(get("/"));
        let exchange = backend.next();
        assert_eq!(exchange.header("Host"), Some(host), "passed on as it came");
        exchange.reply(ok());
        assert_eq!(pending.answer().status(), 200);
    }
}

#[test]
fn what_no_route_serves_is_404() {
    let routes = ["host = \"www.example.com\"\npath = \"/app\"\nupstream = \"app\""];
    let site = Site::build().routes(&routes).start();
    for (host, target) in [("www.example.com", "/"), ("www.example.com", "/apple"), ("other.org", "/app")] {
        let answer = site.browser_of(host).send(get(target)).answer();
        assert_eq!((answer.status(), answer.sid()), (404, None), "{host}{target}");
        assert!(answer.text().contains("Not Found"), "{}", answer.text());
    }
    site.backend.saw_nothing();
}

/// Java servers cut what follows a semicolon off a segment before they look at the path.
#[test]
fn a_path_parameter_hides_no_route() {
    let (rest, admin) = (Backend::start(), Backend::start());
    let routes = ["path = \"/\"\nupstream = \"rest\"", "path = \"/admin\"\nupstream = \"admin\""];
    let site = Site::build().another("rest", &rest, "").another("admin", &admin, "").routes(&routes).start();
    for (target, backend) in [
        ("/admin;a=b/x", &admin),
        ("/;/admin/x", &admin),
        ("/admin;/x", &admin),
        ("/admin%3bx/y", &admin),
        ("/administrator;/admin", &rest),
        ("/x;/admin", &rest),
    ] {
        let pending = site.browser().send(get(target));
        let exchange = backend.next();
        assert_eq!(exchange.target(), target, "it goes upstream as it came");
        exchange.reply(ok());
        assert_eq!(pending.answer().status(), 200);
    }
}

#[test]
fn servers_are_asked_in_turn() {
    let (one, two) = (Backend::start(), Backend::start());
    let site = Site::build().servers(&[one.server(), two.server()]).listen("workers = 1").start();
    let browser = site.browser();
    // Both answers are held, so that no connection of either is idle when the next server is chosen.
    for _ in 0..3 {
        let requests = [browser.send(get("/a")), browser.send(get("/b"))];
        one.next().reply(ok());
        two.next().reply(ok());
        for pending in requests {
            assert_eq!(pending.answer().status(), 200);
        }
    }
}

#[test]
fn a_server_that_refuses_is_passed_over() {
    let (_closed, closed) = refusing();
    let one = Backend::start();
    let site = Site::build().servers(&[&closed, one.server()]).listen("workers = 1").start();
    for _ in 0..4 {
        let pending = site.browser().send(post("/"));
        one.next().reply(ok());
        assert_eq!(pending.answer().status(), 200);
    }
}

#[test]
fn a_unix_socket_is_an_upstream() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let site = Site::build().start_with(Backend::unix(&dir.path().join("app.sock")));
    let browser = site.login("alice");
    let seen = site.look(&browser);
    assert_eq!((seen.user(), seen.header("Host")), (Some("alice"), Some("localhost")));
    assert_eq!(seen.header("X-Forwarded-For"), Some("127.0.0.1"));
}

// ---- the request's line and head

#[test]
fn method_path_and_query_pass_byte_for_byte() {
    let site = Site::new();
    let browser = site.browser();
    let targets = [
        "/",
        "/?",
        "/a%2Fb/%7Euser/%e4%bd%a0",
        "/~user;v=1/,(x)'!*$&+=:@",
        "//double//slashes/",
        "/a?b=c&&d=%20+e;f[]=1&g=/../h",
        "/...",
        "/.well-known/x",
        "/a/..b/c..",
        "/%ff%7f",
        "/a?b?c",
    ];
    for target in targets {
        let (seen, _) = site.visit(&browser, get(target), ok());
        assert_eq!(seen.head.start, format!("GET {target} HTTP/1.1"));
    }
    for method in ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PURGE", "M-SEARCH", "get"] {
        let (seen, _) = site.visit(&browser, request(method, "/m").body(""), ok());
        assert_eq!(seen.head.start, format!("{method} /m HTTP/1.1"));
    }
}

#[test]
fn a_path_with_dot_segments_is_400() {
    let site = Site::new();
    let paths = [
        "/..",
        "/.",
        "/a/../b",
        "/a/./b",
        "/a/..",
        "/a/.",
        "/../etc/passwd",
        "/a/%2e%2e/b",
        "/a/%2E./b",
        "/a/.%2e/b",
        "/%2e/",
        "/a/..?x=1",
    ];
    for path in paths {
        let answer = site.browser().send(get(path)).answer();
        assert_eq!(answer.status(), 400, "{path}");
    }
    let client = site.http2();
    for path in ["/a/../b", "/a/%2e%2e/b"] {
        assert_eq!(client.send("GET", path, &[]).answer().status, 400, "{path}");
    }
    site.backend.saw_nothing();
}

#[test]
fn a_request_without_one_good_host_is_400() {
    let site = Site::new();
    let heads = [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost:\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: user@a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
    ];
    for head in heads {
        assert_eq!(site.browser().send_raw(head.as_bytes()).answer().status(), 400, "{head:?}");
    }
    site.backend.saw_nothing();
}

#[test]
fn an_absolute_target_names_the_host() {
    let site = Site::new();
    let pending = site.browser().send_raw(b"GET https://www.example.com/a?b HTTP/1.1\r\nHost: www.example.com\r\n\r\n");
    let exchange = site.backend.next();
    assert_eq!(exchange.head.start, "GET /a?b HTTP/1.1", "origin form upstream");
    assert_eq!(exchange.header("Host"), Some("www.example.com"));
    exchange.reply(ok());
    assert_eq!(pending.answer().status(), 200);
}

/// `http://host?query` has no path, and neither has an HTTP/2 `:path` that begins with its query. A request line has one.
#[test]
fn a_target_without_a_path_asks_for_the_root() {
    let site = Site::new();
    let pending = site.browser().send_raw(b"GET http://localhost?a=b HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let exchange = site.backend.next();
    assert_eq!(exchange.head.start, "GET /?a=b HTTP/1.1");
    exchange.reply(ok());
    assert_eq!(pending.answer().status(), 200);
    let client = site.http2();
    let pending = client.send("GET", "?a=b", &[]);
    let exchange = site.backend.next();
    assert_eq!(exchange.head.start, "GET /?a=b HTTP/1.1");
    exchange.reply(ok());
    assert_eq!(pending.answer().status, 200);
}

#[test]
fn connect_opens_no_tunnel() {
    let site = Site::new();
    let answer = site.browser().send_raw(b"CONNECT localhost:22 HTTP/1.1\r\nHost: localhost:22\r\n\r\n").next_answer();
    assert!((400..500).contains(&answer.status()), "{}", answer.text_head());
    site.backend.saw_nothing();
}

/// The upstream's answer to it would show the client what the upstream is told (RFC 9110 section 9.3.8).
#[test]
fn trace_reaches_no_upstream() {
    let site = Site::new();
    let browser = site.login("alice");
    assert_eq!(browser.send(request("TRACE", "/")).answer().status(), 405);
    assert_eq!(site.http2().send("TRACE", "/", &[]).answer().status, 405);
    site.backend.saw_nothing();
}

#[test]
fn ordinary_headers_pass_in_both_directions() {
    let site = Site::new();
    let mut request =
        b"GET / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: a (b; c)\r\nAccept: */*\r\nX-Twice: 1\r\nx-twice: 2\r\n"
            .to_vec();
    request.extend(b"Authorization: Basic YTpi\r\nX-Empty:\r\nX-Latin: caf\xe9\r\nX_Under: score\r\n\r\n");
    let pending = site.browser().send_raw(&request);
    let exchange = site.backend.next();
    assert_eq!(exchange.header("User-Agent"), Some("a (b; c)"));
    assert_eq!(exchange.headers_all("X-Twice"), ["1", "2"]);
    assert_eq!(exchange.header("Authorization"), Some("Basic YTpi"));
    assert_eq!(exchange.header("X-Empty"), Some(""));
    assert_eq!(exchange.header("X_Under"), Some("score"));
    assert!(exchange.raw().windows(5).any(|window| window == b"caf\xe9\r"), "{}", exchange.text());
    exchange.respond_raw(
        b"HTTP/1.1 200 Fine\r\nContent-Length: 0\r\nServer: theirs\r\nX-Twice: 1\r\nX-Twice: 2\r\nX-Latin: caf\xe9\r\nETag: \"a\"\r\n\r\n",
    );
    let answer = pending.answer();
    assert_eq!((answer.header("Server"), answer.header("ETag")), (Some("theirs"), Some("\"a\"")));
    assert_eq!(answer.headers_all("X-Twice"), ["1", "2"]);
    assert!(answer.head.raw.windows(5).any(|window| window == b"caf\xe9\r"), "{}", answer.text_head());
}

#[test]
fn hop_by_hop_headers_end_here_in_both_directions() {
    let site = Site::new();
    let hop = get("/")
        .with("Connection", "keep-alive, X-Hop")
        .with("Connection", "x-other-hop")
        .with("Keep-Alive", "timeout=5")
        .with("Proxy-Connection", "keep-alive")
        .with("TE", "gzip")
        .with("Upgrade", "websocket")
        .with("X-Hop", "1")
        .with("X-Other-Hop", "2")
        .with("X-End", "3");
    let reply = ok()
        .with("Connection", "X-Back-Hop")
        .with("Connection", "keep-alive, x-other-back-hop")
        .with("Keep-Alive", "timeout=5")
        .with("Proxy-Connection", "keep-alive")
        .with("X-Back-Hop", "1")
        .with("X-Other-Back-Hop", "2")
        .with("X-Back-End", "3");
    let (seen, answer) = site.visit(&site.browser(), hop, reply);
    for name in ["Keep-Alive", "Proxy-Connection", "Upgrade", "X-Hop", "X-Other-Hop"] {
        assert_eq!(seen.header(name), None, "{name}");
    }
    assert!(seen.header("TE").is_none_or(|te| te == "trailers"));
    assert_eq!(seen.header("X-End"), Some("3"));
    for name in ["Keep-Alive", "Proxy-Connection", "X-Back-Hop", "X-Other-Back-Hop"] {
        assert_eq!(answer.header(name), None, "{name}");
    }
    assert_eq!(answer.header("X-Back-End"), Some("3"));
    for connection in answer.headers_all("Connection") {
        assert!(!connection.to_ascii_lowercase().contains("hop"), "{connection}");
    }
}

#[test]
fn the_upstream_learns_where_the_request_came_from() {
    let site = Site::new();
    for (browser, scheme) in [(site.browser_of("www.example.com:8443"), "https"), (site.plain(), "http")] {
        let host = if scheme == "https" { "www.example.com:8443" } else { "localhost" };
        let seen = site.look(&browser);
        assert_eq!(seen.header("X-Forwarded-For"), Some("127.0.0.1"));
        assert_eq!(seen.header("X-Forwarded-Proto"), Some(scheme));
        assert_eq!(seen.header("X-Forwarded-Host"), Some(host));
        let via = seen.header("Via").expect("Via, RFC 9110 section 7.6.3");
        assert!(via.starts_with("1.1 "), "{via}");
    }
}

#[test]
fn a_client_cannot_say_where_it_came_from() {
    let site = Site::new();
    let request = get("/")
        .with("X-Forwarded-For", "6.6.6.6")
        .with("x-forwarded-for", "7.7.7.7")
        .with("X-Forwarded-Proto", "gopher")
        .with("X-Forwarded-Host", "evil.org")
        .with("X_Forwarded_For", "8.8.8.8")
        .with("X-Forwarded_Proto", "gopher")
        .with("Forwarded", "for=6.6.6.6;proto=gopher");
    let (seen, _) = site.visit(&site.browser(), request, ok());
    for (sent, what) in [("6.6.6.6", "X-Forwarded-For or Forwarded"), ("8.8.8.8", "an alias"), ("gopher", "a scheme")] {
        assert!(!String::from_utf8_lossy(&seen.head.raw).contains(sent), "{what}: {:?}", seen.head.fields);
    }
    assert_eq!(seen.header("X-Forwarded-For"), Some("127.0.0.1"));
    assert_eq!(seen.header("X-Forwarded-Proto"), Some("https"));
    assert_eq!(seen.header("X-Forwarded-Host"), Some("localhost"));
}

#[test]
fn via_names_every_proxy_on_the_way() {
    let site = Site::new();
    let (seen, _) = site.visit(&site.browser(), get("/").with("Via", "1.0 fred, 1.1 p.example.net"), ok());
    let via = seen.head.fields.all("Via").join(", ");
    assert!(via.starts_with("1.0 fred, 1.1 p.example.net, 1.1 "), "{via}");
}

// ---- bodies

#[test]
fn ten_mebibytes_pass_intact_both_ways() {
    let site = Site::new();
    let body = pattern(10 * MIB);
    for browser in [site.browser(), site.plain()] {
        let sent = body.clone();
        // Neither side can send all of it before the other reads.
        let mut pending = browser.send(request("PUT", "/big").with("Content-Length", &sent.len().to_string()));
        let mut exchange = site.backend.next();
        let reading = std::thread::spawn(move || {
            let got = exchange.body().clone();
            exchange.reply(ok().body(&got.bytes));
            got
        });
        pending.write(&sent);
        let answered = pending.next_answer();
        let got = reading.join().expect("the backend's half");
        assert!(got.complete && got.bytes == sent, "the upload should be intact");
        assert_eq!(answered.status(), 200);
        assert!(answered.complete && answered.body == body, "the download should be intact");
    }
}

#[test]
fn a_request_body_arrives_before_it_is_complete() {
    let site = Site::new();
    let mut pending = site.browser().send(request("POST", "/up").with("Transfer-Encoding", "chunked"));
    pending.write(&chunk(b"first"));
    let mut exchange = site.backend.next();
    exchange.until(b"first");
    pending.write(&chunk(b"last"));
    pending.write(b"0\r\n\r\n");
    exchange.until(b"last");
    exchange.until(b"0\r\n\r\n");
    exchange.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    exchange.keep();
    assert_eq!(pending.answer().status(), 200);
}

#[test]
fn a_get_keeps_its_body() {
    let site = Site::new();
    let mut pending = site.browser().send(get("/_search").with("Transfer-Encoding", "chunked"));
    pending.write(&chunk(b"query"));
    pending.write(b"0\r\n\r\n");
    let mut exchange = site.backend.next();
    assert_eq!(exchange.body().bytes, b"query");
    exchange.reply(ok());
    assert_eq!(pending.answer().status(), 200);
    let pending = site.browser().send(get("/_search").body("query"));
    let mut exchange = site.backend.next();
    assert_eq!(exchange.header("Content-Length"), Some("5"));
    assert_eq!(exchange.body().bytes, b"query");
    exchange.reply(ok());
    assert_eq!(pending.answer().status(), 200);
    let client = site.http2();
    let pending = client.send_with("GET", "/_search", &[], "query", None);
    let mut exchange = site.backend.next();
    assert_eq!(exchange.body().bytes, b"query");
    exchange.reply(ok());
    assert_eq!(pending.answer().status, 200);
}

/// RFC 9112 section 6.3: with both, the transfer coding alone tells where a message ends.
#[test]
fn a_length_beside_a_transfer_coding_is_void() {
    let site = Site::new();
    let pending = site.browser().send(get("/"));
    let mut exchange = site.backend.next();
    exchange.write(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n");
    exchange.write(&chunk(b"hello"));
    exchange.write(b"0\r\n\r\n");
    exchange.keep();
    let answer = pending.answer();
    assert_eq!((answer.text().as_str(), answer.complete), ("hello", true), "{}", answer.text_head());
    assert_ne!(answer.header("Content-Length"), Some("3"));
}

#[test]
fn a_transfer_coding_other_than_chunked_is_passed_on_in_neither_direction() {
    let site = Site::new();
    for coding in ["gzip, chunked", "identity, chunked"] {
        let mut pending = site.browser().send(request("POST", "/").with("Transfer-Encoding", coding));
        pending.write(&chunk(b"zzz"));
        pending.write(b"0\r\n\r\n");
        assert_eq!(pending.head().status(), 501, "{coding}: RFC 9112 section 6.1");
        site.backend.saw_nothing();

        let pending = site.browser().send(post("/"));
        let head = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: {coding}\r\n\r\n3\r\nzzz\r\n0\r\n\r\n");
        site.backend.next().respond_and_close(head.as_bytes());
        assert_eq!(pending.answer().status(), 502, "{coding}");
    }
}

#[test]
fn an_answers_body_arrives_before_it_is_complete() {
    let site = Site::new();
    for framing in ["Transfer-Encoding: chunked", "Content-Length: 9"] {
        let chunked = framing.starts_with("Transfer");
        let part = |bytes: &[u8]| if chunked { chunk(bytes) } else { bytes.to_vec() };
        let mut pending = site.browser().send(get("/down"));
        let mut exchange = site.backend.next();
        exchange.write(format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n").as_bytes());
        assert_eq!(pending.head().status(), 200, "the head goes out before the body");
        exchange.write(&part(b"first"));
        pending.until(b"first");
        exchange.write(&part(b"last"));
        if chunked {
            exchange.write(b"0\r\n\r\n");
        }
        pending.until(b"last");
        exchange.keep();
    }
}

#[test]
fn a_client_that_does_not_read_slows_the_upstream_down() {
    let site = Site::new();
    let total = 256 * MIB;
    let mut pending = site.plain().send(get("/flood"));
    let mut exchange = site.backend.next();
    exchange.write(format!("HTTP/1.1 200 OK\r\nContent-Length: {total}\r\n\r\n").as_bytes());
    assert_eq!(pending.head().status(), 200);
    let taken = exchange.pour(total);
    assert!(taken < 64 * MIB, "the gateway took {} MiB that nobody read", taken / MIB);
}

#[test]
fn an_upstream_that_does_not_read_slows_the_client_down() {
    let site = Site::new();
    let total = 256 * MIB;
    let mut pending = site.plain().send(request("PUT", "/flood").with("Content-Length", &total.to_string()));
    let _held = site.backend.next();
    let taken = pending.pour(total);
    assert!(taken < 64 * MIB, "the gateway took {} MiB that nobody read", taken / MIB);
}

#[test]
fn head_and_bodiless_answers_have_no_body_and_keep_their_headers() {
    let site = Site::new();
    let browser = site.browser();
    let (seen, answer) = site.visit(&browser, request("HEAD", "/"), ok().with("ETag", "\"a\""));
    assert_eq!(seen.head.start, "HEAD / HTTP/1.1");
    assert_eq!((answer.status(), answer.header("Content-Length")), (200, Some("18")), "{}", answer.text_head());
    let (_, answer) = site.visit(&browser, get("/"), status("204 No Content").with("X-A", "1"));
    assert_eq!((answer.status(), answer.header("X-A"), answer.header("Content-Length")), (204, Some("1"), None));
    let (_, answer) = site.visit(&browser, get("/"), status("304 Not Modified").with("ETag", "\"a\""));
    assert_eq!((answer.status(), answer.header("ETag")), (304, Some("\"a\"")));
}

#[test]
fn one_connection_serves_many_requests() {
    let site = Site::new();
    let browser = site.browser();
    let mut line = browser.connect();
    let replies =
        [ok(), status("204 No Content"), status("404 Not Found").body("no"), status("304 Not Modified"), ok()];
    for (i, reply) in replies.into_iter().enumerate() {
        let method = if i == 4 { "HEAD" } else { "GET" };
        line.send(&request(method, &format!("/{i}")));
        let exchange = site.backend.next();
        assert_eq!(exchange.target(), format!("/{i}"));
        exchange.reply(reply);
        assert!(line.next_answer().complete);
    }
    // An error of ours does not end it either.
    line.send(&get("/last"));
    site.backend.next().reply(ok().session("Patch", "["));
    assert_eq!(line.next_answer().status(), 502);
    line.send(&get("/after"));
    site.backend.next().reply(ok());
    assert_eq!(line.next_answer().status(), 200);
}

#[test]
fn an_answer_that_ends_with_its_connection_is_whole() {
    let site = Site::new();
    for version in ["1.1", "1.0"] {
        let pending = site.browser().send(get("/"));
        site.backend.next().respond_and_close(format!("HTTP/{version} 200 OK\r\n\r\nuntil the end").as_bytes());
        let answer = pending.answer();
        assert_eq!((answer.status(), answer.text().as_str(), answer.complete), (200, "until the end", true));
    }
}

// ---- HTTP/2

#[test]
fn http2_requests_are_http1_upstream() {
    let site = Site::new();
    let client = site.http2();
    let body = "x".repeat(MIB);
    let pending = client.send_with("POST", "/a%2Fb?c=d", &[("x-twice", "1"), ("x-twice", "2")], &body, None);
    let mut exchange = site.backend.next();
    assert_eq!(exchange.head.start, "POST /a%2Fb?c=d HTTP/1.1");
    assert_eq!(exchange.header("Host"), Some("localhost"), "from :authority");
    assert_eq!(exchange.headers_all("X-Twice"), ["1", "2"]);
    assert_eq!(exchange.header("X-Forwarded-Proto"), Some("https"));
    assert_eq!(exchange.header("X-Forwarded-Host"), Some("localhost"));
    assert!(exchange.header("Via").is_some_and(|via| via.starts_with('2')), "the version that was received");
    assert!(!exchange.text().contains("\r\n:"), "no pseudo-header is passed on");
    assert_eq!(exchange.body().bytes, body.as_bytes());
    exchange.reply(ok().with("Connection", "close").with("Keep-Alive", "timeout=1").body(&body));
    let answer = pending.answer();
    assert_eq!((answer.status, answer.body.len()), (200, MIB));
    assert!(answer.headers.get("connection").is_none() && answer.headers.get("keep-alive").is_none());
}

/// Clients that know a body's length in advance may still end an empty one in a frame of its own.
#[test]
fn an_empty_http2_body_may_end_after_its_head() {
    let site = Site::new();
    let client = site.http2();
    let pending = client.send_with("POST", "/", &[("content-length", "0")], "", Some(&[]));
    let mut exchange = site.backend.next();
    assert_eq!(exchange.header("Content-Length"), Some("0"));
    assert!(exchange.body().complete);
    exchange.reply(ok());
    assert_eq!(pending.answer().status, 200);
}

#[test]
fn http2_requests_share_a_connection_without_waiting_for_each_other() {
    let site = Site::new();
    let client = site.http2();
    let slow = client.send("GET", "/slow", &[]);
    let held = site.backend.next();
    let fast = client.send("GET", "/fast", &[]);
    site.backend.next().reply(ok());
    assert_eq!(fast.answer().status, 200);
    held.reply(ok());
    assert_eq!(slow.answer().status, 200);
}

#[test]
fn trailers_pass_over_http2() {
    let site = Site::new();
    let client = site.http2();
    let pending = client.send("GET", "/", &[("te", "trailers")]);
    site.backend.next().respond_raw(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Checksum\r\n\r\n2\r\nok\r\n0\r\nX-Checksum: 7\r\n\r\n",
    );
    let answer = pending.answer();
    assert_eq!(
        (&answer.body[..], answer.trailers.get("x-checksum").map(http::HeaderValue::as_bytes)),
        (&b"ok"[..], Some(&b"7"[..]))
    );
}

// ---- when one side fails

#[test]
fn a_client_that_goes_away_cancels_its_request() {
    let site = Site::new();
    for browser in [site.browser(), site.plain()] {
        let pending = browser.send(get("/slow"));
        let mut exchange = site.backend.next();
        drop(pending);
        assert!(exchange.is_given_up(), "before the head");

        let mut pending = browser.send(get("/stream"));
        let mut exchange = site.backend.next();
        exchange.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n");
        pending.until(b"first");
        drop(pending);
        assert!(exchange.is_given_up(), "in the middle of the answer's body");

        let pending = browser.send(request("PUT", "/up").with("Content-Length", "100"));
        let mut exchange = site.backend.next();
        drop(pending);
        assert!(exchange.is_given_up(), "in the middle of the request's body");
    }
    assert_eq!(site.visit(&site.browser(), get("/"), ok()).1.status(), 200);
}

#[test]
fn a_reset_http2_stream_cancels_its_request_alone() {
    let site = Site::new();
    let client = site.http2();
    let (lost, kept) = (client.send("GET", "/lost", &[]), client.send("GET", "/kept", &[]));
    let (a, b) = (site.backend.next(), site.backend.next());
    let (mut first, second) = if a.target() == "/lost" { (a, b) } else { (b, a) };
    lost.cancel();
    assert!(first.is_given_up());
    second.reply(ok());
    assert_eq!(kept.answer().status, 200);
}

#[test]
fn an_upstream_that_refuses_is_502() {
    let (_closed, server) = refusing();
    let port = server.rsplit(':').next().expect("a port").to_owned();
    let site = Site::build().servers(&[&server]).start();
    let answer = site.browser().send(get("/")).answer();
    assert_eq!((answer.status(), answer.sid()), (502, None));
    assert!(answer.text().contains("Bad Gateway"));
    for secret in [port.as_str(), "refused", "app", "os error"] {
        assert!(!answer.text().contains(secret), "the cause is for the log: {}", answer.text());
    }
}

#[test]
fn an_upstream_that_is_silent_is_504() {
    let site = Site::build().upstream("response_timeout = \"300ms\"").start();
    let browser = site.guest();
    let pending = browser.send(get("/"));
    let mut held = site.backend.next();
    let answer = pending.answer();
    assert_eq!((answer.status(), answer.sid()), (504, None));
    assert!(answer.text().contains("Gateway Timeout"));
    assert!(held.is_given_up(), "nobody waits for that answer any more");
    assert_eq!(site.visit(&browser, get("/"), ok()).1.status(), 200);
}

#[test]
fn the_response_timeout_is_counted_once() {
    let timeout = Duration::from_secs(1);
    let site = Site::build().upstream("response_timeout = \"1s\"").start();
    for request in [get("/"), post("/").body("short")] {
        let began = Instant::now();
        let pending = site.browser().send(request);
        let held = site.backend.next();
        assert_eq!(pending.answer().status(), 504);
        assert!((timeout..timeout * 9 / 5).contains(&began.elapsed()), "{:?}", began.elapsed());
        drop(held);
    }
}

#[test]
fn an_upstream_that_closes_without_an_answer_is_502() {
    let site = Site::new();
    let pending = site.browser().send(post("/"));
    drop(site.backend.next());
    let answer = pending.answer();
    assert_eq!((answer.status(), answer.sid()), (502, None));
}

#[test]
fn an_upstream_that_speaks_something_else_is_502() {
    let site = Site::new();
    let garbage: [&[u8]; 7] = [
        b"hello\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        b"HTTP/1.1 200 OK\r\nno colon here\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"\x16\x03\x01\x00\x00\r\n\r\n",
    ];
    for bytes in garbage {
        let pending = site.browser().send(post("/"));
        site.backend.next().respond_and_close(bytes);
        let answer = pending.answer();
        assert_eq!((answer.status(), answer.sid()), (502, None), "{}", String::from_utf8_lossy(bytes));
    }
}

#[test]
fn an_answer_cut_short_upstream_is_cut_short_for_the_client() {
    let site = Site::new();
    for head in [
        "Content-Length: 100\r\n\r\nhello",
        "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "Transfer-Encoding: chunked\r\n\r\nff\r\nhello",
    ] {
        let pending = site.browser().send(get("/"));
        site.backend.next().respond_and_close(format!("HTTP/1.1 200 OK\r\n{head}").as_bytes());
        let answer = pending.answer();
        assert_eq!((answer.status(), answer.complete), (200, false), "{head:?}");

        let client = site.http2();
        let pending = client.send("GET", "/", &[]);
        site.backend.next().respond_and_close(format!("HTTP/1.1 200 OK\r\n{head}").as_bytes());
        assert!(pending.outcome().is_err(), "{head:?} over HTTP/2: a reset, not an end");
    }
}

#[test]
fn an_answer_that_stalls_is_ended() {
    let site = Site::build().upstream("body_timeout = \"300ms\"").start();
    let pending = site.browser().send(get("/"));
    let mut exchange = site.backend.next();
    exchange.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello");
    assert!(!pending.answer().complete);
    assert!(exchange.is_given_up());
}

#[test]
fn a_request_that_stalls_is_ended() {
    let site = Site::build().upstream("body_timeout = \"300ms\"").start();
    let mut pending = site.browser().send(request("PUT", "/").with("Content-Length", "100"));
    pending.write(b"hello");
    let mut exchange = site.backend.next();
    assert!(exchange.is_given_up());
    assert_eq!(pending.next_answer().status(), 408);
    assert!(pending.is_closed());
}

#[test]
fn a_client_may_take_longer_than_the_response_timeout_to_send_its_body() {
    let site = Site::build().upstream("response_timeout = \"400ms\"\nbody_timeout = \"5s\"").start();
    let mut pending = site.browser().send(request("PUT", "/").with("Transfer-Encoding", "chunked"));
    let mut exchange = site.backend.next();
    for _ in 0..3 {
        pending.write(&chunk(b"part"));
        exchange.until(b"part\r\n");
        assert!(exchange.is_held_for(Duration::from_millis(200)), "600 ms in all");
    }
    pending.write(b"0\r\n\r\n");
    exchange.until(b"0\r\n\r\n");
    exchange.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    exchange.keep();
    assert_eq!(pending.answer().status(), 200);
}

#[test]
fn a_client_that_pauses_in_its_body_is_waited_for_as_bodies_are() {
    let site = Site::build().upstream("response_timeout = \"200ms\"\nbody_timeout = \"10s\"").start();
    let mut pending = site.browser().send(request("PUT", "/").with("Transfer-Encoding", "chunked"));
    pending.write(&chunk(b"part"));
    let mut exchange = site.backend.next();
    exchange.until(b"part\r\n");
    assert!(exchange.is_held_for(Duration::from_secs(1)), "no upstream is late that has not been asked yet");
    pending.write(b"0\r\n\r\n");
    exchange.until(b"0\r\n\r\n");
    exchange.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    exchange.keep();
    assert_eq!(pending.answer().status(), 200);
}

#[test]
fn an_answer_may_wait_for_the_rest_of_its_request() {
    let site = Site::build().upstream("body_timeout = \"400ms\"").start();
    let mut pending = site.browser().send(request("PUT", "/").with("Transfer-Encoding", "chunked"));
    let mut exchange = site.backend.next();
    exchange.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n");
    assert_eq!(pending.head().status(), 200);
    for _ in 0..8 {
        pending.write(&chunk(b"part"));
        exchange.until(b"part\r\n");
        assert!(exchange.is_held_for(Duration::from_millis(200)), "1600 ms in all");
    }
    pending.write(b"0\r\n\r\n");
    exchange.until(b"0\r\n\r\n");
    exchange.write(b"done");
    pending.until(b"done");
}

#[test]
fn interim_answers_without_end_are_no_answer() {
    let site = Site::build().upstream("response_timeout = \"300ms\"").start();
    let pending = site.browser().send(get("/"));
    let mut exchange = site.backend.next();
    let flood = std::thread::spawn(move || {
        let lines = b"HTTP/1.1 102 Processing\r\n\r\n".repeat(8 * 1024);
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(5) && exchange.send(&lines) {}
        began.elapsed()
    });
    assert_eq!(pending.answer().status(), 504);
    assert!(flood.join().expect("the flood ends") < Duration::from_secs(4));
}

// ---- upstream connections

#[test]
fn upstream_connections_are_used_again() {
    let site = Site::build().listen("workers = 1").start();
    let browser = site.browser();
    for _ in 0..10 {
        site.look(&browser);
    }
    assert!(site.backend.connections() <= 2, "{} connections for ten requests in a row", site.backend.connections());
}

#[test]
fn nothing_of_a_request_or_its_answer_is_in_the_next_answer_of_the_connection() {
    let site = Site::build().listen("workers = 1").start();
    let extra: Vec<_> = (0..40).map(|number| (format!("X-{number}"), "said before".to_owned())).collect();
    // Once more than there is room kept for.
    for lines in [1, 40, 1] {
        let request = extra[..lines].iter().fold(get("/"), |request, (name, value)| request.with(name, value));
        let pending = site.browser().send(request);
        let exchange = site.backend.next();
        exchange.reply(extra[..lines].iter().fold(ok(), |reply, (name, value)| reply.with(&format!("A{name}"), value)));
        assert_eq!(pending.answer().text_head().matches("said before").count(), lines);
        assert!(!site.visit(&site.browser(), get("/"), ok()).1.text_head().contains("said before"));
    }
    assert!(site.backend.connections() <= 2, "they are used again");
}

#[test]
fn a_connection_is_not_shared_before_its_answer_is_complete() {
    let site = Site::build().listen("workers = 1").start();
    let mut first = site.browser().send(get("/one"));
    let mut one = site.backend.next();
    one.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
    first.until(b"hello");
    let second = site.browser().send(get("/two"));
    let two = site.backend.next();
    assert_ne!(one.connection(), two.connection());
    two.reply(ok());
    assert_eq!(second.answer().status(), 200);
    one.write(b"world");
    first.until(b"world");
}

#[test]
fn unfinished_uploads_do_not_take_the_places_of_idle_connections() {
    let site = Site::build().listen("workers = 1").upstream("max_idle = 2").start();
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut pending = site.browser().send(request("POST", "/up").with("Content-Length", "1000"));
        pending.write(b"x");
        let mut exchange = site.backend.next();
        exchange.write(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno");
        assert_eq!(pending.head().status(), 401);
        pending.until(b"no");
        held.push((pending, exchange));
    }
    let (before, browser) = (site.backend.connections(), site.browser());
    for _ in 0..10 {
        site.look(&browser);
    }
    let made = site.backend.connections() - before;
    assert!(made <= 2, "{made} connections for ten requests in a row");
}

#[test]
fn an_idle_connection_that_the_upstream_closed_is_not_used() {
    let site = Site::build().listen("workers = 1").start();
    let browser = site.browser();
    for _ in 0..5 {
        let pending = browser.send(get("/"));
        site.backend.next().respond_and_go(ok());
        assert_eq!(pending.answer().status(), 200);
        let (_, answer) = site.visit(&browser, post("/"), ok());
        assert_eq!(answer.status(), 200, "not even a POST notices");
    }
}

#[test]
fn an_idle_connection_is_closed_after_its_time() {
    let site = Site::build().upstream("keepalive = \"300ms\"").start();
    let pending = site.browser().send(get("/"));
    assert!(site.backend.next().closes_after(ok()));
    assert_eq!(pending.answer().status(), 200);
}

#[test]
fn a_connection_that_any_line_closes_is_not_kept() {
    let site = Site::new();
    for reply in [
        ok().with("Connection", "close").with("Connection", "keep-alive"),
        ok().with("Connection", "keep-alive").with("Connection", "close"),
    ] {
        let pending = site.browser().send(get("/"));
        assert!(site.backend.next().closes_after(reply));
        assert_eq!(pending.answer().status(), 200);
    }
}

/// What was announced may still come, and would be taken for the answer to the next request.
#[test]
fn a_connection_is_not_kept_after_a_204_that_announces_a_body() {
    let site = Site::new();
    for framing in ["Content-Length: 5", "Transfer-Encoding: chunked"] {
        let pending = site.browser().send(get("/"));
        let mut exchange = site.backend.next();
        exchange.write(format!("HTTP/1.1 204 No Content\r\n{framing}\r\n\r\n").as_bytes());
        assert!(exchange.is_given_up(), "{framing}");
        assert_eq!(pending.answer().status(), 204);
    }
}

#[test]
fn no_connection_is_kept_idle_where_none_may_be() {
    let site = Site::build().upstream("max_idle = 0").start();
    for _ in 0..3 {
        let pending = site.browser().send(get("/"));
        assert!(site.backend.next().closes_after(ok()));
        assert_eq!(pending.answer().status(), 200);
    }
}

#[test]
fn a_get_on_a_connection_that_dies_under_it_is_sent_once_more() {
    let site = Site::build().listen("workers = 1").start();
    let browser = site.browser();
    site.look(&browser);
    let pending = browser.send(get("/again"));
    let first = site.backend.next();
    assert_eq!(first.connection(), 0, "a used connection");
    drop(first);
    let second = site.backend.next();
    assert_eq!(second.target(), "/again");
    second.reply(ok());
    assert_eq!(pending.answer().status(), 200);
}

#[test]
fn a_get_is_not_sent_a_third_time() {
    let site = Site::build().listen("workers = 1").start();
    let browser = site.browser();
    site.look(&browser);
    let pending = browser.send(get("/again"));
    drop(site.backend.next());
    drop(site.backend.next());
    assert_eq!(pending.answer().status(), 502);
    site.backend.saw_nothing();
}

#[test]
fn a_post_is_never_sent_twice() {
    let site = Site::build().listen("workers = 1").start();
    let browser = site.browser();
    site.look(&browser);
    let pending = browser.send(request("POST", "/pay").body("10"));
    drop(site.backend.next());
    assert_eq!(pending.answer().status(), 502);
    site.backend.saw_nothing();
}

#[test]
fn a_get_with_half_an_answer_is_not_sent_again() {
    let site = Site::build().listen("workers = 1").start();
    let browser = site.browser();
    site.look(&browser);
    let pending = browser.send(get("/again"));
    site.backend.next().respond_and_close(b"HTTP/1.1 200 O");
    assert_eq!(pending.answer().status(), 502);
    site.backend.saw_nothing();
}

// ---- the end

#[test]
fn a_stop_lets_requests_in_flight_end() {
    let mut site = Site::new();
    let pending = site.browser().send(get("/slow"));
    let held = site.backend.next();
    let stopping = site.stop();
    held.reply(ok());
    let answer = pending.answer();
    assert_eq!((answer.status(), answer.complete), (200, true));
    stopping.join().expect("it stops");
}

#[test]
fn a_stop_waits_for_nobody_longer_than_the_drain_timeout() {
    let mut site = Site::build().listen("drain_timeout = \"300ms\"").start();
    let mut pending = site.browser().send(get("/never"));
    let _held = site.backend.next();
    let stopping = site.stop();
    assert!(pending.is_closed());
    stopping.join().expect("it stops");
}

#[test]
fn only_options_asks_about_the_server_as_a_whole() {
    let site = Site::new();
    assert_eq!(site.browser().send(get("*")).answer().status(), 400);
    site.backend.saw_nothing();
    let pending = site.browser().send(request("OPTIONS", "*"));
    let exchange = site.backend.next();
    assert_eq!((exchange.method(), exchange.target()), ("OPTIONS", "*"));
    exchange.reply(ok());
    assert_eq!(pending.answer().status(), 200);
}
