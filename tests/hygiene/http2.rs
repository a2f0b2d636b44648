//! HTTP/2: pseudo-headers, header fields, lengths, trailers, frames. Raw frames over TLS.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::case::{Passed, Stand, passed};
use super::frames::*;
use super::streams;
use super::strict::Request;

pub(crate) struct Case {
    pub(crate) name: &'static str,
    rfc: &'static str,
    frames: Vec<u8>,
    expected: Expected,
}

/// What becomes of stream 1.
#[derive(Clone)]
pub(crate) enum Expected {
    /// 200, and this is what the backend gets.
    Passes(Box<Passed>),
    /// This status of the gateway's own.
    Answered(u16),
    /// The stream is reset: it is malformed (RFC 9113 section 8.1.1). The connection goes on.
    Reset,
    /// The same, but the backend may get what was announced: it is whole before the rest is there to be seen.
    ResetLater,
    /// The connection ends, and its client is told that it is at fault (RFC 9113 section 5.4.1).
    GoAway,
    /// The connection ends: whoever speaks no HTTP/2 understands no GOAWAY (RFC 9113 section 3.4).
    Closed,
}

pub(crate) use Expected::{Answered, Closed, GoAway, Reset, ResetLater};

pub(crate) type Field<'a> = (&'a str, &'a str);

