//! The PROXY protocol in front of clear text and of TLS.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};

use super::support::site::roots;
use super::support::{PATIENCE, Seen, Setup, Site, eventually, ok};

const LINE: &[u8] = b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n";
const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

fn behind(lines: &str) -> Setup {
    Site::build().listen(&format!("proxy_protocol = true\ntrusted_proxies = [\"127.0.0.1\"]\n{lines}"))
}

fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [b"\r\n\r\n\0\r\nQUIT\n", &[command, family][..], &length, rest].concat()
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Asks on, and what the backend has seen and the client was answered.
fn ask(site: &Site, stream: impl Read + Write) -> Seen {
    ask_this(site, stream, GET)
}

fn ask_this(site: &Site, mut stream: impl Read + Write, request: &[u8]) -> Seen {
    stream.write_all(request).unwrap();
    let exchange = site.backend.next();
    let seen = Seen { head: exchange.head.clone() };
    exchange.reply(ok());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer));
    seen
}

fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
        Err(error) => panic!("still open: {error}"),
    }
    rest
}

#[test]
fn client_is_who_the_header_says_in_both_versions_over_clear_text_and_tls() {
    let site = behind("").start();
    let tls = Arc::new(roots(&site.dir().join("dev.crt")));
    let ipv6 = [&[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7][..], &[0; 16], &[0, 1, 0, 2]].concat();
    let with_more = [&ipv6[..], &[4, 0, 1, 0]].concat();
    for (header, client) in [
        (LINE.to_vec(), "192.0.2.1"),
        (b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.1"),
        (binary(0x21, 0x21, &ipv6), "2001:db8::7"),
        (binary(0x21, 0x21, &with_more), "2001:db8::7"),
        (binary(0x20, 0x00, &[]), "127.0.0.1"),
    ] {
        let mut plain = connect(site.http().address);
        plain.write_all(&header).unwrap();
        assert_eq!(ask(&site, plain).header("X-Forwarded-For"), Some(client), "{header:?}");

        let mut socket = connect(site.https().address);
        socket.write_all(&header).unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let stream = StreamOwned::new(ClientConnection::new(Arc::clone(&tls), name).unwrap(), socket);
        let seen = ask(&site, stream);
        assert_eq!(seen.header("X-Forwarded-For"), Some(client), "{header:?} before TLS");
        assert_eq!(seen.header("X-Forwarded-Proto"), Some("https"));
    }
}

#[test]
fn header_in_pieces_and_with_the_request_behind_it_is_read() {
    let site = behind("").start();
    for header in [LINE.to_vec(), binary(0x21, 0x11, &[192, 0, 2, 1, 192, 0, 2, 2, 1, 1, 1, 187])] {
        let mut stream = connect(site.http().address);
        for byte in &header {
            stream.write_all(&[*byte]).unwrap();
        }
        assert_eq!(ask(&site, stream).header("X-Forwarded-For"), Some("192.0.2.1"), "byte by byte");
        let mut stream = connect(site.http().address);
        stream.write_all(&[&header[..], GET].concat()).unwrap();
        let exchange = site.backend.next();
        assert_eq!(exchange.head.fields.one("X-Forwarded-For"), Some("192.0.2.1"), "at once");
        exchange.reply(ok());
    }
}

#[test]
fn client_of_the_header_is_not_trusted_for_its_proxy() {
    let site = behind("").start();
    let mut stream = connect(site.http().address);
    stream.write_all(LINE).unwrap();
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: a\r\nx-forwarded-for: 203.0.113.1\r\nconnection: close\r\n\r\n")
        .unwrap();
    let exchange = site.backend.next();
    assert_eq!(exchange.head.fields.one("X-Forwarded-For"), Some("192.0.2.1"));
    exchange.reply(ok());
}

#[test]
fn connection_without_a_valid_header_is_closed_without_a_word_and_counted() {
    let site = behind("handshake_timeout = \"300ms\"").start();
    let long = [b"PROXY UNKNOWN ", &[b'x'; 200][..], b"\r\n"].concat();
    let wrong: [&[u8]; 7] = [
        GET,
        b"PROXY TCP4 192.0.2.1 192.0.2.2 56324\r\n\r\n",
        &long,
        &binary(0x21, 0x11, &[1; 11]),
        &binary(0x21, 0x00, &[0xff; 5000]),
        // These two never end; the timeout for handshakes does.
        b"PROXY TCP4 192.0.2.1",
        b"",
    ];
    for bytes in wrong {
        let mut stream = connect(site.http().address);
        stream.write_all(bytes).unwrap();
        assert_eq!(rest(&mut stream), b"", "{:?}", String::from_utf8_lossy(bytes));
    }
    let refused = || site.metric("session_gateway_proxy_headers_refused_total", &[]);
    eventually("all of them are counted", || (refused() == wrong.len() as u64).then_some(()));
    site.backend.saw_nothing();
}

#[test]
fn header_of_a_stranger_is_not_even_read() {
    let site = Site::build().listen("proxy_protocol = true\ntrusted_proxies = [\"10.0.0.0/8\"]").start();
    let mut stream = connect(site.http().address);
    stream.write_all(&[LINE, GET].concat()).unwrap();
    assert_eq!(rest(&mut stream), b"");
    site.backend.saw_nothing();
}

#[test]
fn header_where_none_is_expected_is_no_request() {
    let site = Site::build().listen("trusted_proxies = [\"127.0.0.1\"]").start();
    for header in [LINE.to_vec(), binary(0x20, 0x00, &[])] {
        let mut stream = connect(site.http().address);
        stream.write_all(&[&header[..], GET].concat()).unwrap();
        let answer = rest(&mut stream);
        assert!(answer.starts_with(b"HTTP/1.1 400 "), "{}", String::from_utf8_lossy(&answer));
    }
    site.backend.saw_nothing();
}

#[test]
fn only_the_proxy_itself_is_believed_for_its_address() {
    const TELLING: &[u8] =
        b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nx-forwarded-for: 203.0.113.1\r\n\
        x-forwarded-proto: https\r\n\r\n";
    let site = behind("").start();
    let local = [127, 0, 0, 1, 127, 0, 0, 1, 0, 1, 0, 1];
    let somebody = ("127.0.0.1", "http");
    for (header, expected) in [
        (b"PROXY UNKNOWN\r\n".to_vec(), somebody),
        (b"PROXY UNKNOWN 127.0.0.1 127.0.0.1 1 2\r\n".to_vec(), somebody),
        (binary(0x21, 0x00, &[]), somebody),
        // Datagrams, and sockets of the proxy's own machine.
        (binary(0x21, 0x12, &local), somebody),
        (binary(0x21, 0x31, &[0; 216]), somebody),
        // A health check of the proxy's own, or a proxy behind it.
        (binary(0x20, 0x00, &[]), ("203.0.113.1, 127.0.0.1", "https")),
        (binary(0x21, 0x11, &local), ("203.0.113.1, 127.0.0.1", "https")),
    ] {
        let mut stream = connect(site.http().address);
        stream.write_all(&header).unwrap();
        let seen = ask_this(&site, stream, TELLING);
        let told = ["X-Forwarded-For", "X-Forwarded-Proto"].map(|name| seen.header(name).unwrap());
        assert_eq!((told[0], told[1]), expected, "{}", header.escape_ascii());
    }
}

#[test]
fn header_and_handshake_that_outlast_a_first_requests_time_are_counted() {
    let site = behind("handshake_timeout = \"1h\"\nheader_timeout = \"200ms\"").start();
    let mut unannounced = connect(site.http().address);
    unannounced.write_all(b"PROXY TCP4 ").unwrap();
    let mut announced = connect(site.https().address);
    announced.write_all(&[LINE, b"\x16\x03\x01"].concat()).unwrap();
    assert_eq!((rest(&mut unannounced), rest(&mut announced)), (Vec::new(), Vec::new()));
    for (counter, count) in [("proxy_headers_refused", 1), ("tls_handshakes_failed", 1), ("connections_timed_out", 2)] {
        let counted = || site.metric(&format!("session_gateway_{counter}_total"), &[]);
        eventually(counter, || (counted() == count).then_some(()));
    }
}
