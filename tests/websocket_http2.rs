//! WebSocket over HTTP/2 (RFC 8441): an extended CONNECT is a handshake of HTTP/1.1 to the backend, and what follows it
//! is carried in its stream.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

use support::*;

/// A close frame with the code 1008 (RFC 6455 sections 5.5.1 and 7.4.1).
const CLOSE: &[u8] = b"\x88\x17\x03\xf0the session has ended";

/// A WebSocket ends within a second of its session, the rest of a frame included; the rest is what a busy machine may
/// take.
const SOON: Duration = Duration::from_millis(1500);

const WEBSOCKET: Option<&str> = Some("websocket");

/// As a browser asks (RFC 8441 section 5.1).
const FIELDS: &[(&str, &str)] = &[("sec-websocket-version", "13"), ("origin", "https://localhost")];

/// As a backend agrees to the handshake (RFC 6455 section 4.2.2).
fn agreed(server: &Exchange, lines: &str) -> Vec<u8> {
    let key = server.header("Sec-WebSocket-Key").unwrap();
    let accept = Sha1::new().chain_update(key).chain_update("258EAFA5-E914-47DA-95CA-C5AB0DC85B11").finalize();
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {}\r\n{lines}\r\n",
        STANDARD.encode(accept)
    )
    .into_bytes()
}

/// Both ends of a WebSocket.
fn open(site: &Site, client: &Http2Sockets) -> (Http2Socket, Exchange) {
    open_with(site, client, FIELDS, "")
}

fn open_with(site: &Site, client: &Http2Sockets, fields: &[(&str, &str)], lines: &str) -> (Http2Socket, Exchange) {
    let opening = client.ask("/socket", WEBSOCKET, fields);
    let mut server = site.backend.next();
    server.write(&agreed(&server, lines));
    let socket = opening.answer();
    assert_eq!(socket.status, 200);
    (socket, server)
}

fn client(site: &Site) -> Http2Sockets {
    Http2Sockets::open(&site.https())
}

#[test]
fn a_handshake_of_http1_is_made_and_bytes_pass_both_ways() {
    let site = Site::new();
    let client = client(&site);
    let fields = [FIELDS, &[("sec-websocket-protocol", "chat"), ("sec-websocket-key", "forged")]].concat();
    let mut keys = Vec::new();
    for _ in 0..3 {
        let (mut socket, mut server) = open_with(&site, &client, &fields, "Sec-WebSocket-Protocol: chat\r\n");
        assert_eq!((server.method(), server.target()), ("GET", "/socket"));
        assert_eq!((server.header("host"), server.header("connection")), (Some("localhost"), Some("upgrade")));
        assert_eq!((server.header("upgrade"), server.header("via")), (Some("websocket"), Some("2 session-gateway")));
        assert_eq!(
            (server.header("origin"), server.header("sec-websocket-version")),
            (Some("https://localhost"), Some("13"))
        );
        assert_eq!((server.header("content-length"), server.header("transfer-encoding")), (None, None));
        assert!(server.session("Id").is_some());
        let key = server.header("sec-websocket-key").unwrap().to_owned();
        assert_eq!(STANDARD.decode(&key).unwrap().len(), 16);
        keys.push(key);
        for name in ["connection", "upgrade", "sec-websocket-accept", "content-length"] {
            assert!(!socket.headers.contains_key(name), "{name}: {:?}", socket.headers);
        }
        assert_eq!(socket.headers.get("sec-websocket-protocol").unwrap(), "chat");
        for round in 0..3 {
            socket.write(format!("\x00\r\n\r\nGET / HTTP/1.1 {round}").as_bytes());
            server.until(format!("GET / HTTP/1.1 {round}").as_bytes());
            server.write(format!("\x7f\r\n\r\nHTTP/1.1 200 {round}").as_bytes());
            socket.until(format!("HTTP/1.1 200 {round}").as_bytes());
        }
    }
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 3, "each has a key of its own");
}

#[test]
fn what_comes_with_the_handshake_is_not_lost() {
    let site = Site::new();
    let client = client(&site);
    let opening = client.ask("/", WEBSOCKET, FIELDS);
    let mut server = site.backend.next();
    let early = [agreed(&server, ""), b"early server".to_vec()].concat();
    server.write(&early);
    let mut socket = opening.answer();
    socket.until(b"early server");
    socket.write(b"first words");
    server.until(b"first words");
}

