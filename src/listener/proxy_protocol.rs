//! The PROXY protocol, versions 1 and 2: what a proxy says before a connection's own first byte about whose it is.
//!
//! Specified in `HAProxy`'s `doc/proxy-protocol.txt`. Exactly the header is read: what follows it belongs to TLS or
//! HTTP.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::proxy::Announced;
use crate::proxy::forwarded::Trusted;

/// Why a connection is refused that should begin with a header.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It begins with something else.
    #[error("no PROXY protocol header")]
    Missing,
    /// It begins like a header, and goes on otherwise.
    #[error("a malformed PROXY protocol header: {0}")]
    Malformed(&'static str),
    /// It is of nobody whose headers are believed.
    #[error("it comes from no trusted proxy")]
    Stranger,
    /// It did not come in time.
    #[error("the PROXY protocol header took too long")]
    Slow,
    /// It was not read to its end.
    #[error("the PROXY protocol header could not be read")]
    Io(#[from] io::Error),
}

/// How version 2 begins. No version of HTTP or TLS does.
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// How version 1 begins.
const WORD: &[u8] = b"PROXY ";
/// `PROXY UNKNOWN\r\n`; no header of either version is shorter.
const SHORTEST: usize = 15;
/// What version 1 promises.
const LONGEST_LINE: usize = 107;
/// Where version 2's own length begins to count.
const FIXED: usize = 16;
/// As nginx: more than any proxy has to tell, and what every connection may cost before it is one.
const LONGEST: usize = 4096;

/// Whose a connection is, as its header has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// That of the client at this address.
    Client(SocketAddr),
    /// The proxy's own, such as a health check.
    Proxy,
    /// That of somebody whose address it does not tell, for it is neither TCP over IPv4 nor over IPv6.
    Unknown,
}

/// Whose connection it is that `peer` has made: one of `proxies`, by a header which it sends within `patience`.
pub(super) async fn client(
    stream: &mut TcpStream,
    peer: SocketAddr,
    proxies: &Trusted,
    patience: Duration,
) -> Result<(SocketAddr, Announced), Error> {
    if !proxies.covers(peer.ip()) {
        return Err(Error::Stranger);
    }
    let read = tokio::time::timeout(patience, read(stream)).await;
    Ok(match read.map_err(|_| Error::Slow)?? {
        Source::Client(address) => (address, Announced::Address),
        Source::Proxy => (peer, Announced::Address),
        Source::Unknown => (peer, Announced::Somebody),
    })
}

async fn read(stream: &mut TcpStream) -> Result<Source, Error> {
    let mut header = vec![0; SHORTEST];
    stream.read_exact(&mut header).await?;
    if header.starts_with(SIGNATURE) {
        header.push(stream.read_u8().await?);
        let length = usize::from(u16::from_be_bytes([header[14], header[15]]));
        if length > LONGEST - FIXED {
            return Err(Error::Malformed("it is too long"));
        }
        header.resize(FIXED + length, 0);
        stream.read_exact(&mut header[FIXED..]).await?;
    } else if header.starts_with(WORD) {
        while !header.ends_with(b"\n") {
            let mut ahead = [0; LONGEST_LINE];
            // Looked at before it is read, for only what stands before the line's end is the header's.
            let seen = stream.peek(&mut ahead[..LONGEST_LINE - header.len()]).await?;
            if seen == 0 {
                return Err(Error::Malformed("its line does not end"));
            }
            let end = ahead[..seen].iter().position(|byte| *byte == b'\n').map_or(seen, |end| end + 1);
            stream.read_exact(&mut ahead[..end]).await?;
            header.extend_from_slice(&ahead[..end]);
        }
    }
    parse(&header)
}

/// What a whole header says, with nothing after it.
pub fn parse(header: &[u8]) -> Result<Source, Error> {
    if header.starts_with(SIGNATURE) {
        version2(header)
    } else if header.starts_with(WORD) {
        version1(header)
    } else {
        Err(Error::Missing)
    }
}

/// `PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n`
fn version1(header: &[u8]) -> Result<Source, Error> {
    let line = header.strip_suffix(b"\r\n").filter(|line| line.len() <= LONGEST_LINE - 2);
    let line = line.and_then(|line| str::from_utf8(line).ok()).ok_or(Error::Malformed("no line of text"))?;
    let words: Vec<&str> = line.split(' ').collect();
    match words.as_slice() {
        // "The receiver must ignore anything presented before the CRLF."
        ["PROXY", "UNKNOWN", ..] => Ok(Source::Unknown),
        ["PROXY", "TCP4", source, destination, source_port, destination_port] => {
            let source = source.parse::<Ipv4Addr>().ok().zip(port(source_port));
            let destination = destination.parse::<Ipv4Addr>().ok().zip(port(destination_port));
            address(source, destination)
        }
        ["PROXY", "TCP6", source, destination, source_port, destination_port] => {
            let source = source.parse::<Ipv6Addr>().ok().zip(port(source_port));
            let destination = destination.parse::<Ipv6Addr>().ok().zip(port(destination_port));
            address(source, destination)
        }
        _ => Err(Error::Malformed("no protocol, addresses and ports")),
    }
}

