//! The invariants of DESIGN section 8, each by its name. The files beside this one go into each of them at length.

mod support;

use std::path::Path;
use std::time::Duration;

use serde_json::json;
use session_gateway::config;
use support::*;

#[test]
fn a_clients_own_x_session_never_reaches_an_upstream_and_an_upstreams_never_reaches_a_client() {
    let site = Site::new();
    let browser = site.login("alice");
    let forged = get("/")
        .with("X-Session-User", "mallory")
        .with("x_session_data", "mallory")
        .with("Connection", "X-Session-User");
    let (seen, answer) = site.visit(&browser, forged, ok().session("Patch", r#"{"a":1}"#));
    assert_eq!(seen.user(), Some("alice"));
    assert!(!String::from_utf8_lossy(&seen.head.raw).contains("mallory"));
    assert_eq!(answer.head.fields.aliases_of("X-Session-"), Vec::<&str>::new());
}

#[test]
fn no_upstream_ever_sees_our_cookie() {
    let other = Backend::start();
    let routes = [
        "path = \"/\"\nupstream = \"app\"",
        "path = \"/static\"\nupstream = \"app\"\nsession = false",
        "path = \"/poll\"\nupstream = \"app\"\npassive = true",
        "path = \"/untrusted\"\nupstream = \"other\"",
    ];
    let site = Site::build().another("other", &other, "trust = \"none\"").routes(&routes).start();
    let live = site.login("alice");
    let dead = live.copy();
    let guest = site.guest();
    site.login_as(&live, "alice");
    let client = site.http2();
    for browser in [&live, &dead, &guest] {
        let sid = browser.sid().expect("a cookie");
        for (path, backend) in
            [("/", &site.backend), ("/static", &site.backend), ("/poll", &site.backend), ("/untrusted", &other)]
        {
            let check = |exchange: &Exchange| {
                assert!(!exchange.text().contains(&sid) && !exchange.text().contains(COOKIE), "{}", exchange.text());
            };
            // Asked without the jar, so that no answer changes what is tried next.
            let cookies = format!("a=1; {COOKIE}={sid}; {COOKIE}=garbage");
            let pending =
                browser.copy().send(get(path).without_jar().with("Cookie", &cookies).with("cookie", &cookies));
            let exchange = backend.next();
            check(&exchange);
            exchange.reply(ok());
            pending.answer();
            let pending = client.send("GET", path, &[("cookie", &cookies), ("cookie", "b=2"), ("cookie", &cookies)]);
            let exchange = backend.next();
            check(&exchange);
            exchange.reply(ok());
            pending.answer();
        }
    }
}

#[test]
fn no_log_ever_shows_a_secret_a_key_or_session_data() {
    let process = Process::start(&Site::build().keys(&[1, 2]), "level = \"trace\"\naccess = \"json\"");
    let browser = process.browser();
    let mut secrets = Vec::new();
    let mut visit = |browser: &Browser, request: Request, reply: Reply| {
        let pending = browser.send(request);
        let exchange = process.backend.next();
        secrets.extend(exchange.session("Id").map(str::to_owned));
        exchange.reply(reply);
        let answer = pending.answer();
        if let Some(cookie) = answer.sid().filter(|cookie| !cookie.is_deletion()) {
            let secret = Ticket::read(&cookie.value).secret;
            secrets.push(cookie.value);
            secrets.extend(ways_to_write(&secret));
        }
    };
    visit(&browser, get("/"), ok());
    visit(&browser, post("/"), ok().session("Patch", r#"{"kept-key":"kept-value"}"#));
    visit(&browser, post("/login"), ok().session("User", "alice"));
    visit(&browser, get("/?access_token=query-secret"), ok().with("Set-Cookie", "theirs=their-secret"));
    visit(&browser, post("/"), ok().session("Renew", "true"));
    let copy = browser.copy();
    // Every way to fail, with something to keep silent about.
    visit(&browser, get("/").with("Cookie", &format!("{COOKIE}=garbage-cookie")), ok());
    visit(&browser, post("/"), ok().session("Patch", r#"{"kept-key":"kept-value""#));
    visit(&browser, post("/"), ok().session("Patch", r#"["kept-value"]"#));
    visit(&browser, post("/"), ok().session("User", "alice").session("User", "kept-value"));
    visit(&browser, post("/"), ok().session("Unknown", "kept-value"));
    let pending = browser.send(post("/"));
    drop(process.backend.next());
    pending.answer();
    visit(&browser, post("/logout"), ok().session("End", "this"));
    visit(&copy, post("/"), ok().session("Patch", r#"{"kept-key":"kept-value"}"#));
    let admin = process.admin();
    admin.send(get("/sessions?user=alice")).answer();
    admin.send(get(&format!("/sessions/{}", secrets[0]))).answer();
    for key in ["1.key", "2.key"] {
        let key = std::fs::read(process.dir.path().join(key)).expect("a key file");
        secrets.extend(ways_to_write(&key));
        secrets.push(String::from_utf8_lossy(&key).into_owned());
    }
    for word in ["kept-value", "kept-key", "query-secret", "their-secret", "garbage-cookie"] {
        secrets.push(word.to_owned());
    }
    process.access_lines(12);
    process.signal("TERM");
    let (success, printed) = process.end();
    assert!(success && printed.contains("stopping"), "{printed}");
    assert!(secrets.len() > 40);
    for secret in secrets {
        assert!(!printed.contains(&secret), "the log shows {secret:?}:\n{printed}");
    }
}

#[test]
fn no_debug_ever_shows_a_secret() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    std::fs::write(dir.path().join("token"), "correct-horse").expect("a writable directory");
    let backend = Backend::start();
    let text = Site::build().admin("token_file = \"token\"").write(dir.path(), &backend);
    let config = config::parse(&text, Path::new("gateway.toml"), dir.path()).expect("a valid configuration");
    assert!(!format!("{config:?}{config:#?}").contains("correct-horse"));
}

/// The store's failure that memory has: it is full.
#[test]
fn a_failing_store_logs_nobody_out() {
    let site = Site::build().store("max_sessions = 2").start();
    let (alice, bob) = (site.login("alice"), site.login("bob"));
    site.patch(&alice, r#"{"a":1}"#);
    let third = site.guest();
    let before = third.sid();
    for reply in [
        ok().session("User", "carol"),
        ok().session("Patch", r#"{"a":1}"#),
        ok().session("User", "carol").session("End", "others"),
    ] {
        let (_, answer) = site.visit(&third, post("/"), reply.with("Set-Cookie", "app=1").body("you are logged in"));
        assert_eq!(answer.status(), 503, "a change that was not stored is never reported as success");
        assert!(answer.set_cookies().is_empty(), "{}", answer.text_head());
        assert!(!answer.text().contains("you are logged in"));
    }
    assert_eq!(third.sid(), before);
    let seen = site.look(&third);
    seen.assert_no_session();
    assert!(!seen.is_new(), "the guest is still the same guest");
    let seen = site.look(&alice);
    assert_eq!((seen.user(), seen.data()), (Some("alice"), Some(json!({"a": 1}))));
    assert_eq!(site.look(&bob).user(), Some("bob"));
    // Those who are in can go on writing, and log in again: that needs no new room.
    site.patch(&alice, r#"{"b":2}"#);
    site.login_as(&bob, "bob");
    assert_eq!(site.look(&bob).user(), Some("bob"));
    // Room comes back when someone leaves.
    site.logout(&alice);
    site.login_as(&third, "carol");
    assert_eq!(site.look(&third).user(), Some("carol"));
}

#[test]
fn when_memory_is_full_the_longest_idle_sessions_without_a_user_go_first() {
    let site = Site::build().store("max_sessions = 3").start();
    let alice = site.login("alice");
    site.wait(61);
    let first = site.keep(r#"{"a":1}"#);
    site.wait(61);
    let second = site.keep(r#"{"b":2}"#);
    site.wait(61);
    // The first one is the younger visit now.
    site.look(&first);
    site.wait(61);
    let third = site.keep(r#"{"c":3}"#);
    site.look(&second).assert_stranger();
    assert!(site.look(&first).data().is_some());
    assert!(site.look(&third).data().is_some());
    assert_eq!(site.look(&alice).user(), Some("alice"), "who has a user stays, however idle");
}

#[test]
fn full_memory_in_bytes_is_refused_too_and_loses_nothing() {
    let site = Site::build().store("max_bytes = \"64KiB\"").start();
    let value = "x".repeat(5000);
    let mut users: Vec<Browser> = Vec::new();
    let refused = loop {
        let browser = site.guest();
        let patch = format!(r#"{{"a":"{value}"}}"#);
        let (_, answer) = site.visit(&browser, post("/"), ok().session("User", "alice").session("Patch", &patch));
        match answer.status() {
            200 => users.push(browser),
            status => break (status, answer.set_cookies().is_empty()),
        }
        assert!(users.len() < 20, "64 KiB cannot hold twenty times 5,000 bytes");
    };
    assert_eq!(refused, (503, true));
    assert!(users.len() > 5, "{} sessions", users.len());
    for browser in &users {
        assert_eq!(site.look(browser).data(), Some(json!({"a": value})));
    }
    // Nor does a session that wants to grow lose what it has.
    let (_, answer) = site.visit(
        &users[0],
        post("/"),
        ok().session("Patch", &format!(r#"{{"b":"{}"}}"#, "y".repeat(60_000 / 12 * 2))),
    );
    assert_eq!((answer.status(), answer.sid()), (503, None));
    assert_eq!(site.look(&users[0]).data(), Some(json!({"a": value})));
}

#[test]
fn logout_wins_nothing_in_flight_brings_a_session_back_for_the_server_or_for_the_browser() {
    let site = Site::new();
    let browser = site.login("alice");
    let copy = browser.copy();
    let replies = [
        ok(),
        ok().session("Patch", r#"{"late":true}"#),
        ok().session("Persist", "true"),
        ok().session("Renew", "true"),
        ok().session("End", "others"),
        status("500 Internal Server Error").session("Patch", r#"{"late":true}"#),
    ];
    let in_flight: Vec<_> =
        replies.into_iter().map(|reply| (browser.send(post("/")), site.backend.next(), reply)).collect();
    assert!(site.logout(&browser).deletes_sid());
    for (pending, exchange, reply) in in_flight {
        assert_eq!(exchange.session("User"), Some("alice"));
        exchange.reply(reply);
        assert_eq!(pending.answer().sid(), None);
        assert_eq!(browser.sid(), None);
        site.look(&copy).assert_stranger();
    }
    assert_eq!(site.metric("session_gateway_sessions_live", &[]), 0);
}

#[test]
fn parallel_writes_to_different_keys_all_survive() {
    let site = Site::new();
    let browser = site.login("alice");
    let writes: Vec<_> = (0..20).map(|i| (i, browser.send(post("/")), site.backend.next())).collect();
    // All answers at once, to both workers.
    let mut pending = Vec::new();
    for (i, request, exchange) in writes {
        exchange.reply(ok().session("Patch", &format!(r#"{{"key{i}":{i}}}"#)));
        pending.push(request);
    }
    for request in pending {
        assert_eq!(request.answer().status(), 200);
    }
    let data = site.look(&browser).data().expect("data");
    for i in 0..20 {
        assert_eq!(data[format!("key{i}")], json!(i));
    }
}

#[test]
fn a_ticket_not_issued_by_us_or_not_live_is_never_adopted() {
    let (site, stranger) = (Site::new(), Site::build().keys(&[9]).start());
    let ended = site.login("alice");
    let ended_ticket = ended.copy();
    site.logout(&ended);
    let superseded = site.keep(r#"{"a":1}"#);
    let superseded_ticket = superseded.copy();
    site.login_as(&superseded, "bob");
    let expired = site.login("carol");
    site.wait(31 * 60);
    let unissued = site.browser();
    unissued.plant(COOKIE, &stranger.login("mallory").sid().expect("a ticket"));
    let made_up = site.browser();
    made_up.plant(COOKIE, &"A".repeat(96));
    for browser in [ended_ticket, superseded_ticket, expired, unissued, made_up] {
        let planted = browser.ticket();
        let copy = browser.copy();
        let (seen, answer) = site.visit(&browser, post("/"), ok().session("Patch", r#"{"adopted":true}"#));
        seen.assert_stranger();
        if let Some(cookie) = answer.sid() {
            assert_ne!(Ticket::read(&cookie.value).secret, planted.secret);
        }
        site.look(&copy).assert_no_session();
    }
}

#[test]
fn a_visitor_costs_no_memory_and_no_store_call_until_a_backend_keeps_something() {
    let site = Site::build().store("max_sessions = 1").start();
    for _ in 0..200 {
        let browser = site.browser();
        site.look(&browser);
        site.look(&browser);
    }
    for metric in ["session_gateway_sessions_live", "session_gateway_store_entries", "session_gateway_store_bytes"] {
        assert_eq!(site.metric(metric, &[]), 0, "{metric}");
    }
    // There is room for the one session that something is kept for.
    let browser = site.keep(r#"{"a":1}"#);
    assert_eq!(site.look(&browser).data(), Some(json!({"a": 1})));
    assert_eq!(site.metric("session_gateway_sessions_live", &[]), 1);
}

#[test]
fn every_wait_has_a_timeout() {
    let brief = "\"300ms\"";
    let site = Site::build()
        .listen(&format!("header_timeout = {brief}\nkeepalive = {brief}\nhandshake_timeout = {brief}"))
        .upstream(&format!("response_timeout = {brief}\nbody_timeout = {brief}"))
        .start();
    // A client that says nothing, in clear text, in TLS and before TLS.
    assert!(site.plain().connect().is_closed());
    assert!(site.browser().send_raw(b"").is_closed());
    let before_tls = support::browser::Door { tls: None, ..site.https() };
    assert!(Browser::new(before_tls, "localhost").connect().is_closed());
    // One that never ends its head, and one that never ends its body.
    assert!(site.plain().send_raw(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-").is_closed());
    let mut stalled = site.plain().send_raw(b"PUT / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhalf");
    assert!(site.backend.next().is_given_up());
    assert!(stalled.is_closed());
    // One that stays after its answer.
    let mut line = site.plain().send(get("/"));
    site.backend.next().reply(ok());
    assert_eq!(line.next_answer().status(), 200);
    assert!(line.is_closed());
    // An upstream that never answers, and one that never ends its answer.
    let pending = site.plain().send(get("/"));
    assert!(site.backend.next().is_given_up());
    assert_eq!(pending.answer().status(), 504);
    let pending = site.plain().send(get("/"));
    let mut exchange = site.backend.next();
    exchange.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
    assert!(!pending.answer().complete);
    assert!(exchange.is_given_up());
}

#[test]
fn every_head_has_a_limit() {
    let site = Site::new();
    let long = "x".repeat(200_000);
    for request in [
        format!("GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: {long}\r\n\r\n"),
        format!("GET /{long} HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nHost: localhost\r\n{}\r\n", "X: y\r\n".repeat(1000)),
    ] {
        let mut pending = site.plain().send_raw(request.as_bytes());
        let status = pending.head().status();
        assert!([400, 414, 431].contains(&status), "{status}");
    }
    site.backend.saw_nothing();
    // And an upstream's.
    for head in [format!("X-Long: {}\r\n", "x".repeat(2_000_000)), "X: y\r\n".repeat(100_000)] {
        let pending = site.plain().send(post("/"));
        site.backend.next().respond_and_close(format!("HTTP/1.1 200 OK\r\n{head}Content-Length: 0\r\n\r\n").as_bytes());
        assert_eq!(pending.answer().status(), 502);
    }
}

#[test]
fn every_session_has_a_limit() {
    let site = Site::new();
    let browser = site.login("alice");
    // By default a session holds 64 KiB; each of these fits into one header.
    let mut refused = 0;
    for i in 0..20 {
        let patch = format!(r#"{{"key{i}":"{}"}}"#, "x".repeat(8000));
        let (_, answer) = site.visit(&browser, post("/"), ok().session("Patch", &patch));
        refused += usize::from(answer.status() == 502);
    }
    assert_eq!(refused, 12);
    assert_eq!(site.look(&browser).user(), Some("alice"));
}

#[test]
fn connections_have_a_limit() {
    let site = Site::build().listen("max_connections = 4\nworkers = 1").start();
    let held: Vec<_> = (0..4).map(|_| (site.plain().send(get("/held")), site.backend.next())).collect();
    let fifth = site.plain().send(get("/fifth"));
    assert!(site.backend.next_within(Duration::from_millis(200)).is_none(), "the fifth waits for a place");
    for (pending, exchange) in held {
        exchange.reply(ok());
        assert_eq!(pending.answer().status(), 200);
    }
    site.backend.next().reply(ok());
    assert_eq!(fifth.answer().status(), 200);
}

#[test]
fn one_malformed_request_response_cookie_or_config_costs_one_clear_error_and_nothing_else() {
    let site = Site::new();
    let browser = site.login("alice");
    let mut beside = browser.connect();
    let mut still_well = || {
        beside.send(&get("/beside"));
        let exchange = site.backend.next();
        assert_eq!((exchange.target(), exchange.session("User")), ("/beside", Some("alice")));
        exchange.reply(ok());
        assert_eq!(beside.next_answer().status(), 200);
    };
    for request in [
        "nonsense\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nbroken\r\n\r\n",
        "\0\0\0\0\r\n\r\n",
    ] {
        let status = browser.send_raw(request.as_bytes()).head().status();
        assert!((400..=505).contains(&status), "{request:?}: {status}");
        still_well();
    }
    for response in
        ["nonsense\r\n\r\n", "HTTP/1.1 200 OK\r\nbroken\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"]
    {
        let pending = browser.send(post("/"));
        site.backend.next().respond_and_close(response.as_bytes());
        assert_eq!(pending.answer().status(), 502, "{response:?}");
        still_well();
    }
    let pending = browser.send(post("/"));
    site.backend.next().reply(ok().session("Patch", "nonsense"));
    assert_eq!(pending.answer().status(), 502);
    still_well();
    let pending = site.browser().send(get("/").with("Cookie", &format!("{COOKIE}=nonsense; ;;=; a")));
    site.backend.next().reply(ok());
    assert_eq!(pending.answer().status(), 200);
    still_well();
    let text = "[listen]\nhttp = \"nonsense\"\n[session]\nkeys = 1\nidle_timeout = \"30 parsecs\"\n";
    let mistakes = config::parse(text, Path::new("gateway.toml"), Path::new(".")).expect_err("three mistakes and more");
    let told = mistakes.to_string();
    for (line, word) in [(2, "nonsense"), (4, "keys"), (5, "parsecs")] {
        assert!(told.contains(&format!("gateway.toml:{line}")) && told.contains(word), "line {line}, {word}:\n{told}");
    }
}