#[test]
fn a_handshake_is_told_who_is_calling_and_may_change_the_session() {
    let site = Site::new();
    let browser = site.login("ada");
    let cookie = format!("{COOKIE}={}", browser.sid().unwrap());
    let fields = [FIELDS, &[("cookie", &*cookie), ("cookie", "own=1"), ("x-session-user", "forged")]].concat();
    let (socket, server) = open_with(&site, &client(&site), &fields, "X-Session-Patch: {\"socket\":1}\r\n");
    assert_eq!((server.session("User"), server.header("cookie")), (Some("ada"), Some("own=1")));
    assert!(!socket.headers.keys().any(|name| name.as_str().starts_with("x-session")));
    assert_eq!(site.look(&browser).session("Data"), Some("{\"socket\":1}"));
}

#[test]
fn one_that_another_site_s_page_opens_in_a_session_is_refused_where_that_is_enforced() {
    let site = Site::build().routes(&["path = \"/\"\nupstream = \"app\"\ncsrf = \"enforce\""]).start();
    let cookie = format!("{COOKIE}={}", site.login("ada").sid().unwrap());
    let fields = [("sec-websocket-version", "13"), ("origin", "https://elsewhere.example"), ("cookie", &*cookie)];
    assert_eq!(client(&site).ask("/", WEBSOCKET, &fields).answer().status, 403);
    site.backend.saw_nothing();
}

#[test]
fn a_refusal_is_an_answer_like_any_other() {
    let site = Site::new();
    let client = client(&site);
    for status in ["403 Forbidden", "302 Found"] {
        let opening = client.ask("/", WEBSOCKET, FIELDS);
        site.backend.next().respond(status, &[("Location", "/login")], b"no");
        let mut answer = opening.answer();
        assert_eq!((answer.status.to_string(), answer.rest()), (status[..3].to_owned(), b"no".to_vec()));
    }
}

#[test]
fn what_a_client_would_take_for_an_open_websocket_is_502() {
    let site = Site::new();
    let client = client(&site);
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
    ] {
        let opening = client.ask("/", WEBSOCKET, FIELDS);
        site.backend.next().respond_and_close(answer.as_bytes());
        assert_eq!(opening.answer().status, 502, "{answer}");
    }
}

#[test]
fn other_protocols_are_501_and_none_is_405() {
    let site = Site::new();
    let client = client(&site);
    for (protocol, status) in
        [(Some("connect-udp"), 501), (Some("WebSocket"), 501), (Some("websocket2"), 501), (None, 405)]
    {
        assert_eq!(client.ask("/", protocol, &[]).answer().status, status, "{protocol:?}");
    }
    site.backend.saw_nothing();
}

#[test]
fn they_share_a_connection_with_all_there_is() {
    let site = Site::new();
    let client = client(&site);
    let mut open: Vec<_> = (0..10).map(|_| self::open(&site, &client)).collect();
    for (number, (socket, server)) in open.iter_mut().enumerate() {
        socket.write(format!("<{number}>").as_bytes());
        assert_eq!(server.until(b">"), format!("<{number}>").as_bytes());
    }
    // One that nobody reads from holds up no other.
    let (_stalled, server) = &mut open[0];
    let taken = server.pour(64 * 1024 * 1024);
    assert!(taken < 64 * 1024 * 1024, "nobody reads, and {taken} bytes are taken");
    let (socket, server) = &mut open[1];
    server.write(b"still here");
    socket.until(b"still here");
}

#[test]
fn more_than_all_buffers_hold_passes_whole_and_waits_for_who_reads_slowly() {
    const SIZE: usize = 32 * 1024 * 1024;
    let site = Site::new();
    let client = client(&site);
    let (mut socket, mut server) = open(&site, &client);
    let taken = server.pour(SIZE);
    assert!(taken < SIZE, "nobody reads, and {taken} bytes are taken");
    let writer = std::thread::spawn(move || {
        assert!(server.send(&vec![0; SIZE - taken]) && server.send(b"end"));
        server
    });
    socket.takes(SIZE);
    socket.until(b"end");
    let mut server = writer.join().unwrap();
    let taken = socket.pour(SIZE);
    assert!(taken < SIZE, "nobody reads, and {taken} bytes are taken");
    socket.write(b"end");
    assert_eq!(server.until(b"end").len(), taken + 3);
}

