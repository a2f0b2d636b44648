//! Peers that have said all they will, and still listen.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::time::Duration;

use support::wire::chunk;
use support::*;

fn allowing() -> Site {
    Site::build().listen("half_close = true\n").start()
}

#[test]
fn a_client_that_closes_its_side_is_gone_unless_it_may_still_read() {
    let site = Site::new();
    let mut pending = site.plain().send(get("/"));
    let mut exchange = site.backend.next();
    pending.finish();
    assert!(exchange.is_given_up(), "its request is cancelled");
    assert!(pending.is_closed());

    let site = allowing();
    let pending = site.plain().send(get("/"));
    let mut exchange = site.backend.next();
    pending.finish();
    assert!(exchange.is_held_for(Duration::from_millis(300)));
    exchange.reply(ok());
    let answer = pending.answer();
    assert_eq!((answer.status(), &*answer.text(), answer.complete), (200, "the backend's body", true));
}

#[test]
fn its_connection_is_closed_behind_the_answer() {
    let site = allowing();
    let mut pending = site.plain().send(get("/"));
    pending.finish();
    site.backend.next().reply(ok());
    assert_eq!(pending.next_answer().status(), 200);
    assert!(pending.is_closed());
}

#[test]
fn all_requests_that_came_before_are_answered() {
    let site = allowing();
    let mut pending = site.plain().send(get("/one"));
    pending.send(&get("/two"));
    pending.finish();
    for path in ["/one", "/two"] {
        let exchange = site.backend.next();
        assert_eq!(exchange.target(), path);
        exchange.reply(ok().body(path));
        assert_eq!(pending.next_answer().text(), path);
    }
    assert!(pending.is_closed());
}

#[test]
fn an_answer_that_streams_comes_whole() {
    let site = allowing();
    let mut pending = site.plain().send(post("/").body("all of it"));
    pending.finish();
    let mut exchange = site.backend.next();
    assert_eq!(exchange.body().bytes, b"all of it");
    exchange.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    for _ in 0..3 {
        exchange.write(&chunk(b"piece"));
        pending.until(b"piece");
        std::thread::sleep(Duration::from_millis(100));
    }
    exchange.write(b"0\r\n\r\n");
    pending.until(b"0\r\n\r\n");
}

#[test]
fn half_a_request_is_none() {
    for site in [Site::new(), allowing()] {
        let mut pending =
            site.plain().send_raw(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhalf");
        let mut exchange = site.backend.next();
        pending.finish();
        assert!(exchange.is_given_up());
        assert!(!String::from_utf8_lossy(&pending.until_closed()).contains("200"));
    }
}

#[test]
fn one_that_has_left_is_noticed_by_what_is_written_to_it() {
    let site = allowing();
    let mut pending = site.plain().send(get("/"));
    let mut exchange = site.backend.next();
    exchange.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    pending.head();
    drop(pending);
    let piece = vec![b'x'; 64 * 1024];
    eventually("the backend learns of it", || (!exchange.send(&chunk(&piece))).then_some(()));
}

#[test]
fn a_backend_may_end_its_side_before_it_has_the_whole_request() {
    let site = Site::new();
    let mut pending = site.browser().send(request("POST", "/").with("Transfer-Encoding", "chunked"));
    pending.write(&chunk(b"half"));
    let mut exchange = site.backend.next();
    exchange.until(b"half\r\n");
    exchange.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nwhole");
    exchange.finish();
    let head = pending.head();
    assert_eq!(head.status(), 200);
    pending.until(b"whole\r\n0\r\n\r\n");
    assert!(exchange.is_given_up());
    site.look(&site.browser());
}

#[test]
fn a_backend_that_ends_its_side_without_an_answer_has_given_none() {
    let site = Site::new();
    let pending = site.browser().send(post("/").body("question"));
    let mut exchange = site.backend.next();
    exchange.body();
    exchange.finish();
    assert_eq!(pending.answer().status(), 502);
    assert!(exchange.is_given_up());
}
