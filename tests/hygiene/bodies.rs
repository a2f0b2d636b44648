//! Lengths, transfer codings, chunks, trailers.

use super::case::Expected::{self, Passed, PassedLast, Refused};
use super::case::{Case, case, passed};

/// A POST with these lines besides Host, and what follows its head.
fn post(lines: &str, rest: &str) -> Vec<u8> {
    format!("POST / HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n{rest}").into_bytes()
}

/// A POST in chunks.
fn chunks(rest: impl AsRef<[u8]>) -> Vec<u8> {
    [b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n", rest.as_ref()].concat()
}

/// It arrives with this body.
fn body(body: impl AsRef<[u8]>) -> Expected {
    Passed(vec![passed("POST / HTTP/1.1").body(body)])
}

pub(crate) fn cases() -> Vec<Case> {
    [lengths(), codings(), both(), sizes(), extensions(), trailers()].into_iter().flatten().collect()
}

fn lengths() -> Vec<Case> {
    const LENGTH: &str = "RFC 9112 6.3";
    const FORM: &str = "RFC 9110 8.6";
    let length = |value: &str| post(&format!("Content-Length: {value}\r\n"), "abc");
    vec![
        case("a length", LENGTH, length("3"), body("abc")),
        case("a length with zeros in front", FORM, length("0003"), body("abc")),
        case(
            "a length of zero",
            LENGTH,
            post("Content-Length: 0\r\n", ""),
            Passed(vec![passed("POST / HTTP/1.1").has("content-length", "0")]),
        ),
        case(
            "a length of a GET",
            LENGTH,
            "GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc",
            Passed(vec![passed("GET / HTTP/1.1").body("abc")]),
        ),
        case(
            "a request in the body is no request",
            LENGTH,
            post("Content-Length: 43\r\n", "GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"),
            body("GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        ),
        case("no length is no body", LENGTH, post("", ""), body("")),
        case("two lengths", LENGTH, post("Content-Length: 3\r\nContent-Length: 0\r\n", "abc"), Refused(400)),
        case("two equal lengths", LENGTH, post("Content-Length: 3\r\nContent-Length: 3\r\n", "abc"), Refused(400)),
        case("a list of lengths", LENGTH, length("3, 3"), Refused(400)),
        case("a list of different lengths", LENGTH, length("3, 0"), Refused(400)),
        case("a length with a plus", FORM, length("+3"), Refused(400)),
        case("a negative length", FORM, length("-3"), Refused(400)),
        case("a negative zero", FORM, length("-0"), Refused(400)),
        case("a hexadecimal length", FORM, length("0x3"), Refused(400)),
        case("a length with a fraction", FORM, length("3.0"), Refused(400)),
        case("a length with an exponent", FORM, length("3e0"), Refused(400)),
        case("a length with an underscore", FORM, length("0_3"), Refused(400)),
        case("a length with a space in it", FORM, length("0 3"), Refused(400)),
        case("a length with a unit", FORM, length("3b"), Refused(400)),
        case("a length in quotes", FORM, length("\"3\""), Refused(400)),
        case("an empty length", FORM, length(""), Refused(400)),
        case("a length over 64 bits", FORM, length("18446744073709551616"), Refused(400)),
        case("a length that comes to 3 in 64 bits", FORM, length("18446744073709551619"), Refused(400)),
        case("a length of a thousand digits", FORM, length(&"1".repeat(1000)), Refused(400)),
        case("digits of another script", FORM, length("\u{663}"), Refused(400)),
        case("a length with a NUL", FORM, length("3\0"), Refused(400)),
        case("a length behind a vertical tab", FORM, length("\x0b3"), Refused(400)),
        case("a length behind a tab", "RFC 9112 5.1", length("\t3\t"), body("abc")),
        case("a length in capitals", "RFC 9110 5.1", post("CONTENT-LENGTH: 3\r\n", "abc"), body("abc")),
        case("a length behind 300 spaces", FORM, length(&format!("{}3", " ".repeat(300))), Refused(400)),
        case(
            "an alias beside the length",
            LENGTH,
            post("Content_Length: 0\r\nContent-Length: 3\r\n", "abc"),
            Passed(vec![passed("POST / HTTP/1.1").lacks("content_length").body("abc")]),
        ),
        case(
            "a GET with a length and nothing else",
            LENGTH,
            "GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n",
            Passed(vec![passed("GET / HTTP/1.1").has("content-length", "0")]),
        ),
        case(
            "HTTP/1.0 with a length",
            LENGTH,
            "POST / HTTP/1.0\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc",
            PassedLast(passed("POST / HTTP/1.1").body("abc")),
        ),
    ]
}

fn codings() -> Vec<Case> {
    const CODING: &str = "RFC 9112 6.1";
    let coded = |lines: &str| post(lines, "3\r\nabc\r\n0\r\n\r\n");
    let coding = |value: &str| coded(&format!("Transfer-Encoding: {value}\r\n"));
    vec![
        case("chunked", CODING, coding("chunked"), body("abc")),
        case("chunked in capitals", "RFC 9112 7", coding("CHUNKED"), body("abc")),
        case("chunked with whitespace around it", "RFC 9112 5.1", coding(" \tchunked \t"), body("abc")),
        case("chunked, identity", CODING, coding("chunked, identity"), Refused(400)),
        case("identity", CODING, coding("identity"), Refused(400)),
        case("identity, chunked", CODING, coding("identity, chunked"), Refused(501)),
        case("gzip", CODING, coding("gzip"), Refused(400)),
        case("gzip, chunked", CODING, coding("gzip, chunked"), Refused(501)),
        case("chunked twice in one line", CODING, coding("chunked, chunked"), Refused(501)),
        case(
            "chunked in two lines",
            CODING,
            coded("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
            Refused(501),
        ),
        case(
            "chunked, then identity in another line",
            CODING,
            coded("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n"),
            Refused(400),
        ),
        case(
            "identity, then chunked in another line",
            CODING,
            coded("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n"),
            Refused(501),
        ),
        case("xchunked", CODING, coding("xchunked"), Refused(400)),
        case("chunkedx", CODING, coding("chunkedx"), Refused(400)),
        case("chunked in quotes", CODING, coding("\"chunked\""), Refused(400)),
        case("chunked with a parameter", CODING, coding("chunked;q=1"), Refused(400)),
        case("chunked behind a comma", CODING, coding(",chunked"), Refused(501)),
        case("chunked before a comma", CODING, coding("chunked,"), Refused(400)),
        case("a space in chunked", CODING, coding("chun ked"), Refused(400)),
        case("a vertical tab before chunked", CODING, coding("\x0bchunked"), Refused(400)),
        case("a NUL behind chunked", CODING, coding("chunked\0"), Refused(400)),
        case("a CR behind chunked", CODING, coding("chunked\r"), Refused(400)),
        case("an empty coding", CODING, coding(""), Refused(400)),
        case("a coding behind 300 spaces", CODING, coding(&format!("{}chunked", " ".repeat(300))), Refused(400)),
        case(
            "HTTP/1.0 with chunked",
            CODING,
            "POST / HTTP/1.0\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            Refused(400),
        ),
        case(
            "HTTP/1.0 with chunked that wants to go on",
            CODING,
            "POST / HTTP/1.0\r\nHost: localhost\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            Refused(400),
        ),
        case(
            "a GET in chunks",
            CODING,
            "GET / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            Passed(vec![passed("GET / HTTP/1.1").body("abc")]),
        ),
    ]
}

fn both() -> Vec<Case> {
    const BOTH: &str = "RFC 9112 6.3";
    let rest = "0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let both = |lines: &str| post(lines, rest);
    vec![
        case(
            "a length, then chunked",
            BOTH,
            both("Content-Length: 49\r\nTransfer-Encoding: chunked\r\n"),
            Refused(400),
        ),
        case(
            "chunked, then a length",
            BOTH,
            both("Transfer-Encoding: chunked\r\nContent-Length: 49\r\n"),
            Refused(400),
        ),
        case(
            "chunked, then a length of zero",
            BOTH,
            both("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n"),
            Refused(400),
        ),
        case(
            "a length, then another coding",
            BOTH,
            both("Content-Length: 5\r\nTransfer-Encoding: xchunked\r\n"),
            Refused(400),
        ),
        case(
            "another coding, then a length",
            BOTH,
            both("Transfer-Encoding: identity\r\nContent-Length: 5\r\n"),
            Refused(400),
        ),
        case("a length, then an empty coding", BOTH, both("Content-Length: 5\r\nTransfer-Encoding:\r\n"), Refused(400)),
        case(
            "chunked, then a malformed length",
            BOTH,
            both("Transfer-Encoding: chunked\r\nContent-Length: x\r\n"),
            Refused(400),
        ),
        case(
            "both, far apart",
            BOTH,
            both(&format!("Content-Length: 5\r\n{}Transfer-Encoding: chunked\r\n", "X: y\r\n".repeat(50))),
            Refused(400),
        ),
        case(
            "both, the coding in capitals",
            BOTH,
            both("content-length: 5\r\nTRANSFER-ENCODING: Chunked\r\n"),
            Refused(400),
        ),
        case(
            "both in HTTP/1.0",
            BOTH,
            "POST / HTTP/1.0\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            Refused(400),
        ),
        case(
            "an alias of the coding beside a length",
            BOTH,
            post("Transfer_Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"),
            Passed(vec![
                passed("POST / HTTP/1.1").lacks("transfer_encoding").has("content-length", "5").body("0\r\n\r\n"),
            ]),
        ),
        case(
            "an alias of the length beside a coding",
            BOTH,
            post("Content_Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
            Passed(vec![passed("POST / HTTP/1.1").lacks("content_length").lacks("content-length")]),
        ),
    ]
}

fn sizes() -> Vec<Case> {
    const SIZE: &str = "RFC 9112 7.1";
    let sized = |size: &str| chunks(format!("{size}\r\nabc\r\n0\r\n\r\n"));
    vec![
        case("chunks", SIZE, chunks("1\r\na\r\n2\r\nbc\r\n0\r\n\r\n"), body("abc")),
        case("no chunk but the last", SIZE, chunks("0\r\n\r\n"), body("")),
        case("a size with zeros in front", SIZE, sized("0003"), body("abc")),
        case("a size in capitals", SIZE, chunks("A\r\n0123456789\r\n0\r\n\r\n"), body("0123456789")),
        case("a last chunk of several zeros", SIZE, chunks("3\r\nabc\r\n000\r\n\r\n"), body("abc")),
        case(
            "a request in a chunk is no request",
            SIZE,
            chunks("2b\r\nGET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n\r\n0\r\n\r\n"),
            body("GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        ),
        case("0x before a size", SIZE, sized("0x3"), Refused(400)),
        case("a plus before a size", SIZE, sized("+3"), Refused(400)),
        case("a negative size", SIZE, sized("-3"), Refused(400)),
        case("an underscore in a size", SIZE, sized("0_3"), Refused(400)),
        case("a size that is none", SIZE, sized("x"), Refused(400)),
        case("an empty size", SIZE, sized(""), Refused(400)),
        case("a space before a size", SIZE, sized(" 3"), Refused(400)),
        case("a space behind a size", SIZE, sized("3 "), Refused(400)),
        case("a tab behind a size", SIZE, sized("3\t"), Refused(400)),
        case("a NUL behind a size", SIZE, sized("3\0"), Refused(400)),
        case("a size over 64 bits", SIZE, sized("10000000000000003"), Refused(400)),
        case("a size of 17 digits that begins with zero", SIZE, sized("00000000000000003"), body("abc")),
        case("a size of a thousand digits", SIZE, sized(&"0".repeat(1000)), Refused(400)),
        case("the largest size", SIZE, chunks("ffffffffffffffff\r\nabc"), Refused(400)),
        case("a bare LF behind a size", SIZE, chunks("3\nabc\r\n0\r\n\r\n"), Refused(400)),
        case("a bare CR behind a size", SIZE, chunks("3\rabc\r\n0\r\n\r\n"), Refused(400)),
        case("two CRs behind a size", SIZE, chunks("3\r\r\nabc\r\n0\r\n\r\n"), Refused(400)),
        case("a bare LF behind a chunk", SIZE, chunks("3\r\nabc\n0\r\n\r\n"), Refused(400)),
        case("a bare CR behind a chunk", SIZE, chunks("3\r\nabc\r0\r\n\r\n"), Refused(400)),
        case("no CRLF behind a chunk", SIZE, chunks("3\r\nabc0\r\n\r\n"), Refused(400)),
        case("a chunk longer than it says", SIZE, chunks("3\r\nabcdef\r\n0\r\n\r\n"), Refused(400)),
        case("a bare LF behind the last size", SIZE, chunks("3\r\nabc\r\n0\n\r\n"), Refused(400)),
        case("a bare LF for the last line", SIZE, chunks("3\r\nabc\r\n0\r\n\n"), Refused(400)),
        case("bare LFs at the end", SIZE, chunks("3\r\nabc\r\n0\n\n"), Refused(400)),
        case("a size in digits of another script", SIZE, sized("\u{663}"), Refused(400)),
    ]
}

fn extensions() -> Vec<Case> {
    const EXTENSION: &str = "RFC 9112 7.1.1";
    let extended = |extension: &str| chunks(format!("3{extension}\r\nabc\r\n0\r\n\r\n"));
    vec![
        case("an extension is not passed on", EXTENSION, extended(";a=b"), body("abc")),
        case("an extension without a value", EXTENSION, extended(";a"), body("abc")),
        case("an extension of the last chunk", EXTENSION, chunks("3\r\nabc\r\n0;a=b\r\n\r\n"), body("abc")),
        case("two extensions with whitespace", EXTENSION, extended(" ; a = b ;c"), body("abc")),
        case("a quoted value", EXTENSION, extended(";a=\"b c\\\"\""), body("abc")),
        case("a quote that does not end", EXTENSION, extended(";a=\"b"), Refused(400)),
        case("a CRLF in quotes", EXTENSION, extended(";a=\"\r\n\""), Refused(400)),
        case("a bare LF in an extension", EXTENSION, extended(";a=\nb"), Refused(400)),
        case("a bare LF that ends an extension", EXTENSION, chunks("3;a\nabc\r\n0\r\n\r\n"), Refused(400)),
        case("a bare CR in an extension", EXTENSION, extended(";a=\rb"), Refused(400)),
        case("a NUL in an extension", EXTENSION, extended(";a=\0"), Refused(400)),
        case("an extension without a name", EXTENSION, extended(";"), Refused(400)),
        case("an extension with a value and no name", EXTENSION, extended(";=b"), Refused(400)),
        case("an extension of UTF-8", EXTENSION, extended(";\u{e9}"), Refused(400)),
        case("an extension with a header in it", EXTENSION, extended(";a: b"), Refused(400)),
        case("an extension of 64 KiB", EXTENSION, extended(&format!(";{}", "a".repeat(1 << 16))), Refused(400)),
        case("an extension without a semicolon", EXTENSION, extended(" a"), Refused(400)),
    ]
}

fn trailers() -> Vec<Case> {
    const TRAILER: &str = "RFC 9110 6.5.1";
    let ended = |lines: &str| chunks(format!("3\r\nabc\r\n0\r\n{lines}\r\n"));
    let dropped = |name: &'static str, line: &str| {
        let kept = passed("POST / HTTP/1.1").body("abc").trailer("x-sum", "1");
        case(name, TRAILER, ended(&format!("{line}\r\nX-Sum: 1\r\n")), Passed(vec![kept]))
    };
    vec![
        case(
            "a trailer",
            TRAILER,
            ended("X-Sum: 1\r\n"),
            Passed(vec![passed("POST / HTTP/1.1").body("abc").trailer("x-sum", "1")]),
        ),
        dropped("a length as a trailer", "Content-Length: 100"),
        dropped("a transfer coding as a trailer", "Transfer-Encoding: chunked"),
        dropped("a host as a trailer", "Host: other"),
        dropped("Authorization as a trailer", "Authorization: Bearer x"),
        dropped("Proxy-Authorization as a trailer", "Proxy-Authorization: Bearer x"),
        dropped("a cookie as a trailer", "Cookie: a=b"),
        dropped("a Set-Cookie as a trailer", "Set-Cookie: a=b"),
        dropped("a session header as a trailer", "X-Session-User: mallory"),
        dropped("an alias of a session header as a trailer", "x_session_user: mallory"),
        dropped("an alias of a length as a trailer", "Content_Length: 100"),
        dropped("an alias of a transfer coding as a trailer", "Transfer.Encoding: chunked"),
        dropped("X-Forwarded-For as a trailer", "X-Forwarded-For: 6.6.6.6"),
        dropped("Connection as a trailer", "Connection: close"),
        dropped("Upgrade as a trailer", "Upgrade: h2c"),
        dropped("TE as a trailer", "TE: gzip"),
        dropped("Expect as a trailer", "Expect: 100-continue"),
        dropped("a content type as a trailer", "Content-Type: text/html"),
        dropped("a content coding as a trailer", "Content-Encoding: gzip"),
        dropped("a content range as a trailer", "Content-Range: bytes 0-1/2"),
        dropped("a Trailer as a trailer", "Trailer: X-Sum"),
        dropped("Max-Forwards as a trailer", "Max-Forwards: 1"),
        case("a folded trailer", "RFC 9112 5.2", ended("X-Sum: 1\r\n 2\r\n"), Refused(400)),
        case("a space before a trailer's colon", "RFC 9112 5.1", ended("X-Sum : 1\r\n"), Refused(400)),
        case("a bare LF behind a trailer", "RFC 9112 7.1.2", chunks("3\r\nabc\r\n0\r\nX-Sum: 1\n\r\n"), Refused(400)),
        case("a bare CR in a trailer", "RFC 9110 5.5", ended("X-Sum: 1\r2\r\n"), Refused(400)),
        case("a NUL in a trailer", "RFC 9110 5.5", ended("X-Sum: \0\r\n"), Refused(400)),
        case("a request line for a trailer", "RFC 9112 7.1.2", ended("GET /smuggled HTTP/1.1\r\n"), Refused(400)),
        case("a thousand trailers", "RFC 9110 6.5", ended(&"X: y\r\n".repeat(1000)), Refused(400)),
        case("64 KiB of trailers", "RFC 9110 6.5", ended(&format!("X: {}\r\n", "y".repeat(1 << 16))), Refused(400)),
    ]
}
