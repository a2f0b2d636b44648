//! An honest client that has much to say, and says that it has heard. Beside the floods of `abuse.rs`, but not in one
//! process with them: those are timed.

#[path = "hygiene/frames.rs"]
#[allow(dead_code)]
mod frames;
#[path = "support/mod.rs"]
mod support;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

use frames::{
    DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, RST_STREAM, WINDOW_UPDATE, block, frame, hello, next,
};
use support::{Process, Site};

const MESSAGE: &[u8] = b"sixteen bytes 16";
const POST: [(&[u8], &[u8]); 4] =
    [(b":method", b"POST"), (b":scheme", b"https"), (b":authority", b"localhost"), (b":path", b"/")];

/// A gateway in front of a backend that repeats a body as it comes.
fn gateway() -> Process {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let server = format!("http://{}", listener.local_addr().expect("a bound address"));
    thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            stream.set_nodelay(true).expect("a socket");
            thread::spawn(move || {
                let mut bytes = [0; 8192];
                let mut head = Vec::new();
                let end = loop {
                    match stream.read(&mut bytes) {
                        Ok(0) | Err(_) => return,
                        Ok(size) => head.extend_from_slice(&bytes[..size]),
                    }
                    if let Some(end) = head.windows(4).position(|window| window == b"\r\n\r\n") {
                        break end + 4;
                    }
                };
                // What is in chunks stays in chunks.
                let begun = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
                let mut sent = stream.write_all(&[begun, &head[end..]].concat());
                while let (Ok(()), Ok(size @ 1..)) = (&sent, stream.read(&mut bytes)) {
                    sent = stream.write_all(&bytes[..size]);
                }
            });
        }
    });
    Process::start(&Site::build().servers(&[&server]), "access = \"off\"")
}

/// Sends so many messages in one request, each once the one before has come back, and opens both windows and asks how
/// long the way is for each that comes.
fn converse(process: &Process, messages: usize) {
    let mut wire = process.https().asking_for("h2").open();
    wire.send(&[hello(), frame(HEADERS, END_HEADERS, 1, &block(&POST))].concat());
    let size = u32::try_from(MESSAGE.len()).expect("short").to_be_bytes();
    let heard =
        [frame(WINDOW_UPDATE, 0, 0, &size), frame(WINDOW_UPDATE, 0, 1, &size), frame(PING, 0, 0, b"how long")].concat();
    let mut said = Vec::new();
    for count in 0..messages {
        said.extend(frame(DATA, 0, 1, MESSAGE));
        assert!(wire.send(&said), "it is ended after {count} messages");
        let mut came = 0;
        while came < MESSAGE.len() {
            let frame = next(&mut wire).expect("an answer in time");
            let frame = frame.unwrap_or_else(|| panic!("it is ended after {count} messages"));
            assert!(![GOAWAY, RST_STREAM].contains(&frame.kind), "{frame:?} after {count} messages");
            if frame.kind == DATA {
                came += frame.payload.len();
            }
        }
        said.clone_from(&heard);
    }
    wire.send(&frame(DATA, END_STREAM, 1, b""));
    loop {
        let frame = next(&mut wire).expect("an answer in time").expect("the end of an answer");
        assert!(![GOAWAY, RST_STREAM].contains(&frame.kind), "{frame:?}");
        if frame.kind == DATA && frame.flags & END_STREAM > 0 {
            return;
        }
    }
}

#[test]
fn client_that_acknowledges_each_of_a_hundred_thousand_messages_is_no_flood() {
    converse(&gateway(), 100_000);
}
