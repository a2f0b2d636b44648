//! What clients break off over HTTP/2 is no fault of the server's, and costs nobody else anything.

use std::collections::VecDeque;
use std::net::{TcpListener, TcpStream};

use crate::frames::{Came, END_HEADERS, END_STREAM, HEADERS, PING, RST_STREAM, SETTINGS, frame, next};
use crate::support::wire::Wire;
use crate::support::*;

/// `:status: 200`, of HPACK's static table.
const OK: &[u8] = &[0x88];

/// A server of HTTP/2 whose every byte is the test's.
struct Raw(Wire);

impl Raw {
    fn accept(listener: &TcpListener) -> Self {
        let (socket, _): (TcpStream, _) = eventually("the gateway connects", || listener.accept().ok());
        socket.set_nonblocking(false).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_nodelay(true).unwrap();
        let mut wire = Wire::new(socket.try_clone().unwrap(), socket);
        wire.exactly(24).unwrap().unwrap();
        wire.send(&frame(SETTINGS, 0, 0, &[]));
        Self(wire)
    }

    /// The next frame; pings are answered.
    fn next(&mut self) -> Came {
        let came = next(&mut self.0).expect("a frame by now").expect("the connection should stand");
        if (came.kind, came.flags) == (PING, 0) {
            self.0.send(&frame(PING, 1, 0, &came.payload));
        }
        came
    }

    /// The next frame of this kind.
    fn until(&mut self, kind: u8) -> Came {
        loop {
            let came = self.next();
            if came.kind == kind {
                return came;
            }
        }
    }

    fn answer(&mut self, stream: u32) {
        self.0.send(&frame(HEADERS, END_HEADERS | END_STREAM, stream, OK));
    }
}

fn stand(lines: &str) -> (TcpListener, Site) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let server = format!("h2c://{}", listener.local_addr().unwrap());
    let site = Site::build().listen("workers = 1").servers(&[&server]).upstream(lines).start();
    (listener, site)
}

/// So many requests are broken off one after the other beside one that is held; how many answers to them were refused.
fn break_off(count: usize) -> usize {
    let (listener, site) = stand("");
    let held = site.plain().send(get("/held"));
    let mut server = Raw::accept(&listener);
    let first = server.until(HEADERS).stream;
    let mut broken_off = VecDeque::new();
    for _ in 0..count {
        let leaves = site.plain().send(get("/"));
        let stream = server.until(HEADERS).stream;
        drop(leaves);
        assert_eq!(server.until(RST_STREAM).stream, stream);
        broken_off.push_back(stream);
    }
    // Answers that were on their way when nobody waited for them any more, those to the oldest first.
    for stream in broken_off {
        server.answer(stream);
    }
    let pending = site.plain().send(get("/next"));
    let mut refused = 0;
    let next = loop {
        let came = server.next();
        match came.kind {
            HEADERS => break came.stream,
            RST_STREAM => refused += 1,
            _ => {}
        }
    };
    server.answer(next);
    assert_eq!(pending.answer().status(), 200, "on the same connection");
    server.answer(first);
    assert_eq!(held.answer().status(), 200, "as if nothing had been");
    refused
}

#[test]
fn two_thousand_requests_that_clients_break_off_leave_the_connection_to_the_others() {
    assert_eq!(break_off(2000), 0, "what comes late is no error");
}

#[test]
fn six_thousand_do_too_though_not_all_of_them_are_remembered() {
    break_off(6000);
}

#[test]
fn what_is_one_visitors_is_in_no_table_that_all_of_them_share() {
    let (listener, site) = stand("");
    let asked = get("/").with("Cookie", "own=1").with("Authorization", "Basic xyz").with("X-Other", "1");
    let pending = site.plain().send(asked);
    let mut server = Raw::accept(&listener);
    let head = server.until(HEADERS);
    let has = |bytes: &[u8]| head.payload.windows(bytes.len()).any(|window| window == bytes);
    // Literals that are never indexed, named by the static table (RFC 7541 section 6.2.3 and appendix A).
    assert!(has(&[0x1f, 32 - 15]), "Cookie: {:?}", head.payload);
    assert!(has(&[0x1f, 23 - 15]), "Authorization: {:?}", head.payload);
    server.answer(head.stream);
    assert_eq!(pending.answer().status(), 200);
}

#[test]
fn no_request_is_added_to_a_connection_whose_server_is_in_doubt() {
    let (listener, site) = stand("response_timeout = \"200ms\"");
    let unanswered = site.plain().send(get("/"));
    let mut silent = Raw::accept(&listener);
    silent.until(HEADERS);
    assert_eq!(unanswered.answer().status(), 504);
    // It neither answers the ping that asks whether it is there, nor closes.
    let pending = site.plain().send(get("/"));
    let mut second = Raw::accept(&listener);
    let stream = second.until(HEADERS).stream;
    second.answer(stream);
    assert_eq!(pending.answer().status(), 200, "on a connection of its own");
}
