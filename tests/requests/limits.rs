//! How much a request may be, and how many of them a connection may carry.

use std::time::{Duration, Instant};

use super::{is_refused, passes, refused};
use crate::frames::{END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, block, frame, hello, next};
use crate::support::wire::chunk;
use crate::support::*;

fn with_lines(count: usize) -> Request {
    (0..count).fold(get("/"), |request, index| request.with(&format!("X-{index}"), "1"))
}

#[test]
fn header_lines_have_a_limit() {
    for (listen, most) in [("", 100), ("max_headers = 20\n", 20), ("max_headers = 200\n", 200)] {
        let site = Site::build().listen(listen).start();
        // The first line is Host's.
        passes(&site, &site.browser(), with_lines(most - 1));
        assert_eq!(site.browser().send(with_lines(most)).answer().status(), 431, "{most}");
        site.backend.saw_nothing();

        let client = site.http2();
        let names: Vec<_> = (0..=most).map(|index| format!("x-{index}")).collect();
        let fields: Vec<_> = names.iter().map(|name| (name.as_str(), "1")).collect();
        let pending = client.send("GET", "/", &fields[..most]);
        site.backend.next().reply(ok());
        assert_eq!(pending.answer().status, 200, "{most}");
        assert_eq!(client.send("GET", "/", &fields).answer().status, 431, "{most}");
        site.backend.saw_nothing();
        assert_eq!(refused(&site, "headers"), 1, "{most}");
    }
}

#[test]
fn path_and_query_have_a_limit() {
    for (listen, most) in [("", 8192), ("max_uri_size = \"100B\"\n", 100)] {
        let site = Site::build().listen(listen).start();
        let browser = site.browser();
        let target = |length: usize| format!("/?{}", "x".repeat(length - 2));
        passes(&site, &browser, get(&target(most)));
        is_refused(&site, &browser, get(&target(most + 1)), 414);
        assert_eq!(site.http2().send("GET", &target(most + 1), &[]).answer().status, 414);
        assert_eq!(refused(&site, "uri"), 2);
    }
}

fn small_bodies() -> Site {
    let small = "path = \"/\"\nupstream = \"app\"\nmax_body_size = \"10B\"";
    let any = "path = \"/upload\"\nupstream = \"app\"";
    Site::build().routes(&[small, any]).start()
}

#[test]
fn a_body_that_is_said_to_be_too_long_is_not_even_asked_for() {
    let site = small_bodies();
    let browser = site.browser();
    passes(&site, &browser, post("/").body("0123456789"));
    passes(&site, &browser, post("/upload").body("0123456789a"));
    is_refused(&site, &browser, post("/").body("0123456789a"), 413);
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\nExpect: 100-continue\r\n\r\n";
    let mut pending = browser.send_raw(head.as_bytes());
    assert_eq!(pending.head().status(), 413, "and no 100 before it");
    site.backend.saw_nothing();
    assert_eq!(refused(&site, "body"), 2);
}

#[test]
fn a_body_that_becomes_too_long_does_not_arrive() {
    let site = small_bodies();
    let browser = site.browser();
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut pending = browser.send_raw(head.as_bytes());
    pending.write(&chunk(b"01234"));
    pending.write(&chunk(b"56789"));
    let mut exchange = site.backend.next();
    exchange.until(b"56789");
    pending.write(&chunk(b"a"));
    assert!(exchange.is_given_up(), "nobody takes half of it for the whole");
    let answer = pending.answer();
    assert_eq!(answer.status(), 413);
    assert_eq!(refused(&site, "body"), 1);

    let mut pending = browser.send_raw(head.as_bytes());
    pending.write(&[chunk(b"0123456789"), b"0\r\n\r\n".to_vec()].concat());
    let mut exchange = site.backend.next();
    assert_eq!(exchange.body().bytes, b"0123456789");
    exchange.reply(ok());
    assert_eq!(pending.answer().status(), 200);
}

#[test]
fn a_connection_is_closed_in_order_after_its_last_request() {
    let site = Site::build().listen("max_requests = 3\n").start();
    let mut pending = site.browser().send(get("/"));
    for last in [false, false, true] {
        site.backend.next().reply(ok());
        let answer = pending.next_answer();
        assert_eq!((answer.status(), answer.header("connection") == Some("close")), (200, last));
        if !last {
            pending.send(&get("/"));
        }
    }
    assert!(pending.is_closed());

    let client = site.http2();
    for _ in 0..3 {
        let sent = client.send("GET", "/", &[]);
        site.backend.next().reply(ok());
        assert_eq!(sent.answer().status, 200);
    }
    eventually("the connection was closed", || client.send("GET", "/", &[]).outcome().is_err().then_some(()));
}

#[test]
fn pings_alone_keep_no_connection_open() {
    let site = Site::build().listen("keepalive = \"600ms\"\n").start();
    let mut wire = site.https().asking_for("h2").open();
    let fields: [(&[u8], &[u8]); 4] =
        [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"localhost"), (b":path", b"/")];
    wire.send(&[hello(), frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&fields))].concat());
    site.backend.next().reply(ok());
    let (mut pongs, mut idle_since) = (0, None);
    wire.set_patience(Some(Duration::from_millis(50)));
    let idle = loop {
        match next(&mut wire) {
            Ok(Some(came)) if came.kind == PING => pongs += 1,
            Ok(Some(came)) if came.flags & END_STREAM > 0 && came.stream == 1 => idle_since = Some(Instant::now()),
            Ok(Some(came)) if came.kind == GOAWAY => break idle_since.expect("its answer first").elapsed(),
            Ok(Some(_)) => {}
            Ok(None) => break idle_since.expect("its answer first").elapsed(),
            Err(_) => drop(wire.send(&frame(PING, 0, 0, &[0; 8]))),
        }
        assert!(
            idle_since.is_none_or(|since| since.elapsed() < PATIENCE),
            "{pongs} pings are answered, without an end"
        );
    };
    assert!(pongs > 0 && idle >= Duration::from_millis(500), "{pongs} pings, {idle:?}");
}
