//! Clients that send as fast as they can. Each says how much it had sent when it was told to go, and how it was told.

use std::time::Duration;

use super::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, RST_STREAM, SETTINGS, WINDOW_UPDATE, block,
    frame, hello, next,
};
use super::slow::request;
use super::support::browser::Door;

/// What a client does at these addresses, for clear text and for TLS; how that ended.
pub(crate) type Flood = fn(&Door, &Door) -> Told;

/// How a flood ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told {
    /// How many bytes it had sent.
    pub(crate) sent: usize,
    /// The code of the GOAWAY; none where the connection just ended.
    pub(crate) code: Option<u32>,
}

/// Their names, how many bytes an honest client may send of such frames, and what they do.
pub(crate) const FLOODS: &[(&str, usize, Flood)] = &[
    ("rapid reset", 1000, |_, https| {
        flood(https, b"", |n| {
            [
                frame(HEADERS, END_HEADERS | END_STREAM, stream(n), &request("GET", "/")),
                frame(RST_STREAM, 0, stream(n), &[0, 0, 0, 8]),
            ]
            .concat()
        })
    }),
    ("made you reset, by a window", 0, |_, https| {
        flood(https, b"", |n| {
            [
                frame(HEADERS, END_HEADERS | END_STREAM, stream(n), &request("GET", "/big")),
                frame(WINDOW_UPDATE, 0, stream(n), &[0; 4]),
            ]
            .concat()
        })
    }),
    ("made you reset, by a length", 6000, |_, https| {
        flood(https, b"", |n| {
            let fields = block(&[(b"content-length", b"5")]);
            [
                frame(HEADERS, END_HEADERS, stream(n), &[request("POST", "/"), fields].concat()),
                frame(DATA, END_STREAM, stream(n), b"a"),
            ]
            .concat()
        })
    }),
    ("requests that are none", 1400, |_, https| {
        flood(https, b"", |n| frame(HEADERS, END_HEADERS | END_STREAM, stream(n), &block(&[(b":method", b"GET")])))
    }),
    ("continuations", 0, |_, https| {
        let head = frame(HEADERS, END_STREAM, 1, &request("GET", "/"));
        flood(https, &head, |_| frame(CONTINUATION, 0, 1, &block(&[(b"x", b"y")])))
    }),
    ("empty continuations", 0, |_, https| {
        let head = frame(HEADERS, END_STREAM, 1, &request("GET", "/"));
        flood(https, &head, |_| frame(CONTINUATION, 0, 1, &[]))
    }),
    ("settings", 4000, |_, https| flood(https, b"", |_| frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100]))),
    ("acknowledged settings", 0, |_, https| flood(https, b"", |_| frame(SETTINGS, 1, 0, &[]))),
    ("pings", 60_000, |_, https| flood(https, b"", |_| frame(PING, 0, 0, &[0; 8]))),
    ("priorities", 14_000, |_, https| flood(https, b"", |n| frame(2, 0, stream(n), &[0, 0, 0, 0, 16]))),
    ("windows", 100_000, |_, https| flood(https, b"", |_| frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]))),
    ("frames of no kind", 100_000, |_, https| flood(https, b"", |_| frame(0xbe, 0, 0, b"ef"))),
    ("empty data", 500, |_, https| {
        let head = frame(HEADERS, END_HEADERS, 1, &request("POST", "/"));
        flood(https, &head, |_| frame(DATA, 0, 1, &[]))
    }),
    ("data of padding", 700, |_, https| {
        let head = frame(HEADERS, END_HEADERS, 1, &request("POST", "/"));
        flood(https, &head, |_| frame(DATA, 8, 1, &[3, 0, 0, 0]))
    }),
    ("an HPACK bomb", 4000, |_, https| flood(https, b"", |n| bomb(stream(n)))),
    ("a megabyte of headers in HTTP/2", 16_000, |_, https| {
        let head = frame(HEADERS, END_STREAM, 1, &request("GET", "/"));
        flood(https, &head, |_| frame(CONTINUATION, 0, 1, &block(&[(b"x", &[b'y'; 8000])])))
    }),
    ("a megabyte of headers", 16_000, |http, _| {
        let mut wire = http.open();
        let begun = wire.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n");
        let line = [b"X: ".as_slice(), &[b'y'; 1000], b"\r\n"].concat();
        let mut sent = 0;
        wire.set_patience(Some(Duration::from_millis(1)));
        while begun && sent < 1 << 20 {
            if !wire.send(&line) || wire.closes().is_ok() {
                break;
            }
            sent += line.len();
        }
        Told { sent, code: None }
    }),
];

fn stream(number: u32) -> u32 {
    2 * number + 1
}

/// The first puts 4,000 bytes into the table, and each refers to them 4,000 times.
fn bomb(stream: u32) -> Vec<u8> {
    let mut block = request("GET", "/");
    if stream == 1 {
        // A literal that is indexed (RFC 7541 section 6.2.1): a length of 4,000 is 127 and 3,873.
        block.extend_from_slice(&[0x40, 1, b'x', 127, 0xa1, 0x1e]);
        block.extend_from_slice(&[b'y'; 4000]);
    }
    block.extend(std::iter::repeat_n(0xbe, 4000));
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &block)
}

/// Sends what begins it, then one after the other of these, until it is told to go; at most a megabyte.
fn flood(https: &Door, begin: &[u8], more: impl Fn(u32) -> Vec<u8>) -> Told {
    let mut wire = https.asking_for("h2").open();
    wire.send(&[&hello(), begin].concat());
    wire.set_patience(Some(Duration::from_millis(1)));
    let (mut sent, mut number) = (0, 0);
    while sent < 1 << 20 {
        let mut batch = Vec::new();
        // At first few at once, so that it is seen after how many it is told.
        while batch.len() < if sent < 4 * 1024 { 256 } else { 2048 } {
            batch.extend(more(number));
            number += 1;
        }
        if !wire.send(&batch) {
            break;
        }
        sent += batch.len();
        loop {
            match next(&mut wire) {
                Ok(Some(came)) if came.kind == GOAWAY => return Told { sent, code: Some(came.code()) },
                Ok(Some(_)) => {}
                Ok(None) => return Told { sent, code: None },
                Err(_) => break,
            }
        }
    }
    Told { sent, code: None }
}
