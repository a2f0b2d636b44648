//! WebSocket over HTTP/1.1: the handshake is a request like any other, and what follows it is carried as it comes.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::time::Duration;

use support::*;

/// As a backend agrees (RFC 6455 section 4.2.2).
const AGREED: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                      Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";

/// As a browser asks (RFC 6455 section 4.1).
fn handshake() -> Request {
    get("/socket")
        .with("Connection", "keep-alive, Upgrade")
        .with("Upgrade", "websocket")
        .with("Sec-WebSocket-Version", "13")
        .with("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
}

/// Both ends of a WebSocket that is open, and the answer that opened it.
fn open(site: &Site, browser: &Browser) -> (Pending, Exchange, Head) {
    open_with(site, browser, "")
}

fn open_with(site: &Site, browser: &Browser, lines: &str) -> (Pending, Exchange, Head) {
    let mut client = browser.send(handshake());
    let mut server = site.backend.next();
    server.write(format!("{AGREED}{lines}\r\n").as_bytes());
    let head = client.switched();
    (client, server, head)
}

#[test]
fn bytes_pass_both_ways_as_they_come() {
    let site = Site::new();
    for browser in [site.browser(), site.plain()] {
        let (mut client, mut server, head) = open(&site, &browser);
        assert_eq!(server.header("Connection").map(str::to_ascii_lowercase).as_deref(), Some("upgrade"));
        assert_eq!(server.header("Upgrade"), Some("websocket"));
        assert_eq!(server.header("Sec-WebSocket-Key"), Some("dGhlIHNhbXBsZSBub25jZQ=="));
        assert_eq!(head.fields.one("upgrade"), Some("websocket"));
        assert_eq!(head.fields.one("connection"), Some("upgrade"));
        assert_eq!(head.fields.one("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        assert_eq!((head.fields.one("content-length"), head.fields.one("transfer-encoding")), (None, None));
        for round in 0..3 {
            client.write(format!("\x00\r\n\r\nGET / HTTP/1.1 {round}").as_bytes());
            server.until(format!("GET / HTTP/1.1 {round}").as_bytes());
            server.write(format!("\x7f\r\n\r\nHTTP/1.1 200 {round}").as_bytes());
            client.until(format!("HTTP/1.1 200 {round}").as_bytes());
        }
    }
}

#[test]
fn what_comes_with_the_handshake_is_not_lost() {
    let site = Site::new();
    let mut client = site.browser().send(handshake());
    client.write(b"early client");
    let mut server = site.backend.next();
    server.write(format!("{AGREED}\r\nearly server").as_bytes());
    client.switched();
    client.until(b"early server");
    server.until(b"early client");
}

#[test]
fn more_than_all_buffers_hold_passes_whole_and_waits_for_who_reads_slowly() {
    const SIZE: usize = 32 * 1024 * 1024;
    let site = Site::new();
    let (mut client, mut server, _) = open(&site, &site.plain());
    let taken = server.pour(SIZE);
    assert!(taken < SIZE, "nobody reads, and {taken} bytes are taken");
    let writer = std::thread::spawn(move || {
        assert!(server.send(&vec![0; SIZE - taken]) && server.send(b"end"));
        server
    });
    assert!(client.takes(SIZE));
    client.until(b"end");
    drop(writer.join().unwrap());
}

#[test]
fn a_handshake_is_told_who_is_calling_and_may_change_the_session() {
    let site = Site::new();
    let browser = site.login("ada");
    let (_client, server, head) = open_with(&site, &browser, "X-Session-Patch: {\"socket\":1}\r\n");
    assert_eq!(server.session("User"), Some("ada"));
    assert!(head.fields.aliases_of("X-Session-").is_empty());
    assert_eq!(site.look(&browser).session("Data"), Some("{\"socket\":1}"));
}

#[test]
fn a_handshake_carries_kept_cookies_and_its_answer_s_are_kept() {
    let site = Site::build().upstream("jar = { mode = \"enforce\", capture = [\"session\"] }\n").start();
    let browser = site.guest();
    site.visit(&browser, post("/auth"), ok().with("Set-Cookie", "session=one; HttpOnly; Path=/"));
    let (_client, server, head) = open_with(&site, &browser, "Set-Cookie: session=two; HttpOnly; Path=/\r\n");
    assert_eq!(server.header("Cookie"), Some("session=one"));
    assert!(!head.fields.all("set-cookie").iter().any(|line| line.contains("two")), "{head:?}");
    let (seen, _) = site.visit(&browser, get("/"), ok());
    assert_eq!(seen.header("Cookie"), Some("session=two"));
}

#[test]
fn a_handshake_that_is_refused_is_an_answer_like_any_other() {
    let site = Site::new();
    let browser = site.browser();
    let mut client = browser.send(handshake());
    site.backend.next().respond("403 Forbidden", &[], b"no");
    let answer = client.next_answer();
    assert_eq!((answer.status(), answer.text().as_str()), (403, "no"));
    client.send(&get("/"));
    site.backend.next().reply(ok());
    assert_eq!(client.next_answer().status(), 200);
}

#[test]
fn other_protocols_and_half_a_handshake_are_not_asked_for() {
    let site = Site::new();
    let asking = |connection: &str, upgrade: &str| get("/").with("Connection", connection).with("Upgrade", upgrade);
    for request in [
        asking("Upgrade", "h2c"),
        asking("Upgrade", "websocket2"),
        asking("keep-alive", "websocket"),
        get("/").with("Upgrade", "websocket"),
        get("/").with("Connection", "Upgrade"),
        post("/").with("Connection", "Upgrade").with("Upgrade", "websocket"),
        handshake().body("a body"),
    ] {
        let (seen, answer) = site.visit(&site.browser(), request, ok());
        assert_eq!((seen.header("Upgrade"), answer.status()), (None, 200), "{seen:?}");
        assert_eq!(seen.header("Connection"), None);
    }
    let client = site
        .browser()
        .send_raw(b"GET / HTTP/1.0\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    let exchange = site.backend.next();
    assert_eq!(exchange.header("Upgrade"), None);
    exchange.reply(ok());
    assert_eq!(client.answer().status(), 200);
}

#[test]
fn one_of_several_protocols_may_be_websocket() {
    let site = Site::new();
    let request = get("/").with("Connection", "upgrade").with("Upgrade", "h2c, WebSocket");
    let client = site.browser().send(request);
    assert_eq!(site.backend.next().header("Upgrade"), Some("websocket"));
    drop(client);
}

#[test]
fn a_switch_that_nobody_asked_for_is_502() {
    let site = Site::new();
    let to = |protocol: &str| format!("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n{protocol}\r\n");
    for (request, reply) in [
        (get("/"), to("Upgrade: websocket\r\n")),
        (handshake(), to("Upgrade: h2c\r\n")),
        (handshake(), to("")),
        (handshake(), to("Upgrade: websocket\r\n").replace("HTTP/1.1", "HTTP/1.0")),
    ] {
        let client = site.browser().send(request);
        site.backend.next().respond_and_close(reply.as_bytes());
        assert_eq!(client.answer().status(), 502, "{reply}");
    }
}

#[test]
fn who_leaves_takes_the_other_along() {
    let site = Site::new();
    for browser in [site.browser(), site.plain()] {
        let (client, mut server, _) = open(&site, &browser);
        drop(client);
        assert!(server.is_given_up());
        let (mut client, server, _) = open(&site, &browser);
        drop(server);
        assert!(client.is_closed());
    }
}

#[test]
fn one_side_may_have_said_all_before_the_other() {
    let site = Site::new();
    let (mut client, mut server, _) = open(&site, &site.plain());
    client.write(b"goodbye");
    client.finish();
    server.until(b"goodbye");
    assert!(server.is_given_up(), "the end of one direction is passed on");
    server.write(b"and thanks");
    client.until(b"and thanks");
}

#[test]
fn a_silent_websocket_is_closed_and_one_that_moves_is_not() {
    let site = Site::build().upstream("websocket_timeout = \"400ms\"\n").start();
    let (mut silent, mut silent_server, _) = open(&site, &site.browser());
    let (mut lively, mut server, _) = open(&site, &site.browser());
    // More than twice its timeout.
    for _ in 0..20 {
        server.write(b"tick");
        lively.until(b"tick");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(silent.is_closed() && silent_server.is_given_up());
    lively.write(b"still here");
    server.until(b"still here");
}

#[test]
fn a_websocket_is_in_flight_for_as_long_as_it_is_open() {
    let mut site =
        Site::build().listen("header_timeout = \"200ms\"\nkeepalive = \"200ms\"\ndrain_timeout = \"600ms\"\n").start();
    let (mut client, mut server, _) = open(&site, &site.browser());
    std::thread::sleep(Duration::from_secs(1));
    client.write(b"not idle");
    server.until(b"not idle");
    let stopping = site.stop();
    assert!(client.is_closed() && server.is_given_up());
    stopping.join().unwrap();
}

#[test]
fn one_that_is_cut_is_logged_with_what_it_has_carried() {
    let setup = Site::build().listen("drain_timeout = \"200ms\"\n");
    let process = Process::start(&setup, "access = \"json\"");
    let mut client = process.browser().send(handshake());
    let mut server = process.backend.next();
    server.write(format!("{AGREED}\r\n").as_bytes());
    client.switched();
    server.write(b"0123456789");
    client.until(b"0123456789");
    process.signal("TERM");
    assert!(client.is_closed());
    let line: serde_json::Value = serde_json::from_str(&process.access_lines(1)[0]).unwrap();
    assert_eq!((line["status"].as_u64(), line["bytes"].as_u64()), (Some(101), Some(10)), "{line}");
}

#[test]
fn it_is_counted_once_and_not_as_somebody_who_waited() {
    let site = Site::new();
    let waited = || site.metric("session_gateway_request_duration_seconds_count", &[]);
    let before = waited();
    let (client, mut server, _) = open(&site, &site.browser());
    drop(client);
    assert!(server.is_given_up());
    eventually("it is counted", || {
        (site.metric_if_any("session_gateway_requests_total", &[("status", "101")]) == Some(1)).then_some(())
    });
    assert_eq!(waited(), before);
}
