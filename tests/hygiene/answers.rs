//! What a backend answers, and what becomes of it for clients of HTTP/1.0, 1.1 and 2.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::case::Stand;
use super::recorder::OK;
use super::support::PATIENCE;
use super::support::wire::Fields;

struct Case {
    name: &'static str,
    rfc: &'static str,
    answer: Vec<u8>,
    expected: Expected,
}

enum Expected {
    /// The answer, with these values of these headers and no others, and this body.
    Passed(u16, &'static [(&'static str, &'static [&'static str])], &'static str),
    /// 502 in its place.
    Bad,
    /// It begins, and breaks off where everybody sees it.
    Broken,
}

use Expected::{Bad, Broken, Passed};

/// A 200 with these lines and this body.
fn lines(lines: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\n{lines}\r\n{body}").into_bytes()
}

/// A 200 of two bytes with these lines, too.
fn with(more: &str) -> Vec<u8> {
    lines(&format!("Content-Length: 2\r\n{more}"), "ok")
}

fn case(name: &'static str, rfc: &'static str, answer: impl AsRef<[u8]>, expected: Expected) -> Case {
    Case { name, rfc, answer: answer.as_ref().to_vec(), expected }
}

/// What its rows are called.
pub(crate) fn names() -> Vec<&'static str> {
    cases().into_iter().map(|case| case.name).collect()
}

fn cases() -> Vec<Case> {
    [singles(), lengths(), heads(), ends()].into_iter().flatten().collect()
}

fn singles() -> Vec<Case> {
    const SINGLE: &str = "RFC 9110 5.3";
    vec![
        case(
            "two Dates",
            "RFC 9110 6.6.1",
            with("Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nDate: Mon, 07 Nov 1994 08:49:37 GMT\r\n"),
            Passed(200, &[("date", &["Sun, 06 Nov 1994 08:49:37 GMT"])], "ok"),
        ),
        case(
            "two equal Dates",
            "RFC 9110 6.6.1",
            with("Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"),
            Passed(200, &[("date", &["Sun, 06 Nov 1994 08:49:37 GMT"])], "ok"),
        ),
        case(
            "two content types",
            "RFC 9110 8.3",
            with("Content-Type: text/plain\r\nContent-Type: text/html\r\n"),
            Passed(200, &[("content-type", &["text/plain"])], "ok"),
        ),
        case(
            "two Locations",
            "RFC 9110 10.2.2",
            "HTTP/1.1 302 Found\r\nLocation: /a\r\nLocation: //evil.example/\r\nContent-Length: 0\r\n\r\n",
            Passed(302, &[("location", &["/a"])], ""),
        ),
        case(
            "two ETags and two Last-Modified",
            "RFC 9110 8.8",
            with("ETag: \"a\"\r\nETag: \"b\"\r\nLast-Modified: x\r\nLast-Modified: y\r\n"),
            Passed(200, &[("etag", &["\"a\""]), ("last-modified", &["x"])], "ok"),
        ),
        case("two Servers", SINGLE, with("Server: a\r\nServer: b\r\n"), Passed(200, &[("server", &["a"])], "ok")),
        case(
            "two Expires and two Ages",
            "RFC 9111 5",
            with("Expires: 0\r\nExpires: 1\r\nAge: 0\r\nAge: 1\r\n"),
            Passed(200, &[("expires", &["0"]), ("age", &["0"])], "ok"),
        ),
        case(
            "two dispositions",
            "RFC 6266 4.1",
            with("Content-Disposition: inline\r\nContent-Disposition: attachment\r\n"),
            Passed(200, &[("content-disposition", &["inline"])], "ok"),
        ),
        case(
            "lists stay lists",
            SINGLE,
            with("Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nWarning: 1\r\nWarning: 2\r\n"),
            Passed(200, &[("set-cookie", &["a=1", "b=2"]), ("warning", &["1", "2"])], "ok"),
        ),
        case(
            "a single one beside a list",
            SINGLE,
            with("Set-Cookie: a=1\r\nDate: x\r\nSet-Cookie: b=2\r\n"),
            Passed(200, &[("set-cookie", &["a=1", "b=2"]), ("date", &["x"])], "ok"),
        ),
    ]
}