/// The source of the two, if both are addresses.
fn address<A: Into<IpAddr>>(source: Option<(A, u16)>, destination: Option<(A, u16)>) -> Result<Source, Error> {
    let (source, _) = source.zip(destination).ok_or(Error::Malformed("no addresses and ports"))?;
    Ok(Source::Client(canonical(source)))
}

fn canonical<A: Into<IpAddr>>((address, port): (A, u16)) -> SocketAddr {
    SocketAddr::new(address.into().to_canonical(), port)
}

fn port(digits: &str) -> Option<u16> {
    let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
    is_plain.then(|| digits.parse().ok()).flatten()
}

/// Signature, version and command, family and transport, length, addresses, and then what else is told (TLVs).
fn version2(header: &[u8]) -> Result<Source, Error> {
    let (fixed, rest) = header.split_first_chunk::<FIXED>().ok_or(Error::Malformed("it is cut"))?;
    if rest.len() != usize::from(u16::from_be_bytes([fixed[14], fixed[15]])) {
        return Err(Error::Malformed("it is cut"));
    }
    let is_local = match fixed[12] {
        0x20 => true,
        0x21 => false,
        _ => return Err(Error::Malformed("no known version and command")),
    };
    let addresses = match fixed[13] {
        0x00 => 0,
        0x11 | 0x12 => 12,
        0x21 | 0x22 => 36,
        0x31 | 0x32 => 216,
        // "The receiver must accept and discard": whatever it says, it is not of a client.
        _ if is_local => return Ok(Source::Proxy),
        _ => return Err(Error::Malformed("no known protocol")),
    };
    let Some((addresses, more)) = rest.split_at_checked(addresses) else {
        return if is_local { Ok(Source::Proxy) } else { Err(Error::Malformed("too short for its addresses")) };
    };
    check(header, more)?;
    if is_local {
        return Ok(Source::Proxy);
    }
    let client = match (fixed[13], addresses) {
        (0x11, [a, b, c, d, _, _, _, _, high, low, ..]) => {
            Some(canonical((Ipv4Addr::new(*a, *b, *c, *d), u16::from_be_bytes([*high, *low]))))
        }
        (0x21, addresses) => {
            let source = addresses.first_chunk::<16>().map(|source| Ipv6Addr::from(*source));
            let port = addresses.get(32..34).map(|port| u16::from_be_bytes([port[0], port[1]]));
            source.zip(port).map(canonical)
        }
        // Datagrams, and sockets of the proxy's own machine: not a client's over TCP.
        _ => None,
    };
    Ok(client.map_or(Source::Unknown, Source::Client))
}

const CRC32C: u8 = 0x03;

/// Whether type, length and value follow each other to the end, and the checksum is right, if there is one.
fn check(header: &[u8], mut more: &[u8]) -> Result<(), Error> {
    while !more.is_empty() {
        let [kind, high, low, rest @ ..] = more else { return Err(Error::Malformed("it is cut")) };
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let (value, rest) = rest.split_at_checked(length).ok_or(Error::Malformed("it is cut"))?;
        if *kind == CRC32C {
            let expected = value.try_into().ok().map(u32::from_be_bytes);
            let at = header.len() - rest.len() - value.len();
            let (before, after) = (&header[..at], &header[header.len() - rest.len()..]);
            let computed = crc32c(before.iter().chain(&[0; 4]).chain(after));
            if expected != Some(computed) {
                return Err(Error::Malformed("its checksum is wrong"));
            }
        }
        more = rest;
    }
    Ok(())
}

