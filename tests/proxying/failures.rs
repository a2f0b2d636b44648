//! What becomes of a request when one of the sides fails.

use std::time::{Duration, Instant};

use super::refusing;
use super::support::wire::chunk;
use super::support::*;

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