#[test]
fn it_is_closed_at_the_end_of_a_frame_when_its_session_is_revoked_and_no_other_is() {
    let site = Site::new();
    let client = client(&site);
    let cookie = |user| format!("{COOKIE}={}", site.login(user).sid().unwrap());
    let (alice, bob) = (cookie("alice"), cookie("bob"));
    let open = |cookie: &str| open_with(&site, &client, &[FIELDS, &[("cookie", cookie)]].concat(), "");
    let ((mut socket, mut server), (mut others, mut others_server)) = (open(&alice), open(&bob));
    server.write(b"\x82\x0ahalf ");
    socket.until(b"half ");
    assert_eq!(site.admin(request("DELETE", "/sessions?user=alice")).status(), 200);
    let began = Instant::now();
    // It is known that the session has ended by then, and the rest of the frame is waited for.
    std::thread::sleep(Duration::from_millis(700));
    server.write(b"there\x81\x05never");
    assert_eq!(socket.rest(), [b"there", CLOSE].concat());
    assert!(server.is_given_up());
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    others_server.write(b"\x81\x02hi");
    others.until(b"\x81\x02hi");
    others.write(b"\x81\x82abcd\x09\x0b");
    others_server.until(b"\x81\x82abcd\x09\x0b");
}

#[test]
fn who_leaves_takes_the_other_along() {
    let site = Site::new();
    let client = client(&site);
    let (socket, mut server) = open(&site, &client);
    socket.reset();
    assert!(server.is_given_up());
    let (mut socket, server) = open(&site, &client);
    drop(server);
    assert_eq!(socket.rest(), b"");
    let (_socket, mut server) = open(&site, &client);
    drop(client);
    assert!(server.is_given_up());
}

#[test]
fn one_side_may_have_said_all_before_the_other() {
    let site = Site::new();
    let client = client(&site);
    let (mut socket, mut server) = open(&site, &client);
    socket.write(b"goodbye");
    socket.finish();
    server.until(b"goodbye");
    assert!(server.is_given_up(), "the end of one direction is passed on");
    server.write(b"and thanks");
    socket.until(b"and thanks");
}

#[test]
fn a_silent_one_is_closed_and_one_that_moves_is_not() {
    let site = Site::build().upstream("websocket_timeout = \"400ms\"\n").start();
    let client = client(&site);
    let (mut silent, mut silent_server) = open(&site, &client);
    let (mut lively, mut server) = open(&site, &client);
    // More than twice its timeout.
    for _ in 0..20 {
        server.write(b"tick");
        lively.until(b"tick");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(silent_server.is_given_up() && silent.rest().is_empty());
    lively.write(b"still here");
    server.until(b"still here");
}

#[test]
fn it_is_in_flight_for_as_long_as_it_is_open() {
    let mut site = Site::build().listen("header_timeout = \"200ms\"\ndrain_timeout = \"600ms\"\n").start();
    let client = client(&site);
    let (mut socket, mut server) = open(&site, &client);
    std::thread::sleep(Duration::from_secs(1));
    socket.write(b"not idle");
    server.until(b"not idle");
    let stopping = site.stop();
    assert!(server.is_given_up());
    socket.rest();
    stopping.join().unwrap();
}

#[test]
fn it_is_counted_once_as_101_and_logged_as_what_was_asked() {
    let process = Process::start(&Site::build(), "access = \"json\"");
    let client = Http2Sockets::open(&process.https());
    let opening = client.ask("/socket", WEBSOCKET, FIELDS);
    let mut server = process.backend.next();
    server.write(&agreed(&server, ""));
    let mut socket = opening.answer();
    server.write(b"0123456789");
    socket.until(b"0123456789");
    socket.reset();
    assert!(server.is_given_up());
    drop(server);
    let line: serde_json::Value = serde_json::from_str(&process.access_lines(1)[0]).unwrap();
    assert_eq!((line["status"].as_u64(), line["bytes"].as_u64()), (Some(101), Some(10)), "{line}");
    assert_eq!((line["method"].as_str(), line["version"].as_str()), (Some("CONNECT"), Some("HTTP/2")), "{line}");
    // The line is written once it is counted.
    let metrics = process.admin().send(get("/metrics")).answer().text();
    let requests: Vec<_> = metrics.lines().filter(|line| line.starts_with("session_gateway_requests_total{")).collect();
    let counted: Vec<_> = requests.into_iter().filter(|sample| !sample.ends_with(" 0")).collect();
    assert_eq!(counted.len(), 1, "one status of one route: {counted:?}");
    assert!(counted[0].contains("status=\"101\"") && counted[0].ends_with(" 1"), "{counted:?}");
    assert_eq!(process.access_lines(1).len(), 1);
}
