//! Nobody but the gateway speaks for a session: neither a client to the upstream, nor an upstream to the client.

mod support;

use support::*;

/// Every character that a header name may hold beside letters and digits (RFC 9110 section 5.6.2).
const ODD: &str = "!#$%&'*+-.^_`|~";

/// `X-Session-User` with every pair of odd characters for its hyphens, and spelled in several cases.
fn spellings() -> Vec<String> {
    let mut names = Vec::new();
    for a in ODD.chars() {
        for b in ODD.chars() {
            names.push(format!("X{a}Session{b}User"));
        }
    }
    for name in
        ["x-session-user", "X-SESSION-USER", "x-SeSsIoN-uSeR", "X_SESSION_USER", "x.session_user", "X-Session~user"]
    {
        names.push(name.to_owned());
    }
    for rest in ["Id", "New", "Data", "Data-Omitted", "Created", "Expires", "Stale", "Anything", "", "-", "User-"] {
        names.push(format!("X-Session-{rest}"));
        names.push(format!("X_Session_{rest}"));
    }
    names
}

/// The session headers of a request by alice, in order, and nothing else of that kind.
fn assert_only_alices(exchange: &Exchange) {
    let mut names = exchange.session_names();
    names.sort_by_key(|name| name.to_ascii_lowercase());
    let ours = ["X-Session-Created", "X-Session-Data", "X-Session-Expires", "X-Session-Id", "X-Session-User"];
    assert!(
        names.iter().map(|name| name.to_ascii_lowercase()).eq(ours.map(str::to_ascii_lowercase)),
        "{}",
        exchange.text()
    );
    assert_eq!(exchange.session("User"), Some("alice"));
    assert!(!exchange.text().to_ascii_lowercase().contains("mallory"), "{}", exchange.text());
}

/// The session headers of a request by nobody.
fn assert_nobodys(exchange: &Exchange) {
    let names: Vec<_> = exchange.session_names().iter().map(|name| name.to_ascii_lowercase()).collect();
    assert!(names.iter().all(|name| name == "x-session-id" || name == "x-session-new"), "{}", exchange.text());
    assert_eq!(exchange.headers_all("X-Session-Id").len(), 1);
    assert!(!exchange.text().to_ascii_lowercase().contains("mallory"), "{}", exchange.text());
}

#[test]
fn client_cannot_forge_identity_headers_in_any_spelling() {
    let site = Site::new();
    let (alice, nobody) = (site.login("alice"), site.guest());
    let spellings = spellings();
    assert!(spellings.len() > 200);
    for names in spellings.chunks(20) {
        for (browser, check) in [(&alice, assert_only_alices as fn(&Exchange)), (&nobody, assert_nobodys)] {
            let forged = names.iter().fold(get("/"), |request, name| request.with(name, "mallory"));
            let pending = browser.send(forged);
            let exchange = site.backend.next();
            check(&exchange);
            exchange.reply(ok());
            assert_eq!(pending.answer().status(), 200);
        }
    }
}

#[test]
fn client_cannot_forge_identity_headers_in_any_spelling_over_http2() {
    let site = Site::new();
    let alice = site.login("alice");
    let cookie = format!("{COOKIE}={}", alice.sid().expect("logged in"));
    let client = site.http2();
    let spellings: Vec<_> = spellings().iter().map(|name| name.to_ascii_lowercase()).collect();
    for names in spellings.chunks(20) {
        let forged = names.iter().map(|name| (name.as_str(), "mallory"));
        let mut fields: Vec<_> = forged.collect();
        fields.push(("cookie", &cookie));
        let pending = client.send("GET", "/", &fields);
        let exchange = site.backend.next();
        assert_only_alices(&exchange);
        exchange.reply(ok());
        assert_eq!(pending.answer().status, 200);

        let pending = client.send("GET", "/", &fields[..names.len()]);
        let exchange = site.backend.next();
        assert_nobodys(&exchange);
        exchange.reply(ok());
        assert_eq!(pending.answer().status, 200);
    }
}

#[test]
fn duplicate_and_empty_forgeries_are_removed() {
    let site = Site::new();
    let alice = site.login("alice");
    let values: [&[(&str, &str)]; 5] = [
        &[("X-Session-User", "mallory"), ("X-Session-User", "mallory")],
        &[("X-Session-User", "")],
        &[("X-Session-User", "alice"), ("x-session-user", ""), ("X_Session_User", "mallory")],
        &[("X-Session-Id", ""), ("X-Session-Id", ""), ("X-Session-Data", "{\"admin\":true}")],
        &[("X-Session-New", "true"), ("X-Session-Data-Omitted", "1"), ("X-Session-Stale", "true")],
    ];
    for forged in values {
        let request = forged.iter().fold(get("/"), |request, (name, value)| request.with(name, value));
        let pending = alice.send(request);
        let exchange = site.backend.next();
        assert_only_alices(&exchange);
        assert_eq!(exchange.session("Data"), Some("{}"));
        exchange.reply(ok());
        pending.answer();

        let client = site.http2();
        let lower: Vec<_> = forged.iter().map(|(name, value)| (name.to_ascii_lowercase(), *value)).collect();
        let cookie = format!("{COOKIE}={}", alice.sid().expect("logged in"));
        let mut fields: Vec<_> = lower.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        fields.push(("cookie", &cookie));
        let pending = client.send("GET", "/", &fields);
        let exchange = site.backend.next();
        assert_only_alices(&exchange);
        exchange.reply(ok());
        pending.answer();
    }
}

