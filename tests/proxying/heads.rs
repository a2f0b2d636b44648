//! The line and the headers of a request, and of its answer.

use super::support::*;

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

/// `http://host?query` has no path, and neither has an HTTP/2 `:path` that begins with its query. A request line has
/// one.
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