fn lengths() -> Vec<Case> {
    const LENGTH: &str = "RFC 9112 6.3";
    const CODING: &str = "RFC 9112 6.1";
    let length = |value: &str| lines(&format!("Content-Length: {value}\r\n"), "ok");
    let chunks = "2\r\nok\r\n0\r\n\r\n";
    vec![
        case(
            "two equal lengths",
            LENGTH,
            lines("Content-Length: 2\r\nContent-Length: 2\r\n", "ok"),
            Passed(200, &[("content-length", &["2"])], "ok"),
        ),
        case("two lengths", LENGTH, lines("Content-Length: 2\r\nContent-Length: 20\r\n", "ok"), Bad),
        case("a list of lengths", LENGTH, length("2, 2"), Bad),
        case("a length with a plus", LENGTH, length("+2"), Bad),
        case("a negative length", LENGTH, length("-2"), Bad),
        case("a hexadecimal length", LENGTH, length("0x2"), Bad),
        case("an empty length", LENGTH, length(""), Bad),
        case("a length over 64 bits", LENGTH, length("18446744073709551618"), Bad),
        case(
            "a length and chunks",
            LENGTH,
            lines("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", chunks),
            Passed(200, &[], "ok"),
        ),
        case(
            "an alias of a length",
            "RFC 9110 16.3.2.2",
            with("Content_Length: 1\r\n"),
            Passed(200, &[("content_length", &[]), ("content-length", &["2"])], "ok"),
        ),
        case("chunks", "RFC 9112 7.1", lines("Transfer-Encoding: chunked\r\n", chunks), Passed(200, &[], "ok")),
        case("another coding", CODING, lines("Transfer-Encoding: gzip, chunked\r\n", chunks), Bad),
        case(
            "chunked twice",
            CODING,
            lines("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", chunks),
            Bad,
        ),
        case(
            "chunks in HTTP/1.0",
            CODING,
            format!("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"),
            Bad,
        ),
        case(
            "204 with a length",
            "RFC 9110 8.6",
            "HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok",
            Passed(204, &[("content-length", &[])], ""),
        ),
        case(
            "304 with a length",
            "RFC 9110 15.4.5",
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n",
            Passed(304, &[], ""),
        ),
        case("no length", LENGTH, lines("", "ok"), Passed(200, &[], "ok")),
    ]
}