/// The checksum of RFC 9260 appendix A, bit by bit: a header is short, and few have one.
fn crc32c<'a>(bytes: impl Iterator<Item = &'a u8>) -> u32 {
    !bytes.fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 0 { crc >> 1 } else { (crc >> 1) ^ 0x82f6_3b78 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [SIGNATURE, &[command, family], &length, rest].concat()
    }

    fn read(header: &[u8]) -> Result<String, String> {
        let read = parse(header).map(|source| match source {
            Source::Client(address) => address.to_string(),
            Source::Proxy => "the proxy".to_owned(),
            Source::Unknown => "somebody".to_owned(),
        });
        read.map_err(|error| error.to_string())
    }

    const IPV4: [u8; 12] = [192, 0, 2, 1, 192, 0, 2, 2, 0xdc, 4, 1, 187];

    #[test]
    fn lines_are_read_as_specified() {
        let full = "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n";
        for (line, address) in [
            ("PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n", "192.0.2.1:56324"),
            ("PROXY TCP6 2001:db8::1 ::1 1 0\r\n", "[2001:db8::1]:1"),
            ("PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n", "192.0.2.1:1"),
            (full, "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"),
            ("PROXY UNKNOWN\r\n", "somebody"),
            ("PROXY UNKNOWN ffff::1 what ever\r\n", "somebody"),
        ] {
            assert_eq!(read(line.as_bytes()).as_deref(), Ok(address), "{line:?}");
        }
    }

    #[test]
    fn lines_that_differ_from_it_in_anything_are_refused() {
        for line in [
            "PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 56324 443",
            "PROXY  TCP4 192.0.2.1 192.0.2.2 56324 443\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 56324 443 \r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 56324\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 +56324 443\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 056324 443\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 65536 443\r\n",
            "PROXY TCP4 192.0.2.01 192.0.2.2 1 443\r\n",
            "PROXY TCP4 192.0.2.1 x 1 443\r\n",
            "PROXY TCP4 ::1 ::1 1 443\r\n",
            "PROXY TCP6 192.0.2.1 192.0.2.2 1 443\r\n",
            "PROXY UDP4 192.0.2.1 192.0.2.2 1 443\r\n",
            "PROXY tcp4 192.0.2.1 192.0.2.2 1 443\r\n",
            "PROXY UNKNOWNX\r\n",
            "PROXY \r\n",
            "proxy UNKNOWN\r\n",
            "GET / HTTP/1.1\r\n",
            "",
        ] {
            assert!(parse(line.as_bytes()).is_err(), "{line:?}");
        }
        let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(LONGEST_LINE - 16));
        assert_eq!(long.len(), LONGEST_LINE);
        assert_eq!(read(long.as_bytes()).as_deref(), Ok("somebody"));
        assert!(parse(long.replace("xx", "xxx").as_bytes()).is_err());
    }

    #[test]
    fn binary_headers_are_read_as_specified() {
        let ipv6: Vec<u8> = (0..36).collect();
        let tlvs = [&IPV4[..], &[4, 0, 2, 7, 7, 0xee, 0, 0]].concat();
        for (header, address) in [
            (v2(0x21, 0x11, &IPV4), "192.0.2.1:56324"),
            (v2(0x21, 0x21, &ipv6), "[1:203:405:607:809:a0b:c0d:e0f]:8225"),
            (v2(0x21, 0x11, &tlvs), "192.0.2.1:56324"),
            // Of the proxy's own, whatever else it says.
            (v2(0x20, 0x00, &[]), "the proxy"),
            (v2(0x20, 0x11, &IPV4), "the proxy"),
            (v2(0x20, 0x11, &[]), "the proxy"),
            (v2(0x20, 0xff, b"what ever"), "the proxy"),
            // Not of a client over TCP.
            (v2(0x21, 0x00, &[]), "somebody"),
            (v2(0x21, 0x00, &[1, 0, 1, 9]), "somebody"),
            (v2(0x21, 0x12, &IPV4), "somebody"),
            (v2(0x21, 0x31, &[0; 216]), "somebody"),
        ] {
            assert_eq!(read(&header).as_deref(), Ok(address), "{header:?}");
        }
    }

    #[test]
    fn binary_headers_that_differ_from_it_are_refused() {
        for header in [
            v2(0x22, 0x11, &IPV4),
            v2(0x11, 0x11, &IPV4),
            v2(0x21, 0x13, &IPV4),
            v2(0x21, 0x41, &IPV4),
            v2(0x21, 0x11, &IPV4[..11]),
            v2(0x21, 0x21, &IPV4),
            v2(0x21, 0x31, &[0; 215]),
            v2(0x21, 0x11, &[&IPV4[..], &[1]].concat()),
            v2(0x21, 0x11, &[&IPV4[..], &[1, 0, 2, 1]].concat()),
            v2(0x21, 0x11, &IPV4)[..27].to_vec(),
            [v2(0x21, 0x11, &IPV4), vec![0]].concat(),
            SIGNATURE.to_vec(),
        ] {
            assert!(parse(&header).is_err(), "{header:?}");
        }
    }

    #[test]
    fn checksum_is_verified_where_there_is_one() {
        assert_eq!(crc32c(b"123456789".iter()), 0xe306_9283);
        let with = |sum: [u8; 4]| v2(0x21, 0x11, &[&IPV4[..], &[CRC32C, 0, 4], &sum, &[4, 0, 0]].concat());
        let sum = crc32c(with([0; 4]).iter()).to_be_bytes();
        assert!(parse(&with(sum)).is_ok());
        assert!(parse(&with([sum[0] ^ 1, sum[1], sum[2], sum[3]])).is_err());
        assert!(parse(&v2(0x21, 0x11, &[&IPV4[..], &[CRC32C, 0, 3, 0, 0, 0]].concat())).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_much_for_it(mut bytes in proptest::collection::vec(any::<u8>(), 0..64), start in 0_usize..3) {
            let start: &[u8] = [SIGNATURE, WORD, b""][start];
            bytes.splice(0..0, start.iter().copied());
            let _ = parse(&bytes);
        }
    }
}
