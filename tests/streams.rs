//! What goes on behind an answer's head ends with the session that it was opened in.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::time::{Duration, Instant};

use support::*;

/// A close frame with the code 1008 (RFC 6455 sections 5.5.1 and 7.4.1).
const CLOSE: &[u8] = b"\x88\x17\x03\xf0the session has ended";
/// Every stream of an ended session ends within a second.
const PROMISED: Duration = Duration::from_secs(1);
/// That, and what a busy machine may take to let everybody see it.
const SOON: Duration = PROMISED.saturating_add(Duration::from_millis(500));

/// Both ends of a WebSocket.
fn websocket(site: &Site, browser: &Browser) -> (Pending, Exchange) {
    let request = get("/socket").with("Connection", "Upgrade").with("Upgrade", "websocket");
    let mut client = browser.send(request);
    let mut server = site.backend.next();
    server.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
    client.switched();
    (client, server)
}

/// Both ends of a stream of events, of which one has come.
fn events(site: &Site, browser: &Browser) -> (Pending, Exchange) {
    let mut client = browser.send(get("/events"));
    let mut server = site.backend.next();
    server.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: one\n\n");
    client.until(b"data: one\n\n");
    (client, server)
}

fn revoke(site: &Site, user: &str) {
    let answer = site.admin(request("DELETE", &format!("/sessions?user={user}")));
    assert_eq!(answer.status(), 200, "{}", answer.text());
}

/// Whether the WebSocket is still carried.
fn goes_on(client: &mut Pending, server: &mut Exchange) -> bool {
    server.write(b"\x81\x02hi");
    client.write(b"\x81\x82abcd\x09\x0b");
    client.until(b"\x81\x02hi");
    server.until(b"\x81\x82abcd\x09\x0b");
    true
}

/// A WebSocket whose session ends while half of a frame has passed.
fn ended_within_a_frame(site: &Site) -> (Pending, Exchange) {
    let (mut client, mut server) = websocket(site, &site.login("alice"));
    server.write(b"\x82\x0ahalf ");
    client.until(b"half ");
    revoke(site, "alice");
    (client, server)
}

fn assert_closed(client: &mut Pending, server: &mut Exchange) {
    let began = Instant::now();
    client.until(CLOSE);
    assert!(client.is_closed() && server.is_given_up());
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
}

#[test]
fn a_websocket_is_closed_when_its_session_is_revoked_and_no_other_is() {
    let site = Site::new();
    let (alice, bob) = (site.login("alice"), site.login("bob"));
    let (mut client, mut server) = websocket(&site, &alice);
    let (mut others, mut others_server) = websocket(&site, &bob);
    let (mut guests, mut guests_server) = websocket(&site, &site.guest());
    revoke(&site, "alice");
    assert_closed(&mut client, &mut server);
    assert!(goes_on(&mut others, &mut others_server) && goes_on(&mut guests, &mut guests_server));
}

#[test]
fn it_is_closed_by_a_logout_an_expiry_and_another_login() {
    let site = Site::new();
    let ends: [fn(&Site, &Browser); 3] = [
        |site, browser| drop(site.logout(browser)),
        |site, browser| drop(site.login_as(browser, "mallory")),
        |site, _| site.wait(31 * 60),
    ];
    for end in ends {
        let browser = site.login("alice");
        let (mut client, mut server) = websocket(&site, &browser);
        end(&site, &browser);
        assert_closed(&mut client, &mut server);
    }
}

#[test]
fn it_outlives_every_renewal_of_its_session_s_ticket() {
    let site = Site::build().session("renew_after = \"10m\"").start();
    let browser = site.login("alice");
    let (mut client, mut server) = websocket(&site, &browser);
    for _ in 0..3 {
        site.wait(11 * 60);
        let (_, answer) = site.visit(&browser, get("/"), ok());
        assert!(answer.sid().is_some(), "the ticket is renewed");
        // More than one look.
        std::thread::sleep(Duration::from_millis(1200));
        site.wait(15);
        assert!(goes_on(&mut client, &mut server));
    }
    revoke(&site, "alice");
    assert_closed(&mut client, &mut server);
}

