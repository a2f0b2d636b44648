//! HTTP/2 behind the head: lengths, trailers, frames.

use super::case::passed;
use super::frames::*;
use super::http2::*;

pub(crate) fn cases() -> Vec<Case> {
    [lengths(), ends(), frames()].into_iter().flatten().collect()
}

fn lengths() -> Vec<Case> {
    const LENGTH: &str = "RFC 9113 8.1.1";
    let long = |value: &'static str, rest: &[Vec<u8>]| post(&[("content-length", value)], rest);
    // It may reach the backend when its client has long been told, so that it has a path of its own.
    let late = |value: &'static str, rest: &[Vec<u8>]| {
        let path = format!("/late{value}");
        let fields = POST.map(|field| if field.0 == ":path" { (":path", &path[..]) } else { field });
        let fields = [&fields[..], &[("content-length", value)]].concat();
        [frame(HEADERS, END_HEADERS, 1, &raw(&fields)), rest.concat()].concat()
    };
    let abc = || passed("POST / HTTP/1.1").body("abc");
    vec![
        case(
            "a length",
            LENGTH,
            long("3", &[last(b"abc")]),
            passes(abc().has("content-length", "3").lacks("transfer-encoding")),
        ),
        case(
            "no length",
            LENGTH,
            post(&[], &[last(b"abc")]),
            passes(abc().has("transfer-encoding", "chunked").lacks("content-length")),
        ),
        case(
            "a length in several frames",
            LENGTH,
            long("3", &[data(b"a"), data(b""), data(b"b"), last(b"c")]),
            passes(abc().has("content-length", "3")),
        ),
        case(
            "a length and an empty last frame",
            LENGTH,
            long("3", &[data(b"abc"), last(b"")]),
            passes(abc().has("content-length", "3")),
        ),
        case("a body shorter than its length", LENGTH, long("4", &[last(b"abc")]), Reset),
        case("a body longer than its length", LENGTH, long("2", &[last(b"abc")]), Reset),
        case(
            "a body longer than its length, later",
            LENGTH,
            late("2", &[data(b"ab"), last(b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n")]),
            ResetLater,
        ),
        case(
            "a length of zero and a body",
            LENGTH,
            late("0", &[last(b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n")]),
            ResetLater,
        ),
        case("a length and no body", LENGTH, only(&[&POST[..], &[("content-length", "3")]].concat()), Reset),
        case(
            "a length of zero and no body",
            LENGTH,
            only(&[&POST[..], &[("content-length", "0")]].concat()),
            passes(passed("POST / HTTP/1.1").has("content-length", "0")),
        ),
        case("a length and trailers before its end", LENGTH, long("3", &[data(b"ab"), trailers(&[("x", "y")])]), Reset),
        case("two lengths", LENGTH, post(&[("content-length", "3"), ("content-length", "5")], &[last(b"abc")]), Reset),
        case(
            "two equal lengths",
            LENGTH,
            post(&[("content-length", "3"), ("content-length", "3")], &[last(b"abc")]),
            Answered(400),
        ),
        case("a list of lengths", LENGTH, long("3, 3", &[last(b"abc")]), Reset),
        case("a length with a plus", LENGTH, long("+3", &[last(b"abc")]), Reset),
        case("a negative length", LENGTH, long("-3", &[last(b"abc")]), Reset),
        case("a length that is none", LENGTH, long("x", &[last(b"abc")]), Reset),
        case("an empty length", LENGTH, long("", &[last(b"abc")]), Reset),
        case("a length over 64 bits", LENGTH, long("18446744073709551619", &[last(b"abc")]), Reset),
        case(
            "a request in the body is no request",
            LENGTH,
            post(&[], &[last(b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n")]),
            passes(passed("POST / HTTP/1.1").body("GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n")),
        ),
        case(
            "the end of chunks in the body is no end",
            LENGTH,
            post(&[], &[last(b"0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n")]),
            passes(passed("POST / HTTP/1.1").body("0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n")),
        ),
    ]
}

fn ends() -> Vec<Case> {
    const TRAILERS: &str = "RFC 9113 8.1";
    let ended = |fields: &[Field<'_>]| post(&[], &[data(b"abc"), trailers(fields)]);
    let sum = || passes(passed("POST / HTTP/1.1").body("abc").trailer("x-sum", "1"));
    let dropped = |what: &'static str, name: &str, value: &str| {
        case(what, "RFC 9110 6.5.1", ended(&[(name, value), ("x-sum", "1")]), sum())
    };
    vec![
        case("trailers", TRAILERS, ended(&[("x-sum", "1")]), sum()),
        dropped("a length as a trailer", "content-length", "100"),
        dropped("a host as a trailer", "host", "other"),
        dropped("authorization as a trailer", "authorization", "Bearer x"),
        dropped("a cookie as a trailer", "cookie", "a=b"),
        dropped("a session header as a trailer", "x-session-user", "mallory"),
        dropped("an alias of a session header as a trailer", "x_session_user", "mallory"),
        dropped("an alias of a transfer coding as a trailer", "transfer_encoding", "chunked"),
        case("a transfer coding as a trailer", "RFC 9113 8.2.2", ended(&[("transfer-encoding", "chunked")]), Reset),
        case("connection as a trailer", "RFC 9113 8.2.2", ended(&[("connection", "close")]), Reset),
        case(
            "a pseudo-header as a trailer",
            "RFC 9113 8.1",
            ended(&[(":path", "/smuggled")]),
            passes(passed("POST / HTTP/1.1").body("abc")),
        ),
        case("a trailer in capitals", "RFC 9113 8.2", ended(&[("X-Sum", "1")]), GoAway),
        case("a line in a trailer", "RFC 9113 8.2.1", ended(&[("x-sum", "1\r\nx: y")]), GoAway),
        case(
            "trailers that are not the end",
            TRAILERS,
            post(&[], &[data(b"abc"), frame(HEADERS, END_HEADERS, 1, &raw(&[("x", "y")]))]),
            Reset,
        ),
    ]
}

fn frames() -> Vec<Case> {
    const STREAMS: &str = "RFC 9113 5.1.1";
    const HPACK: &str = "RFC 7541 2.3.3";
    vec![
        case("data for a stream that nobody began", "RFC 9113 5.1", last(b"abc"), GoAway),
        case("an even stream", STREAMS, frame(HEADERS, END_HEADERS | END_STREAM, 2, &raw(&GET)), GoAway),
        case("headers of stream 0", "RFC 9113 6.2", frame(HEADERS, END_HEADERS | END_STREAM, 0, &raw(&GET)), GoAway),
        case("data of stream 0", "RFC 9113 6.1", frame(DATA, 0, 0, b"abc"), GoAway),
        case("data behind the end", "RFC 9113 5.1", [but(":path", "/late"), last(b"abc")].concat(), GoAway),
        case(
            "more padding than there is",
            "RFC 9113 6.1",
            post(&[], &[frame(DATA, PADDED | END_STREAM, 1, &[200, b'a'])]),
            GoAway,
        ),
        case(
            "padding",
            "RFC 9113 6.1",
            post(&[], &[frame(DATA, PADDED | END_STREAM, 1, &[2, b'a', 0, 0])]),
            passes(passed("POST / HTTP/1.1").body("a")),
        ),
        case("a frame larger than allowed", "RFC 9113 4.2", post(&[], &[last(&vec![0; 20_000])]), GoAway),
        case("a continuation of nothing", "RFC 9113 6.10", frame(CONTINUATION, END_HEADERS, 1, &raw(&GET)), GoAway),
        case(
            "a frame within a header block",
            "RFC 9113 6.10",
            [frame(HEADERS, END_STREAM, 1, &raw(&GET)), frame(PING, 0, 0, &[0; 8])].concat(),
            GoAway,
        ),
        case(
            "a continuation of another stream",
            "RFC 9113 6.10",
            [frame(HEADERS, END_STREAM, 1, &raw(&GET)), frame(CONTINUATION, END_HEADERS, 3, &raw(&[("x", "y")]))]
                .concat(),
            GoAway,
        ),
        case(
            "a header block in three frames",
            "RFC 9113 6.10",
            {
                let block = raw(&GET);
                let (one, rest) = block.split_at(5);
                let (two, three) = rest.split_at(20);
                [
                    frame(HEADERS, END_STREAM, 1, one),
                    frame(CONTINUATION, 0, 1, two),
                    frame(CONTINUATION, END_HEADERS, 1, three),
                ]
                .concat()
            },
            passes(root()),
        ),
        case(
            "a push by a client",
            "RFC 9113 8.4",
            frame(PUSH_PROMISE, END_HEADERS, 1, &[&2_u32.to_be_bytes()[..], &raw(&GET)].concat()),
            GoAway,
        ),
        case("settings of half a setting", "RFC 9113 6.5", frame(SETTINGS, 0, 0, &[0; 5]), GoAway),
        case("settings of a stream", "RFC 9113 6.5", frame(SETTINGS, 0, 1, &[]), GoAway),
        case("a ping of seven bytes", "RFC 9113 6.7", frame(PING, 0, 0, &[0; 7]), GoAway),
        case("a window that grows by nothing", "RFC 9113 6.9", frame(WINDOW_UPDATE, 0, 0, &[0; 4]), GoAway),
        case(
            "a window over its limit",
            "RFC 9113 6.9.1",
            frame(WINDOW_UPDATE, 0, 0, &0x7fff_ffff_u32.to_be_bytes()),
            GoAway,
        ),
        case(
            "a frame of an unknown kind",
            "RFC 9113 5.5",
            [frame(0xfa, 0xff, 1, b"abc"), get(&[])].concat(),
            passes(root()),
        ),
        case("an index of nothing", HPACK, frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0x80]), GoAway),
        case(
            "an index past the table",
            HPACK,
            frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0xff, 0xff, 0x01]),
            GoAway,
        ),
        case("an index over 64 bits", "RFC 7541 5.1", frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0xff; 16]), GoAway),
        case(
            "a string longer than its block",
            "RFC 7541 5.2",
            frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0, 100, b'x']),
            GoAway,
        ),
        case(
            "a table larger than allowed",
            "RFC 7541 6.3",
            frame(HEADERS, END_HEADERS | END_STREAM, 1, &[&[0x3f, 0xe1, 0xff, 0x03][..], &raw(&GET)].concat()),
            GoAway,
        ),
        case(
            "HTTP/1.1 where HTTP/2 was agreed",
            "RFC 9113 3.4",
            b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
            Closed,
        ),
    ]
}
