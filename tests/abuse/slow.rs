//! Clients that take their time. Each says when it was ended.

use std::time::{Duration, Instant};
use std::{fs, io, thread};

use super::frames::{DATA, END_HEADERS, END_STREAM, HEADERS, SETTINGS, block, frame, hello, next};
use super::support::browser::Door;
use super::support::wire::Wire;

/// What a client does at these addresses, for clear text and for TLS; how long it was let, once it was connected.
pub(crate) type Attack = fn(&Door, &Door) -> Duration;

pub(crate) const ATTACKS: &[(&str, Attack)] = &[
    ("says nothing", |http, _| dribble(http.open(), b"", b"")),
    ("says nothing before TLS", |_, https| dribble(bare(https).open(), b"", b"")),
    ("says hello slowly", |_, https| {
        dribble(bare(https).open(), b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", &[0; 64])
    }),
    ("says nothing behind TLS", |_, https| dribble(https.open(), b"", b"")),
    ("says nothing in HTTP/2", |_, https| dribble(https.asking_for("h2").open(), &hello(), b"")),
    ("a slow head", |http, _| dribble(http.open(), b"GET / HTTP/1.1\r\nX: ", &[b'a'; 64])),
    ("slow lines of a head", |http, _| dribble(http.open(), b"GET / HTTP/1.1\r\n", &b"X:\r\n".repeat(16))),
    ("half a head", |_, https| dribble(https.open(), b"GET / HTTP/1.1\r\nHost: localhost\r\n", b"")),
    ("a slow body", |http, _| dribble(http.open(), POST, &[b'a'; 64])),
    ("half a body", |_, https| dribble(https.open(), POST, b"")),
    ("slow chunks", |http, _| dribble(http.open(), CHUNKED, &b"1\r\na\r\n".repeat(16))),
    ("a slow body in HTTP/2", |_, https| {
        let head = frame(HEADERS, END_HEADERS, 1, &request("POST", "/"));
        let wire = https.asking_for("h2").open();
        dribble_body(wire, &[hello(), head].concat())
    }),
    ("a header block that does not end", |_, https| {
        let head = frame(HEADERS, END_STREAM, 1, &request("GET", "/"));
        dribble(https.asking_for("h2").open(), &[hello(), head].concat(), b"")
    }),
    ("a header block that does not end beside a request", |_, https| {
        let served = frame(HEADERS, END_HEADERS, 1, &request("POST", "/"));
        let head = frame(HEADERS, END_STREAM, 3, &request("GET", "/"));
        dribble(https.asking_for("h2").open(), &[hello(), served, head].concat(), b"")
    }),
    ("a slow header block", |_, https| {
        let head = frame(HEADERS, END_STREAM, 1, &request("GET", "/"));
        let more = frame(9, 0, 1, &block(&[(b"x", b"y")]));
        dribble(https.asking_for("h2").open(), &[hello(), head].concat(), &more.repeat(8))
    }),
    ("opens no window", |_, https| {
        let settings = frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
        let asked = frame(HEADERS, END_HEADERS | END_STREAM, 1, &request("GET", "/big"));
        let wire = https.asking_for("h2").open();
        dribble(wire, &[hello(), settings, asked].concat(), b"")
    }),
    // The last, for it is some time until all buffers on its way are full.
    ("reads nothing", |http, _| idle_reader(http)),
];

const POST: &[u8] = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n";
const CHUNKED: &[u8] = b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";

/// The TLS address without TLS.
fn bare(door: &Door) -> Door {
    Door { tls: None, ..door.clone() }
}

pub(crate) fn request(method: &str, path: &str) -> Vec<u8> {
    let fields = [(":method", method), (":scheme", "https"), (":authority", "localhost"), (":path", path)];
    block(&fields.map(|(name, value)| (name.as_bytes(), value.as_bytes())))
}

/// Sends this, then the rest bit by bit, twice a second, until the connection ends.
fn dribble(mut wire: Wire, first: &[u8], rest: &[u8]) -> Duration {
    let start = Instant::now();
    wire.send(first);
    wire.set_patience(Some(Duration::from_millis(500)));
    let mut rest = rest.chunks(rest.len().div_ceil(32).max(1));
    while start.elapsed() < Duration::from_secs(20) {
        match wire.closes() {
            Ok(_) => return start.elapsed(),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
            Err(error) => panic!("{error}"),
        }
        if let Some(piece) = rest.next() {
            wire.send(piece);
        }
    }
    Duration::MAX
}

/// Sends a body in HTTP/2 byte by byte, until its stream ends: the connection is good for others.
fn dribble_body(mut wire: Wire, first: &[u8]) -> Duration {
    let start = Instant::now();
    wire.send(first);
    wire.set_patience(Some(Duration::from_millis(500)));
    while start.elapsed() < Duration::from_secs(20) {
        match next(&mut wire) {
            Ok(Some(came)) if came.kind == HEADERS => {
                assert_eq!(came.status(), 408);
                return start.elapsed();
            }
            Ok(Some(_)) => {}
            Ok(None) => return start.elapsed(),
            Err(_) => {
                wire.send(&frame(DATA, 0, 1, b"a"));
            }
        }
    }
    Duration::MAX
}

/// Asks for much and takes nothing of it. So it cannot see that it has been ended: the system is asked.
fn idle_reader(door: &Door) -> Duration {
    let mut wire = door.open();
    let start = Instant::now();
    wire.send(b"GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let (near, far) = (wire.local_port(), door.address.port());
    // The table is long: nobody looks into it while a client beside is timed.
    let mut wait = Duration::from_secs(7);
    while start.elapsed() < Duration::from_secs(20) {
        thread::sleep(wait);
        if !is_established(far, near) {
            return start.elapsed();
        }
        wait = Duration::from_millis(200);
    }
    Duration::MAX
}

/// Whether the system still has a connection of the one local port's socket with the other's (proc(5),
/// `/proc/net/tcp`).
fn is_established(port: u16, peer: u16) -> bool {
    let table = fs::read_to_string("/proc/net/tcp").expect("a table of connections");
    let (port, peer) = (format!(":{port:04X}"), format!(":{peer:04X}"));
    table.lines().any(|line| {
        let mut columns = line.split_ascii_whitespace().skip(1);
        let mut is = |end: &str| columns.next().is_some_and(|column| column.ends_with(end));
        is(&port) && is(&peer) && is("01")
    })
}