#[test]
fn a_frame_on_its_way_comes_whole_before_the_close() {
    let site = Site::new();
    let (mut client, mut server) = ended_within_a_frame(&site);
    std::thread::sleep(Duration::from_millis(700));
    server.write(b"there\x81\x05never");
    let said = client.until(CLOSE);
    assert_eq!(String::from_utf8_lossy(&said[..said.len() - CLOSE.len()]), "there");
    assert!(client.is_closed() && server.is_given_up());
}

#[test]
fn a_frame_that_never_comes_whole_is_not_waited_for() {
    let site = Site::new();
    let (mut client, mut server) = ended_within_a_frame(&site);
    let began = Instant::now();
    assert!(client.is_closed() && server.is_given_up());
    assert!(began.elapsed() < SOON + Duration::from_secs(1));
}

#[test]
fn whose_session_has_ended_says_no_more_while_a_frame_is_waited_for() {
    let site = Site::new();
    let (mut client, mut server) = ended_within_a_frame(&site);
    let heard = std::thread::spawn(move || (server.rest(), Instant::now()));
    let mut said = Vec::new();
    while !heard.is_finished() {
        client.write(format!("<{}>", said.len()).as_bytes());
        said.push(Instant::now());
        std::thread::sleep(Duration::from_millis(20));
    }
    let (heard, closed) = heard.join().unwrap();
    let passed = String::from_utf8_lossy(&heard).matches('>').count();
    assert!(passed > 0, "the session had not ended yet");
    let silence = closed - said[passed - 1];
    assert!(silence > Duration::from_millis(700), "the last word passed {silence:?} before the end");
}

#[test]
fn a_stream_of_events_ends_whole_with_its_session() {
    let site = Site::new();
    let browser = site.login("alice");
    let (mut client, mut server) = events(&site, &browser);
    let (mut others, mut others_server) = events(&site, &site.login("bob"));
    revoke(&site, "alice");
    let began = Instant::now();
    client.until(b"0\r\n\r\n");
    assert!(server.is_given_up() && began.elapsed() < SOON);
    others_server.write(b"data: two\n\n");
    others.until(b"data: two\n\n");
    // Over HTTP/2, too.
    let browser = site.login("alice");
    let client = site.http2();
    let cookie = format!("{COOKIE}={}", browser.sid().unwrap());
    let pending = client.send("GET", "/events", &[("cookie", &cookie)]);
    let mut server = site.backend.next();
    server.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n\r\ndata: one\n\n");
    revoke(&site, "alice");
    assert_eq!(&pending.answer().body[..], b"data: one\n\n");
    assert!(server.is_given_up());
}

#[test]
fn a_request_of_http_1_is_no_call_whatever_it_says_of_its_content() {
    let site = Site::new();
    let browser = site.login("alice");
    let client = browser.send(request("POST", "/slow").with("Content-Type", "application/grpc"));
    let server = site.backend.next();
    revoke(&site, "alice");
    std::thread::sleep(SOON);
    server.reply(ok());
    assert_eq!(client.answer().status(), 200);
    // Over HTTP/2 it is one, and ends.
    let browser = site.login("alice");
    let cookie = format!("{COOKIE}={}", browser.sid().unwrap());
    let client = site.http2();
    let pending = client.send("POST", "/slow", &[("cookie", &cookie), ("content-type", "application/grpc")]);
    let mut server = site.backend.next();
    revoke(&site, "alice");
    assert!(server.is_given_up());
    assert_eq!(pending.answer().status, 401);
}

/// More than one look at every stream.
const LOOKED_AT: Duration = Duration::from_millis(1200);