#[test]
fn names_that_only_resemble_the_prefix_pass() {
    let site = Site::new();
    let browser = site.guest();
    let innocent = [
        ("X-Session", "1"),
        ("X-Sessions-User", "2"),
        ("Session-User", "3"),
        ("X-Sessionuser", "4"),
        ("XX-Session-User", "5"),
    ];
    let request = innocent.iter().fold(get("/"), |request, (name, value)| request.with(name, value));
    let (seen, _) = site.visit(&browser, request, ok());
    for (name, value) in innocent {
        assert_eq!(seen.header(name), Some(value));
    }
}

#[test]
fn client_cannot_forge_identity_in_a_trailer() {
    let site = Site::new();
    let alice = site.login("alice");
    for name in ["X-Session-User", "x_session_user", "X.Session~User", "X-Session-Anything"] {
        let mut pending = alice.send(
            request("POST", "/").with("Transfer-Encoding", "chunked").with("TE", "trailers").with("Trailer", name),
        );
        pending.write(b"5\r\nhello\r\n0\r\n");
        pending.write(format!("{name}: mallory\r\nX-Checksum: 1\r\n\r\n").as_bytes());
        let mut exchange = site.backend.next();
        assert_only_alices(&exchange);
        assert_eq!(exchange.body().bytes, b"hello");
        assert!(exchange.body().complete);
        let trailers = exchange.trailers();
        assert_eq!(trailers.aliases_of("X-Session-"), Vec::<&str>::new(), "{trailers:?}");
        exchange.reply(ok());
        assert_eq!(pending.answer().status(), 200);
    }
}

#[test]
fn client_cannot_forge_identity_in_a_trailer_over_http2() {
    let site = Site::new();
    let client = site.http2();
    for name in ["x-session-user", "x_session_user", "x.session~user", "x-session-anything"] {
        let trailers = [(name, "mallory"), ("x-checksum", "1")];
        let pending = client.send_with("POST", "/", &[("te", "trailers")], "hello", Some(&trailers));
        let mut exchange = site.backend.next();
        assert_nobodys(&exchange);
        assert_eq!(exchange.body().bytes, b"hello");
        let trailers = exchange.trailers();
        assert_eq!(trailers.aliases_of("X-Session-"), Vec::<&str>::new(), "{trailers:?}");
        exchange.reply(ok());
        assert_eq!(pending.answer().status, 200);
    }
}

/// A recipient may merge trailers into the header (RFC 9110 section 6.5.1).
#[test]
fn client_cannot_bring_a_cookie_an_address_or_a_host_in_a_trailer() {
    let site = Site::new();
    let named = ["Cookie", "X-Forwarded-For", "x_forwarded_proto", "Forwarded", "Host", "Authorization"];
    let trailers = named.map(|name| format!("{name}: mallory\r\n")).concat();
    let mut pending = site.browser().send(
        request("POST", "/")
            .with("Transfer-Encoding", "chunked")
            .with("TE", "trailers")
            .with("Trailer", &format!("{}, X-Checksum", named.join(", "))),
    );
    pending.write(format!("1\r\na\r\n0\r\n{trailers}X-Checksum: 1\r\n\r\n").as_bytes());
    let mut exchange = site.backend.next();
    let passed = exchange.trailers();
    assert!(passed.0.iter().all(|(name, _)| name.eq_ignore_ascii_case("X-Checksum")), "{passed:?}");
    exchange.reply(ok());
    assert_eq!(pending.answer().status(), 200);
}

#[test]
fn client_cannot_name_identity_headers_as_hop_by_hop() {
    let site = Site::new();
    let alice = site.login("alice");
    let lines: [&[&str]; 5] = [
        &["X-Session-User"],
        &["keep-alive", "X-Session-User, X-Session-Id"],
        &["X-Session-User", "keep-alive"],
        &["keep-alive,x-session-user,X_SESSION_USER", "X-Session-Data"],
        &["X-Session-Created, X-Session-Expires, X-Session-User, X-Session-Id, X-Session-Data"],
    ];
    for connection in lines {
        let request = get("/").with("X-Session-User", "mallory");
        let request = connection.iter().fold(request, |request, line| request.with("Connection", line));
        let pending = alice.send(request);
        let exchange = site.backend.next();
        assert_only_alices(&exchange);
        assert_eq!(exchange.session("Data"), Some("{}"));
        exchange.reply(ok());
        assert_eq!(pending.answer().status(), 200);
    }
}