fn heads() -> Vec<Case> {
    const HEAD: &str = "RFC 9112 4";
    let status = |line: &str| format!("{line}\r\nContent-Length: 2\r\n\r\nok");
    vec![
        case("a folded line", "RFC 9112 5.2", with("X: a\r\n b\r\n"), Bad),
        case("a space before the colon", "RFC 9112 5.1", with("X : a\r\n"), Bad),
        case("a NUL in a value", "RFC 9110 5.5", with("X: a\0\r\n"), Bad),
        case("a bare CR in a value", "RFC 9110 5.5", with("X: a\rb\r\n"), Bad),
        case("an escape in a value", "RFC 9110 5.5", with("X: \x1b[m\r\n"), Bad),
        case("a name that is none", "RFC 9110 5.1", with("X Y: a\r\n"), Bad),
        case("a pseudo-header", "RFC 9113 8.3", with(":status: 500\r\n"), Bad),
        case(
            "bare LFs",
            "RFC 9112 2.2",
            "HTTP/1.1 200 OK\nContent-Length: 2\nX: a\n\nok",
            Passed(200, &[("x", &["a"])], "ok"),
        ),
        case("names in capitals", "RFC 9113 8.2", with("X-UPPER: a\r\n"), Passed(200, &[("x-upper", &["a"])], "ok")),
        case(
            "what belongs to the connection",
            "RFC 9113 8.2.2",
            with("Connection: keep-alive, X\r\nKeep-Alive: 5\r\nX: a\r\nUpgrade: h2c\r\nProxy-Connection: x\r\n"),
            Passed(
                200,
                &[("connection", &[]), ("keep-alive", &[]), ("x", &[]), ("upgrade", &[]), ("proxy-connection", &[])],
                "ok",
            ),
        ),
        case("a status of two digits", HEAD, status("HTTP/1.1 20 OK"), Bad),
        case("a status of four digits", HEAD, status("HTTP/1.1 2000 OK"), Bad),
        case("a status below 100", HEAD, status("HTTP/1.1 099 OK"), Bad),
        case("a status that is no number", HEAD, status("HTTP/1.1 abc OK"), Bad),
        case("HTTP/2.0", HEAD, status("HTTP/2.0 200 OK"), Bad),
        case("HTTP/0.9", HEAD, "ok", Bad),
        case("another protocol", HEAD, "220 mail.example ESMTP\r\n", Bad),
        case("half a head", HEAD, "HTTP/1.1 200 OK\r\nContent-Le", Bad),
        case(
            "101 that nobody asked for",
            "RFC 9110 15.2.2",
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
            Bad,
        ),
        case(
            "100 and 103 before the answer",
            "RFC 9110 15.2",
            [b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", OK].concat(),
            Passed(200, &[("link", &[])], "ok"),
        ),
        case("200 headers", "RFC 9110 5.4", with(&"X: a\r\n".repeat(200)), Bad),
        case("300 KiB of headers", "RFC 9110 5.4", with(&format!("X: {}\r\n", "a".repeat(300 * 1024))), Bad),
    ]
}

fn ends() -> Vec<Case> {
    const CHUNKS: &str = "RFC 9112 7.1";
    const CUT: &str = "RFC 9112 8";
    let chunks = |chunks: &str| lines("Transfer-Encoding: chunked\r\n", chunks);
    vec![
        case(
            "a second answer that nobody asked for",
            "RFC 9112 6.3",
            [OK, b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"].concat(),
            Passed(200, &[], "ok"),
        ),
        case(
            "a second answer behind chunks",
            "RFC 9112 6.3",
            chunks("2\r\nok\r\n0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"),
            Passed(200, &[], "ok"),
        ),
        case("a body shorter than it says", CUT, lines("Content-Length: 3\r\n", "ok"), Broken),
        case("chunks that do not end", CUT, chunks("2\r\nok\r\n"), Broken),
        case("half a chunk", CUT, chunks("3\r\nok"), Broken),
        case("a space before a chunk's size", CHUNKS, chunks(" 2\r\nok\r\n0\r\n\r\n"), Broken),
        case("an LF in a chunk's extension", CHUNKS, chunks("2;a\nb\r\nok\r\n0\r\n\r\n"), Broken),
        case("a CR in a chunk's extension", CHUNKS, chunks("2;a\rb\r\nok\r\n0\r\n\r\n"), Broken),
        case("a chunk's size without a digit", CHUNKS, chunks("\r\nok\r\n0\r\n\r\n"), Broken),
        case("a chunk without its end", CHUNKS, chunks("2\r\nok0\r\n\r\n"), Broken),
        case("a chunk's size that is none", CHUNKS, chunks("2\r\nok\r\n0x0\r\n\r\n"), Broken),
        case("a bare LF behind a chunk's size", CHUNKS, chunks("2\r\nok\r\n0\n\r\n"), Broken),
        case("trailers that are none", CHUNKS, chunks("2\r\nok\r\n0\r\nHTTP/1.1 200 OK\r\n\r\n"), Broken),
    ]
}

/// What a client has got.
struct Got {
    status: u16,
    fields: Fields,
    /// None where it was cut short.
    body: Option<Vec<u8>>,
}

fn over_http1(stand: &Stand) -> Got {
    let mut wire = stand.site.http().open();
    wire.send(b"GET /asked HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let head = wire.head().expect("an answer in time").expect("an answer");
    let body = wire.body(head.response_body("GET")).expect("a body in time");
    Got { status: head.status(), fields: head.fields, body: body.complete.then_some(body.bytes) }
}

fn over_http2(stand: &Stand) -> Got {
    let client = stand.site.http2();
    match client.send("GET", "/asked", &[]).outcome() {
        Ok(answer) => {
            let field = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
                (name.to_string(), value.to_str().expect("text").to_owned())
            };
            let fields = Fields(answer.headers.iter().map(field).collect());
            Got { status: answer.status, fields, body: Some(answer.body.to_vec()) }
        }
        Err(_) => Got { status: 0, fields: Fields::default(), body: None },
    }
}

impl Case {
    fn hold(&self, stand: &Stand, got: &Got) {
        match self.expected {
            Bad => assert_eq!(got.status, 502),
            Broken => assert_eq!(got.body, None, "it looks whole"),
            Passed(status, fields, body) => {
                assert_eq!(got.status, status);
                assert_eq!(got.body.as_deref(), Some(body.as_bytes()));
                for (name, values) in fields {
                    assert_eq!(got.fields.all(name), *values, "{name}");
                }
            }
        }
        assert_eq!(stand.seen().len(), 1, "requests at the backend");
        // What was left behind is nobody's answer.
        let next = over_http1(stand);
        assert_eq!((next.status, next.body.as_deref()), (200, Some(&b"ok"[..])), "the next request's answer");
        assert_eq!(stand.seen().len(), 1);
    }
}

/// Holds every answer against clients of HTTP/1.1 and of HTTP/2.
pub(crate) fn hold_all(stand: &Stand) {
    let mut broken = Vec::new();
    for case in cases() {
        assert!(case.rfc.starts_with("RFC "), "{}", case.name);
        for (protocol, ask) in [("HTTP/1.1", over_http1 as fn(&Stand) -> Got), ("HTTP/2", over_http2)] {
            let held = catch_unwind(AssertUnwindSafe(|| {
                stand.recorder.answer_once(&case.answer);
                case.hold(stand, &ask(stand));
            }));
            if let Err(why) = held {
                let why = why.downcast_ref::<String>().cloned().unwrap_or_else(|| "it panicked".to_owned());
                broken.push(format!("{} ({protocol}, {}): {why}", case.name, case.rfc));
                let _ = catch_unwind(AssertUnwindSafe(|| stand.seen()));
            }
        }
    }
    assert!(broken.is_empty(), "{} do not hold:\n\n{}", broken.len(), broken.join("\n\n"));
}

/// Holds those that break off, and one that is told no length and does not, against a client of HTTP/1.0.
pub(crate) fn hold_broken(stand: &Stand) {
    let whole = lines("Transfer-Encoding: chunked\r\n", "2\r\nok\r\n0\r\n\r\n");
    for (name, answer, is_whole) in cases()
        .into_iter()
        .filter(|case| matches!(case.expected, Broken))
        .map(|case| (case.name, case.answer, false))
        .chain([("a whole one", whole, true)])
    {
        stand.recorder.answer_once(&answer);
        let mut client = TcpStream::connect(stand.site.http().address).expect("the gateway listens");
        client.set_read_timeout(Some(PATIENCE)).expect("a socket");
        client.write_all(b"GET /asked HTTP/1.0\r\nHost: localhost\r\n\r\n").expect("the gateway reads");
        let mut answer = Vec::new();
        let ended = client.read_to_end(&mut answer).map_err(|error| error.kind());
        let text = String::from_utf8_lossy(&answer).to_ascii_lowercase();
        let seen_short = ended == Err(ErrorKind::ConnectionReset) || text.contains("content-length: 3");
        assert_eq!(seen_short, !is_whole, "{name}: {ended:?} behind {text:?}");
        assert!(!is_whole || text.ends_with("\r\n\r\nok"), "{name}: {text:?}");
        stand.seen();
    }
}