#[test]
fn a_stream_goes_on_in_the_session_that_its_own_answer_leads_to_and_ends_with_that() {
    let site = Site::new();
    for (browser, asked) in [
        (site.login("alice"), "X-Session-Renew: true"),
        (site.login("alice"), "X-Session-User: alice"),
        (site.guest(), "X-Session-User: alice"),
        (site.browser(), "X-Session-User: alice"),
    ] {
        let mut client = browser.send(get("/events"));
        let mut server = site.backend.next();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n{asked}\r\n\r\n");
        server.write(head.as_bytes());
        std::thread::sleep(LOOKED_AT);
        server.write(b"data: one\n\n");
        client.until(b"data: one\n\n");
        revoke(&site, "alice");
        let began = Instant::now();
        client.until(b"0\r\n\r\n");
        assert!(server.is_given_up() && began.elapsed() < SOON, "{asked}");
    }
}

#[test]
fn a_call_that_changes_its_own_session_comes_to_its_own_end() {
    let site = Site::new();
    for asked in ["X-Session-End: this", "X-Session-User: bob", "X-Session-Renew: true"] {
        let cookie = format!("{COOKIE}={}", site.login("alice").sid().unwrap());
        let client = site.http2();
        let pending = client.send("POST", "/call", &[("cookie", &cookie), ("content-type", "application/grpc")]);
        let mut server = site.backend.next();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\nContent-Length: 9\r\n{asked}\r\n\r\n");
        server.write(head.as_bytes());
        server.write(b"first");
        std::thread::sleep(LOOKED_AT);
        server.write(b"last");
        let answer = pending.answer();
        assert_eq!((&answer.body[..], answer.trailers.len()), (&b"firstlast"[..], 0), "{asked}");
    }
}

#[test]
fn a_download_outlives_its_session() {
    let site = Site::new();
    let browser = site.login("alice");
    let mut client = browser.send(get("/download"));
    let mut server = site.backend.next();
    server.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/zip\r\nContent-Length: 10\r\n\r\nfirst");
    client.until(b"first");
    revoke(&site, "alice");
    std::thread::sleep(Duration::from_millis(1200));
    server.write(b"after");
    client.until(b"after");
}

#[test]
fn a_revocation_at_another_gateway_counts() {
    for near_cache in ["", "near_cache = false"] {
        let site = Site::build().gateways(2).redis(Redis::start(), near_cache).start();
        let browser = site.login("alice");
        let (mut client, mut server) = websocket(&site, &site.at(0, &browser));
        assert_eq!(site.look(&site.at(1, &browser)).session("User"), Some("alice"));
        site.logout(&site.at(1, &browser));
        assert_closed(&mut client, &mut server);
    }
}

#[test]
fn a_store_that_fails_ends_nothing() {
    let mut site = Site::build().redis(Redis::build().durable().start(), "near_cache = false").start();
    let browser = site.login("alice");
    let (mut client, mut server) = websocket(&site, &browser);
    site.redis().kill();
    std::thread::sleep(Duration::from_millis(1700));
    assert!(goes_on(&mut client, &mut server));
    site.redis().restart();
    std::thread::sleep(Duration::from_millis(1200));
    assert!(goes_on(&mut client, &mut server));
    // Each worker comes back to the store in its own time; until then the backend is not asked.
    eventually("the store is back", || {
        let logout = browser.send(post("/logout"));
        site.backend.next_within(Duration::from_millis(200))?.reply(ok().session("End", "this"));
        (logout.answer().status() == 200).then_some(())
    });
    assert_closed(&mut client, &mut server);
}

#[test]
fn an_answer_that_nobody_takes_is_given_up_beside_others_that_are_taken() {
    let site = Site::build().listen("write_timeout = \"2s\"\n").mirror("").start();
    let client = site.http2();
    let untaken = client.send("GET", "/untaken", &[]);
    let mut exchange = site.backend.next();
    exchange.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n");
    assert!(exchange.pour(100_000_000) < 100_000_000, "nobody takes all of it");
    let started = Instant::now();
    exchange.set_patience(Duration::from_millis(50));
    while !exchange.is_given_up() {
        assert!(started.elapsed() < 2 * PATIENCE, "its backend is not let go");
        assert_eq!(client.send("GET", "/mirror", &[]).answer().status, 200);
    }
    assert!(untaken.outcome().is_err(), "half of it is not taken for the whole");
    assert_eq!(client.send("GET", "/mirror", &[]).answer().status, 200, "the connection goes on");
}