/// One HTTP/2 frame (RFC 9113 section 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A header block of plain literals (RFC 7541 section 6.2.2).
fn literals(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).expect("short"));
            block.extend(text.as_bytes());
        }
    }
    block
}

#[test]
fn client_cannot_name_identity_headers_as_hop_by_hop_over_http2_where_there_is_no_such_thing() {
    let site = Site::new();
    let sid = format!("{COOKIE}={}", site.login("alice").sid().expect("logged in"));
    let request =
        [(":method", "GET"), (":scheme", "https"), (":path", "/"), (":authority", "localhost"), ("cookie", &sid)];
    let attacks: [&[(&str, &str)]; 4] = [
        &[("connection", "x-session-user"), ("x-session-user", "mallory")],
        &[("connection", "keep-alive"), ("connection", "x-session-user"), ("x-session-user", "mallory")],
        &[("X-Session-User", "mallory")],
        &[("x-session-user", "mallory\r\nx-session-user: mallory")],
    ];
    for attack in attacks {
        let mut wire = site.https().asking_for("h2").open();
        wire.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        wire.send(&frame(4, 0, 0, &[]));
        // END_STREAM and END_HEADERS.
        wire.send(&frame(1, 5, 1, &literals(&[&request[..], attack].concat())));
        // Refused as malformed (RFC 9113 section 8.2), or passed on without it.
        if let Some(exchange) = site.backend.next_within(std::time::Duration::from_millis(200)) {
            assert_only_alices(&exchange);
        }
    }
    // The frames are right where the request is.
    let mut wire = site.https().asking_for("h2").open();
    wire.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    wire.send(&frame(4, 0, 0, &[]));
    wire.send(&frame(1, 5, 1, &literals(&[&request[..], &[("x-session-user", "mallory")]].concat())));
    assert_only_alices(&site.backend.next());
}

#[test]
fn client_cannot_name_forwarding_headers_as_hop_by_hop() {
    let site = Site::new();
    let browser = site.guest();
    let named = "Host, X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host, Via, Cookie";
    let (seen, answer) =
        site.visit(&browser, get("/").with("Connection", named).with("X-Forwarded-For", "6.6.6.6"), ok());
    assert_eq!(answer.status(), 200);
    assert_eq!(seen.header("Host"), Some("localhost"));
    assert_eq!(seen.header("X-Forwarded-For"), Some("127.0.0.1"));
    assert_eq!(seen.header("X-Forwarded-Proto"), Some("https"));
    assert_eq!(seen.header("X-Forwarded-Host"), Some("localhost"));
    assert!(seen.header("Via").is_some());
}

