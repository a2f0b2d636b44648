//! How much somebody may say at the edge of whose connection it is.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::support::{PATIENCE, Site, ok};

#[test]
fn a_proxy_header_has_an_end() {
    let site = Site::build().listen("proxy_protocol = true\ntrusted_proxies = [\"127.0.0.1\"]").start();
    // 16 bytes before what has a length, 12 of addresses, and 3 before what says nothing (PP2_TYPE_NOOP).
    for (size, fits) in [(4096, true), (4097, false), (60_000, false)] {
        let (length, rest) = (size - 16, size - 16 - 12 - 3);
        let [length, rest] = [length, rest].map(|number: usize| u16::try_from(number).unwrap().to_be_bytes());
        let addresses = [192, 0, 2, 1, 192, 0, 2, 2, 0, 1, 0, 2];
        let mut header = [b"\r\n\r\n\0\r\nQUIT\n\x21\x11", &length[..], &addresses, &[4], &rest].concat();
        header.resize(size, 0);
        let mut stream = TcpStream::connect(site.http().address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        // The gateway may have said its last word.
        let _ = stream.write_all(&header);
        let _ = stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        if fits {
            site.backend.next().reply(ok());
        }
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert_eq!(answer.starts_with(b"HTTP/1.1 200 "), fits, "{size}");
        site.backend.saw_nothing();
    }
}