pub(crate) const GET: [Field<'static>; 4] =
    [(":method", "GET"), (":scheme", "https"), (":authority", "localhost"), (":path", "/")];
pub(crate) const POST: [Field<'static>; 4] =
    [(":method", "POST"), (":scheme", "https"), (":authority", "localhost"), (":path", "/")];

pub(crate) fn raw(fields: &[Field<'_>]) -> Vec<u8> {
    block(&fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect::<Vec<_>>())
}

/// A request without a body that has exactly these fields.
pub(crate) fn only(fields: &[Field<'_>]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, 1, &raw(fields))
}

/// A GET with these fields, too.
pub(crate) fn get(more: &[Field<'_>]) -> Vec<u8> {
    only(&[&GET, more].concat())
}

/// A GET, but for this pseudo-header.
pub(crate) fn but(name: &str, value: &str) -> Vec<u8> {
    only(&GET.map(|field| if field.0 == name { (field.0, value) } else { field }))
}

/// A GET without this pseudo-header, but with these fields.
fn without(name: &str, more: &[Field<'_>]) -> Vec<u8> {
    let fields: Vec<_> = GET.iter().copied().filter(|field| field.0 != name).chain(more.iter().copied()).collect();
    only(&fields)
}

/// A POST with these fields, and what follows its head.
pub(crate) fn post(more: &[Field<'_>], rest: &[Vec<u8>]) -> Vec<u8> {
    [frame(HEADERS, END_HEADERS, 1, &raw(&[&POST, more].concat())), rest.concat()].concat()
}

pub(crate) fn data(bytes: &[u8]) -> Vec<u8> {
    frame(DATA, 0, 1, bytes)
}

pub(crate) fn last(bytes: &[u8]) -> Vec<u8> {
    frame(DATA, END_STREAM, 1, bytes)
}

pub(crate) fn trailers(fields: &[Field<'_>]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, 1, &raw(fields))
}

pub(crate) fn passes(what: Passed) -> Expected {
    Expected::Passes(Box::new(what))
}

pub(crate) fn root() -> Passed {
    passed("GET / HTTP/1.1")
}

pub(crate) fn case(name: &'static str, rfc: &'static str, frames: Vec<u8>, expected: Expected) -> Case {
    Case { name, rfc, frames, expected }
}

/// Every row.
pub(crate) fn cases() -> Vec<Case> {
    [pseudo(), paths(), hosts(), fields(), streams::cases()].into_iter().flatten().collect()
}

fn pseudo() -> Vec<Case> {
    const PSEUDO: &str = "RFC 9113 8.3";
    const REQUEST: &str = "RFC 9113 8.3.1";
    vec![
        case("a plain request", REQUEST, get(&[]), passes(root().has("host", "localhost"))),
        case("no :method", REQUEST, without(":method", &[]), Reset),
        case("no :scheme", REQUEST, without(":scheme", &[]), Reset),
        case("no :path", REQUEST, without(":path", &[]), Reset),
        case("no pseudo-header at all", REQUEST, only(&[("x", "y")]), Reset),
        case("no field at all", REQUEST, only(&[]), Reset),
        case("two :methods", PSEUDO, get(&[(":method", "POST")]), Reset),
        case("two :schemes", PSEUDO, get(&[(":scheme", "https")]), Reset),
        case("two :paths", PSEUDO, get(&[(":path", "/smuggled")]), Reset),
        case("two :authorities", PSEUDO, get(&[(":authority", "other")]), Reset),
        case("a pseudo-header behind a field", PSEUDO, without(":path", &[("x", "y"), (":path", "/")]), Reset),
        case("an unknown pseudo-header", PSEUDO, only(&[&[(":x", "y")], &GET[..]].concat()), GoAway),
        case(":status in a request", PSEUDO, only(&[&[(":status", "200")], &GET[..]].concat()), Reset),
        case("a pseudo-header in capitals", PSEUDO, without(":path", &[(":PATH", "/")]), GoAway),
        case("an empty :method", REQUEST, but(":method", ""), GoAway),
        case("a :method with a space", REQUEST, but(":method", "GET /smuggled HTTP/1.1\r\nx:"), GoAway),
        case("a :method that nobody knows", REQUEST, but(":method", "BREW"), passes(passed("BREW / HTTP/1.1"))),
        case("a :method of UTF-8", REQUEST, but(":method", "G\u{c9}T"), GoAway),
        case("an empty :scheme", REQUEST, but(":scheme", ""), Answered(400)),
        case("a :scheme with a request in it", REQUEST, but(":scheme", "https://localhost/smuggled?"), Reset),
        case("another :scheme", REQUEST, but(":scheme", "ftp"), Answered(400)),
        case(
            "CONNECT",
            "RFC 9113 8.5",
            only(&[(":method", "CONNECT"), (":authority", "localhost:443")]),
            Answered(405),
        ),
        case("CONNECT with a :path", "RFC 9113 8.5", but(":method", "CONNECT"), Reset),
        case("TRACE", "RFC 9110 9.3.8", but(":method", "TRACE"), Answered(405)),
    ]
}

fn paths() -> Vec<Case> {
    const PATH: &str = "RFC 9113 8.3.1";
    vec![
        case("an empty :path", PATH, but(":path", ""), Reset),
        case("a :path without its slash", PATH, but(":path", "a"), Reset),
        case("a whole URI for a :path", PATH, but(":path", "http://other/"), Reset),
        case("a query for a :path", PATH, but(":path", "?a=b"), passes(passed("GET /?a=b HTTP/1.1"))),
        case(
            "OPTIONS *",
            PATH,
            only(&[(":method", "OPTIONS"), (":scheme", "https"), (":authority", "localhost"), (":path", "*")]),
            passes(passed("OPTIONS * HTTP/1.1")),
        ),
        case("GET *", PATH, but(":path", "*"), Answered(400)),
        case("a fragment is not passed on", PATH, but(":path", "/a#b"), passes(passed("GET /a HTTP/1.1"))),
        case("a :path of UTF-8", PATH, but(":path", "/\u{e9}"), Answered(400)),
        case("a query of UTF-8", PATH, but(":path", "/?\u{e9}"), Answered(400)),
        case("a space in the :path", PATH, but(":path", "/a b"), Reset),
        case(
            "a request line in the :path",
            PATH,
            but(":path", "/ HTTP/1.1\r\nHost: localhost\r\n\r\nGET /smuggled"),
            Reset,
        ),
        case("a CR in the :path", PATH, but(":path", "/a\rb"), Reset),
        case("an LF in the :path", PATH, but(":path", "/a\nb"), Reset),
        case("a NUL in the :path", PATH, but(":path", "/a\0b"), Reset),
        case("a tab in the :path", PATH, but(":path", "/a\tb"), Reset),
        case("a dot segment in the :path", "RFC 3986 5.2.4", but(":path", "/a/../b"), Answered(400)),
        case(
            "an encoded CRLF in the :path",
            PATH,
            but(":path", "/%0d%0ax:y"),
            passes(passed("GET /%0d%0ax:y HTTP/1.1").lacks("x")),
        ),
    ]
}

fn hosts() -> Vec<Case> {
    const HOST: &str = "RFC 9113 8.3.1";
    vec![
        case("no :authority and no host", HOST, without(":authority", &[]), Answered(400)),
        case(
            "no :authority but a host",
            HOST,
            without(":authority", &[("host", "localhost")]),
            passes(root().has("host", "localhost")),
        ),
        case(
            "no :authority but two hosts",
            HOST,
            without(":authority", &[("host", "localhost"), ("host", "other")]),
            Answered(400),
        ),
        case(
            "an :authority and the same host",
            HOST,
            get(&[("host", "localhost")]),
            passes(root().has("host", "localhost")),
        ),
        case("an :authority and another host", HOST, get(&[("host", "other")]), Answered(400)),
        case("an :authority and two hosts", HOST, get(&[("host", "localhost"), ("host", "localhost")]), Answered(400)),
        case("an :authority and an empty host", HOST, get(&[("host", "")]), Answered(400)),
        case("an empty :authority", HOST, but(":authority", ""), Reset),
        case("an :authority with a user", HOST, but(":authority", "user@localhost"), Answered(400)),
        case("an :authority with a path", HOST, but(":authority", "localhost/smuggled"), Reset),
        case(
            "an :authority with a port",
            HOST,
            but(":authority", "localhost:8443"),
            passes(root().has("host", "localhost:8443")),
        ),
        case("an :authority with a port that is none", HOST, but(":authority", "localhost:x"), Answered(400)),
        case("an :authority with a space", HOST, but(":authority", "local host"), Reset),
        case("an :authority with a line in it", HOST, but(":authority", "localhost\r\nx: y"), Reset),
        case("an :authority of UTF-8", HOST, but(":authority", "loc\u{e1}lhost"), Reset),
        case("an :authority that is a list", HOST, but(":authority", "localhost,other"), Answered(400)),
    ]
}

fn fields() -> Vec<Case> {
    const FIELD: &str = "RFC 9113 8.2.1";
    const CONNECTION: &str = "RFC 9113 8.2.2";
    vec![
        case("a name in capitals", "RFC 9113 8.2", get(&[("X", "y")]), GoAway),
        case("an empty name", FIELD, get(&[("", "y")]), GoAway),
        case("a name with a space", FIELD, get(&[("x y", "z")]), GoAway),
        case("a name with a colon", FIELD, get(&[("x:", "y")]), GoAway),
        case("a name with a line in it", FIELD, get(&[("x: y\r\nz", "y")]), GoAway),
        case("a name with a NUL", FIELD, get(&[("x\0", "y")]), GoAway),
        case("a name of UTF-8", FIELD, get(&[("\u{e9}", "y")]), GoAway),
        case("a CR in a value", FIELD, get(&[("x", "a\rb")]), GoAway),
        case("an LF in a value", FIELD, get(&[("x", "a\nb")]), GoAway),
        case("a NUL in a value", FIELD, get(&[("x", "a\0b")]), GoAway),
        case("a line in a value", FIELD, get(&[("x", "a\r\ntransfer-encoding: chunked")]), GoAway),
        case(
            "a request in a value",
            FIELD,
            get(&[("x", "a\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n")]),
            GoAway,
        ),
        case("an escape in a value", "RFC 9110 5.5", get(&[("x", "\x1b")]), GoAway),
        case("UTF-8 in a value is opaque", "RFC 9110 5.5", get(&[("x", "\u{e9}")]), passes(root().has("x", "\u{e9}"))),
        case("an empty value", FIELD, get(&[("x", "")]), passes(root().has("x", ""))),
        case("connection", CONNECTION, get(&[("connection", "x")]), Reset),
        case("keep-alive", CONNECTION, get(&[("keep-alive", "5")]), Reset),
        case("proxy-connection", CONNECTION, get(&[("proxy-connection", "close")]), Reset),
        case("transfer-encoding", CONNECTION, post(&[("transfer-encoding", "chunked")], &[last(b"0\r\n\r\n")]), Reset),
        case("upgrade", CONNECTION, get(&[("upgrade", "websocket")]), Reset),
        case("te: trailers", CONNECTION, get(&[("te", "trailers")]), passes(root().lacks("te"))),
        case("te: gzip", CONNECTION, get(&[("te", "gzip")]), Reset),
        case("te: trailers and gzip", CONNECTION, get(&[("te", "trailers, gzip")]), Reset),
        case(
            "an alias of transfer-encoding",
            "RFC 9110 16.3.2.2",
            post(&[("transfer_encoding", "chunked")], &[last(b"abc")]),
            passes(passed("POST / HTTP/1.1").lacks("transfer_encoding").body("abc")),
        ),
        case(
            "an alias of content-length",
            "RFC 9110 16.3.2.2",
            post(&[("content_length", "0")], &[last(b"abc")]),
            passes(passed("POST / HTTP/1.1").lacks("content_length").body("abc")),
        ),
        case(
            "an alias of a session header",
            "RFC 9110 16.3.2.2",
            get(&[("x_session_user", "mallory")]),
            passes(root().lacks("x_session_user")),
        ),
        case(
            "cookies in pieces are one",
            "RFC 9113 8.2.3",
            get(&[("cookie", "a=1"), ("cookie", "b=2")]),
            passes(root().has("cookie", "a=1; b=2")),
        ),
        case(
            "expect",
            "RFC 9110 10.1.1",
            post(&[("expect", "100-continue")], &[last(b"abc")]),
            passes(passed("POST / HTTP/1.1").lacks("expect").body("abc")),
        ),
        case(
            "40 KiB of headers",
            "RFC 6585 5",
            [
                frame(HEADERS, END_STREAM, 1, &raw(&[&GET[..], &[("x", &"y".repeat(16_000)[..])]].concat())),
                frame(CONTINUATION, 0, 1, &raw(&[("x", &"y".repeat(16_000))])),
                frame(CONTINUATION, END_HEADERS, 1, &raw(&[("x", &"y".repeat(8_000))])),
            ]
            .concat(),
            Answered(431),
        ),
    ]
}

/// RFC 9113 section 7.
const NO_ERROR: u32 = 0;

/// What has come of stream 1, and whether stream 3 was served.
#[derive(Debug, PartialEq, Eq)]
enum Got {
    Status(u16),
    Reset,
    Nothing,
}

impl Case {
    fn hold(&self, stand: &Stand) {
        let mut wire = stand.site.https().asking_for("h2").open();
        let next = GET.map(|field| if field.0 == ":path" { (":path", "/next") } else { field });
        let next = frame(HEADERS, END_HEADERS | END_STREAM, 3, &raw(&next));
        let begin = if self.frames.starts_with(b"GET") { vec![] } else { hello() };
        wire.send(&[begin, self.frames.clone(), next].concat());
        let (mut got, mut goes_on, mut goaway) = (Got::Nothing, None, None);
        let mut first_ended = false;
        while goes_on.is_none() || (goes_on == Some(true) && !first_ended) {
            match next_frame(&mut wire) {
                None => goes_on = Some(false),
                Some(came) => match (came.kind, came.stream) {
                    (GOAWAY, _) => (goes_on, goaway) = (Some(false), Some(came.code())),
                    (HEADERS, 1) if got == Got::Nothing => {
                        got = Got::Status(came.status());
                        first_ended |= came.flags & END_STREAM > 0;
                    }
                    (DATA, 1) => first_ended |= came.flags & END_STREAM > 0,
                    // An answer may be whole before the request is (RFC 9113 section 8.1).
                    (RST_STREAM, 1) => {
                        if matches!(got, Got::Nothing) || came.code() != 0 {
                            got = Got::Reset;
                        }
                        first_ended = true;
                    }
                    (HEADERS, 3) => {
                        assert_eq!(came.status(), 200, "the next request");
                        goes_on = Some(true);
                    }
                    _ => {}
                },
            }
        }
        let expected = match &self.expected {
            Expected::Passes(_) => Got::Status(200),
            Answered(status) => Got::Status(*status),
            Reset | ResetLater => Got::Reset,
            GoAway | Closed => Got::Nothing,
        };
        assert_eq!(goes_on, Some(!matches!(self.expected, GoAway | Closed)), "whether the connection goes on; {got:?}");
        if goes_on == Some(true) {
            assert_eq!(got, expected);
        } else {
            let told = goaway.is_some_and(|code| code != NO_ERROR);
            assert!(told || matches!(self.expected, Closed), "{goaway:?}: a bare end tells nobody what was wrong");
            assert!(wire.closes().is_ok_and(|closed| closed), "and it does end");
        }
        let mut seen = stand.seen();
        seen.retain(|request| request.start != "GET /next HTTP/1.1" && !is_late(request));
        match &self.expected {
            Expected::Passes(expected) => {
                assert_eq!(seen.len(), 1, "{seen:?}");
                expected.assert_is(&seen[0]);
            }
            _ => assert!(seen.is_empty(), "{seen:?}"),
        }
    }
}

/// Whether it is a request whose client sent more than it may; what there is of it is what was announced. It may come
/// to the backend, or not, during this row or a later one.
fn is_late(request: &Request) -> bool {
    let announced = match request.start.as_str() {
        "POST /late2 HTTP/1.1" => "ab",
        "POST /late0 HTTP/1.1" | "GET /late HTTP/1.1" => "",
        _ => return false,
    };
    assert_eq!(request.body, announced.as_bytes(), "{request:?}");
    true
}

fn next_frame(wire: &mut super::support::wire::Wire) -> Option<Came> {
    next(wire).expect("a frame, or the end of the connection, should have come by now")
}

/// Holds every row against the gateway.
pub(crate) fn hold_all(stand: &Stand) {
    let mut broken = Vec::new();
    for case in cases() {
        assert!(case.rfc.starts_with("RFC "), "{}", case.name);
        if let Err(why) = catch_unwind(AssertUnwindSafe(|| case.hold(stand))) {
            let why = why.downcast_ref::<String>().cloned().unwrap_or_else(|| "it panicked".to_owned());
            broken.push(format!("{} ({}): {why}", case.name, case.rfc));
            let _ = catch_unwind(AssertUnwindSafe(|| stand.seen()));
        }
    }
    assert!(broken.is_empty(), "{} do not hold:\n\n{}", broken.len(), broken.join("\n\n"));
}