#[test]
fn an_identity_header_with_a_space_before_its_colon_reaches_nobody() {
    let site = Site::new();
    let browser = site.browser();
    let mut pending = browser.send_raw(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Session-User : mallory\r\n\r\n");
    assert_eq!(pending.head().status(), 400, "RFC 9112 section 5.1");
    site.backend.saw_nothing();
}

#[test]
fn an_identity_header_as_a_folded_line_reaches_nobody() {
    let site = Site::new();
    let browser = site.browser();
    let mut pending =
        browser.send_raw(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Fold: a\r\n X-Session-User: mallory\r\n\r\n");
    let refused = pending.head().status() == 400;
    assert!(refused, "RFC 9112 section 5.2");
    site.backend.saw_nothing();
}

#[test]
fn forgeries_are_removed_on_routes_without_sessions_and_for_upstreams_that_are_told_nothing() {
    let routes = ["path = \"/\"\nupstream = \"app\"", "path = \"/static\"\nupstream = \"app\"\nsession = false"];
    for (trust, path) in [("full", "/static"), ("none", "/"), ("none", "/static")] {
        let site = Site::build().trust(trust).routes(&routes).start();
        let browser = site.browser();
        let request =
            get(path).with("X-Session-User", "mallory").with("x_session_id", "mallory").with("X.Session.New", "1");
        let (seen, _) = site.visit(&browser, request, ok());
        assert_eq!(seen.names(), Vec::<&str>::new(), "trust {trust}, {path}");
    }
}

/// What upstreams might say about a session that is no client's business.
const LOUD: [(&str, &str); 7] = [
    ("X-Session-User", "alice"),
    ("X-Session-Patch", "{\"secret\":1}"),
    ("x-session-id", "abc"),
    ("X-Session-Data", "{}"),
    ("X-SESSION-EXPIRES", "1"),
    ("X_Session_User", "alice"),
    ("X-Session-Anything", "1"),
];

fn loud(reply: Reply) -> Reply {
    LOUD.iter().fold(reply, |reply, (name, value)| reply.with(name, value))
}

#[test]
fn an_upstreams_session_headers_never_reach_the_client() {
    for trust in ["none", "read"] {
        let site = Site::build().trust(trust).start();
        let browser = site.browser();
        let statuses = [
            "200 OK",
            "204 No Content",
            "302 Found",
            "304 Not Modified",
            "404 Not Found",
            "500 Internal Server Error",
            "503 Service Unavailable",
        ];
        for line in statuses {
            let (_, answer) = site.visit(&browser, get("/"), loud(status(line)));
            assert_eq!(answer.status().to_string(), line[..3], "what it may not do is stripped, not refused");
            assert_eq!(answer.head.fields.aliases_of("X-Session-"), Vec::<&str>::new(), "{}", answer.text_head());
        }
    }
}

#[test]
fn a_trusted_upstreams_session_headers_never_reach_the_client() {
    let site = Site::new();
    let browser = site.guest();
    let replies = [
        ok().session("Patch", "{\"a\":1}"),
        ok().session("User", "alice").session("Persist", "true"),
        ok().with("x-session-renew", "true"),
        status("500 Internal Server Error").session("Patch", "{\"a\":1}").session("User", "bob"),
        status("404 Not Found").session("Patch", "{\"a\":2}"),
        ok().session("End", "this"),
        loud(ok()),
    ];
    for reply in replies {
        let (_, answer) = site.visit(&browser, get("/"), reply);
        assert_eq!(answer.head.fields.aliases_of("X-Session-"), Vec::<&str>::new(), "{}", answer.text_head());
    }
}

#[test]
fn an_upstreams_session_headers_never_reach_a_client_over_http2() {
    let site = Site::build().trust("read").start();
    let client = site.http2();
    let pending = client.send("GET", "/", &[]);
    site.backend.next().reply(loud(ok()));
    let answer = pending.answer();
    assert_eq!(answer.status, 200);
    let leaked: Vec<_> =
        answer.headers.keys().filter(|name| name.as_str().replace('_', "-").starts_with("x-session-")).collect();
    assert_eq!(leaked, Vec::<&http::HeaderName>::new());
}

#[test]
fn an_upstreams_session_trailers_never_reach_the_client() {
    let response = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Session-User, X-Checksum\r\n\r\n\
        5\r\nhello\r\n0\r\nX-Session-User: alice\r\nx_session_patch: {\"a\":1}\r\nX-Checksum: 1\r\n\r\n";
    for trust in ["none", "read", "full"] {
        let site = Site::build().trust(trust).start();
        let pending = site.guest().send(get("/").with("TE", "trailers").with("Connection", "TE"));
        site.backend.next().respond_raw(response);
        let answer = pending.answer();
        assert_eq!((answer.status(), answer.text().as_str(), answer.complete), (200, "hello", true));
        assert_eq!(answer.trailers.aliases_of("X-Session-"), Vec::<&str>::new(), "{:?}", answer.trailers);

        let client = site.http2();
        let pending = client.send("GET", "/", &[("te", "trailers")]);
        site.backend.next().respond_raw(response);
        let answer = pending.answer();
        assert_eq!(&answer.body[..], b"hello");
        let leaked = answer.trailers.keys().any(|name| name.as_str().replace('_', "-").starts_with("x-session-"));
        assert!(!leaked, "{:?}", answer.trailers);
    }
}

#[test]
fn a_trailer_changes_no_session() {
    let site = Site::new();
    let browser = site.keep("{\"a\":1}");
    let pending = browser.send(get("/"));
    site.backend.next().respond_raw(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Session-User: root\r\nX-Session-Patch: {\"a\":2}\r\n\r\n",
    );
    pending.answer();
    let seen = site.look(&browser);
    assert_eq!((seen.user(), seen.session("Data")), (None, Some("{\"a\":1}")));
}

#[test]
fn an_interim_answers_session_headers_never_reach_the_client_nor_change_anything() {
    let site = Site::new();
    let browser = site.keep("{\"a\":1}");
    let pending = browser.send(get("/"));
    site.backend.next().respond_raw(
        b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nX-Session-User: root\r\nX-Session-Patch: {\"a\":2}\r\n\r\n\
          HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    );
    let answer = pending.answer();
    assert_eq!((answer.status(), answer.text().as_str()), (200, "ok"));
    for interim in &answer.interim {
        assert_eq!(interim.fields.aliases_of("X-Session-"), Vec::<&str>::new());
    }
    let seen = site.look(&browser);
    assert_eq!((seen.user(), seen.session("Data")), (None, Some("{\"a\":1}")));
}
