//! `Expect: 100-continue` (RFC 9110 section 10.1.1), and interim answers.

use crate::frames::{DATA, END_HEADERS, END_STREAM, HEADERS, block, frame, hello, next};
use crate::support::wire::Wire;
use crate::support::*;

/// The head of an upload whose client waits to be told that it is wanted.
const WAITING: &str = "POST /upload HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n";

/// What it may be followed by: how its body is framed, and that body.
const BODIES: [(&str, &str); 2] = [
    ("Content-Length: 11\r\n\r\n", "0123456789a"),
    ("Transfer-Encoding: chunked\r\n\r\n", "b\r\n0123456789a\r\n0\r\n\r\n"),
];

fn status(wire: &mut Wire) -> u16 {
    wire.head().expect("an answer by now").expect("an answer before the end").status()
}

#[test]
fn a_client_that_waits_for_100_is_told_to_go_on_once_and_its_body_arrives_whole() {
    let site = Site::new();
    for door in [site.http(), site.https()] {
        for (framing, body) in BODIES {
            let mut wire = door.open();
            wire.send(format!("{WAITING}{framing}").as_bytes());
            assert_eq!(status(&mut wire), 100);
            wire.send(body.as_bytes());
            let mut exchange = site.backend.next();
            assert_eq!(exchange.header("expect"), None, "the gateway answers it, and nobody else");
            assert_eq!(exchange.body().bytes, b"0123456789a");
            exchange.reply(ok());
            assert_eq!(status(&mut wire), 200, "one 100 alone comes before it");
        }
    }
}

#[test]
fn a_client_that_does_not_wait_for_100_is_served_as_well() {
    let site = Site::new();
    for (framing, body) in BODIES {
        let mut wire = site.http().open();
        wire.send(format!("{WAITING}{framing}{body}").as_bytes());
        let mut exchange = site.backend.next();
        assert_eq!(exchange.body().bytes, b"0123456789a");
        exchange.reply(ok());
        let first = status(&mut wire);
        assert_eq!(if first == 100 { status(&mut wire) } else { first }, 200);
    }
}

#[test]
fn a_backend_that_refuses_before_the_body_is_heard_and_no_body_is_waited_for() {
    let site = Site::new();
    for refusal in ["417 Expectation Failed", "413 Content Too Large", "401 Unauthorized"] {
        for (framing, _) in BODIES {
            let mut wire = site.http().open();
            wire.send(format!("{WAITING}{framing}").as_bytes());
            let mut exchange = site.backend.next();
            exchange.write(format!("HTTP/1.1 {refusal}\r\nContent-Length: 2\r\n\r\nno").as_bytes());
            let head = loop {
                let head = wire.head().expect("an answer by now").expect("an answer before the end");
                if head.status() != 100 {
                    break head;
                }
            };
            assert_eq!(head.status().to_string(), refusal[..3]);
            let body = wire.body(head.response_body("POST")).expect("its body");
            assert_eq!((&body.bytes[..], body.complete), (&b"no"[..], true));
            // What would come next on either connection could be a body as well as a request.
            assert!(wire.closes().is_ok_and(|closed| closed), "the client's connection");
            assert!(exchange.is_given_up(), "the backend's connection");
        }
    }
}

#[test]
fn an_upload_over_http2_waits_for_nobody_to_say_100() {
    let site = Site::new();
    let fields: [(&[u8], &[u8]); 6] = [
        (b":method", b"POST"),
        (b":scheme", b"https"),
        (b":authority", b"localhost"),
        (b":path", b"/upload"),
        (b"expect", b"100-continue"),
        (b"content-length", b"3"),
    ];
    let mut wire = site.https().asking_for("h2").open();
    wire.send(&hello());
    let mut answer = |sent: &[u8], stream: u32, reply: fn(Exchange)| {
        wire.send(sent);
        reply(site.backend.next());
        loop {
            let came = next(&mut wire).expect("an answer by now").expect("an answer before the end");
            if (came.kind, came.stream) == (HEADERS, stream) {
                return came.status();
            }
        }
    };
    let head = |stream| frame(HEADERS, END_HEADERS, stream, &block(&fields));
    // The head goes on before there is a body: a backend may refuse it.
    let refused = answer(&head(1), 1, |mut exchange| {
        assert_eq!(exchange.header("expect"), None);
        exchange.write(b"HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n");
    });
    assert_eq!(refused, 417);
    let taken = answer(&[head(3), frame(DATA, END_STREAM, 3, b"abc")].concat(), 3, |mut exchange| {
        assert_eq!(exchange.body().bytes, b"abc");
        exchange.reply(ok());
    });
    assert_eq!(taken, 200);
}

#[test]
fn interim_answers_of_a_backend_end_here() {
    let site = Site::new();
    let hints: &[u8] = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nX-Session-User: root\r\n\r\n";
    let answer: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let browser = site.guest();
    let pending = browser.send(get("/"));
    let mut exchange = site.backend.next();
    // Each by itself, so that the gateway has it long before the answer.
    exchange.write(hints);
    assert!(exchange.is_held_for(std::time::Duration::from_millis(100)));
    exchange.write(hints);
    exchange.write(answer);
    let answer = pending.answer();
    assert_eq!((answer.status(), &*answer.body, answer.interim.len()), (200, &b"ok"[..], 0));
    assert_eq!(answer.header("link"), None);
    exchange.keep();
    assert_eq!(site.look(&browser).user(), None);
}
