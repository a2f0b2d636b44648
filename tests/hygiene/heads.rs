//! Request lines, targets, and how lines end.

use super::case::Expected::{Cut, Passed, PassedLast, Refused};
use super::case::{Case, case, passed};

/// A GET with these lines besides Host.
fn get(lines: &str) -> Vec<u8> {
    format!("GET / HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n").into_bytes()
}

/// A GET for this target.
fn target(target: &[u8]) -> Vec<u8> {
    [b"GET ", target, b" HTTP/1.1\r\nHost: localhost\r\n\r\n"].concat()
}

pub(crate) fn cases() -> Vec<Case> {
    [request_lines(), targets(), lines()].into_iter().flatten().collect()
}

fn request_lines() -> Vec<Case> {
    const LINE: &str = "RFC 9112 3";
    const ENDS: &str = "RFC 9112 2.2";
    const VERSION: &str = "RFC 9112 2.3";
    let line = |line: &str| format!("{line}\r\nHost: localhost\r\n\r\n");
    let root = || Passed(vec![passed("GET / HTTP/1.1")]);
    vec![
        case("a plain request", LINE, get(""), root()),
        case("an empty line before it", ENDS, [b"\r\n".to_vec(), get("")].concat(), root()),
        case("three empty lines before it", ENDS, [b"\r\n\r\n\r\n".to_vec(), get("")].concat(), root()),
        case("a bare LF before it", ENDS, [b"\n".to_vec(), get("")].concat(), Refused(400)),
        case("a bare CR before it", ENDS, [b"\r".to_vec(), get("")].concat(), Refused(400)),
        case("a space before it", LINE, [b" ".to_vec(), get("")].concat(), Refused(400)),
        case("a byte-order mark before it", LINE, [b"\xef\xbb\xbf".to_vec(), get("")].concat(), Refused(400)),
        case("two spaces before the target", LINE, line("GET  / HTTP/1.1"), Refused(400)),
        case("two spaces before the version", LINE, line("GET /  HTTP/1.1"), Refused(400)),
        case("a tab for a space", LINE, line("GET\t/ HTTP/1.1"), Refused(400)),
        case("a space behind the version", LINE, line("GET / HTTP/1.1 "), Refused(400)),
        case("no version", VERSION, line("GET /"), Refused(400)),
        case("no target", LINE, line("GET HTTP/1.1"), Refused(400)),
        case("no method", LINE, line(" / HTTP/1.1"), Refused(400)),
        case("a method that is no token", "RFC 9110 9.1", line("G\"T / HTTP/1.1"), Refused(400)),
        case("a method with a NUL", "RFC 9110 9.1", line("GE\0T / HTTP/1.1"), Refused(400)),
        case(
            "a method that nobody knows",
            "RFC 9110 9.1",
            line("BREW / HTTP/1.1"),
            Passed(vec![passed("BREW / HTTP/1.1")]),
        ),
        case(
            "a method in lower case is another",
            "RFC 9110 9.1",
            line("get / HTTP/1.1"),
            Passed(vec![passed("get / HTTP/1.1")]),
        ),
        case("HTTP/1.2", VERSION, line("GET / HTTP/1.2"), Refused(400)),
        case("HTTP/2.0", VERSION, line("GET / HTTP/2.0"), Refused(400)),
        case("HTTP/0.9", VERSION, line("GET / HTTP/0.9"), Refused(400)),
        case("HTTP/1.01", VERSION, line("GET / HTTP/1.01"), Refused(400)),
        case("HTTP/ 1.1", VERSION, line("GET / HTTP/ 1.1"), Refused(400)),
        case("HTTP/1.1 in lower case", VERSION, line("GET / http/1.1"), Refused(400)),
        case(
            "HTTP/1.0 is HTTP/1.1 upstream, once",
            VERSION,
            line("GET / HTTP/1.0"),
            PassedLast(passed("GET / HTTP/1.1")),
        ),
        case(
            "HTTP/1.0 may keep its connection",
            "RFC 9112 9.3",
            "GET / HTTP/1.0\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n",
            root(),
        ),
        case("the preface of HTTP/2", "RFC 9113 3.4", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Cut),
        case("a TLS hello in clear text", LINE, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", Refused(400)),
    ]
}

fn targets() -> Vec<Case> {
    const TARGET: &str = "RFC 9112 3.2";
    vec![
        case(
            "a target of ASCII",
            TARGET,
            target(b"/a?b=c%20d&e[]={}"),
            Passed(vec![passed("GET /a?b=c%20d&e[]={} HTTP/1.1")]),
        ),
        case("UTF-8 in the path", TARGET, target("/\u{e9}".as_bytes()), Refused(400)),
        case("UTF-8 in the query", TARGET, target("/?\u{e9}".as_bytes()), Refused(400)),
        case("Latin-1 in the path", TARGET, target(b"/\xe9"), Refused(400)),
        case("a continuation byte that reads as a space", TARGET, target(b"/\xa0"), Refused(400)),
        case("a NUL in the target", TARGET, target(b"/\0"), Refused(400)),
        case("an escape in the target", TARGET, target(b"/\x1b[m"), Refused(400)),
        case("DEL in the target", TARGET, target(b"/\x7f"), Refused(400)),
        case("a space in the target", TARGET, target(b"/a b"), Refused(400)),
        case("a tab in the target", TARGET, target(b"/a\tb"), Refused(400)),
        case("a vertical tab in the target", TARGET, target(b"/a\x0bb"), Refused(400)),
        case("a bare CR in the target", TARGET, target(b"/a\rb"), Refused(400)),
        case("a bare LF in the target", TARGET, target(b"/a\nb"), Refused(400)),
        case(
            "a whole request in the target",
            TARGET,
            target(b"/ HTTP/1.1\r\nHost: localhost\r\n\r\nGET /smuggled"),
            Passed(vec![passed("GET / HTTP/1.1"), passed("GET /smuggled HTTP/1.1")]),
        ),
        case("a fragment is not passed on", TARGET, target(b"/a#b"), Passed(vec![passed("GET /a HTTP/1.1")])),
        case("a fragment behind a query", TARGET, target(b"/a?b#/../c"), Passed(vec![passed("GET /a?b HTTP/1.1")])),
        case("a target without its slash", "RFC 9112 3.2.1", target(b"a"), Refused(400)),
        case("an encoded NUL", "RFC 3986 7.3", target(b"/%00"), Refused(400)),
        case(
            "an encoded CRLF stays encoded",
            "RFC 3986 2.1",
            target(b"/%0d%0aX:%20y"),
            Passed(vec![passed("GET /%0d%0aX:%20y HTTP/1.1").lacks("x")]),
        ),
        case("a double slash stays", "RFC 3986 3.3", target(b"//a"), Passed(vec![passed("GET //a HTTP/1.1")])),
        case("a dot segment", "RFC 3986 5.2.4", target(b"/a/../b"), Refused(400)),
        case(
            "the root by its absolute form",
            "RFC 9112 3.2.2",
            target(b"http://localhost"),
            Passed(vec![passed("GET / HTTP/1.1").has("host", "localhost")]),
        ),
        case(
            "an absolute form of https",
            "RFC 9112 3.2.2",
            target(b"https://localhost/a"),
            Passed(vec![passed("GET /a HTTP/1.1").has("host", "localhost")]),
        ),
        case("an absolute form for another host", "RFC 9112 3.2.2", target(b"http://other/"), Refused(400)),
        case("an absolute form for another port", "RFC 9112 3.2.2", target(b"http://localhost:81/"), Refused(400)),
        case("an absolute form with a user", "RFC 9110 4.2.4", target(b"http://user@localhost/"), Refused(400)),
        case("an absolute form without a host", "RFC 9110 4.2.1", target(b"http:///"), Refused(400)),
        case("an absolute form of another scheme", "RFC 9112 3.2.2", target(b"ftp://localhost/"), Refused(400)),
        case(
            "CONNECT",
            "RFC 9110 9.3.6",
            "CONNECT localhost:443 HTTP/1.1\r\nHost: localhost:443\r\n\r\n",
            Refused(405),
        ),
        case("CONNECT with a path", "RFC 9112 3.2.3", "CONNECT / HTTP/1.1\r\nHost: localhost\r\n\r\n", Refused(405)),
        case("the authority form of GET", "RFC 9112 3.2.3", target(b"localhost:80"), Refused(400)),
        case(
            "OPTIONS *",
            "RFC 9112 3.2.4",
            "OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n",
            Passed(vec![passed("OPTIONS * HTTP/1.1")]),
        ),
        case("GET *", "RFC 9112 3.2.4", target(b"*"), Refused(400)),
        case("OPTIONS *x", "RFC 9112 3.2.4", "OPTIONS *x HTTP/1.1\r\nHost: localhost\r\n\r\n", Refused(400)),
        case("TRACE", "RFC 9110 9.3.8", "TRACE / HTTP/1.1\r\nHost: localhost\r\n\r\n", Refused(405)),
        case("a target of 70,000 bytes", "RFC 9110 15.5.15", target("/".repeat(70_000).as_bytes()), Refused(431)),
    ]
}

fn lines() -> Vec<Case> {
    const ENDS: &str = "RFC 9112 2.2";
    let all = |end: &str| ["GET / HTTP/1.1", "Host: localhost", "X: y", "", ""].join(end);
    vec![
        case("a bare LF behind the request line", ENDS, "GET / HTTP/1.1\nHost: localhost\r\n\r\n", Refused(400)),
        case("a bare LF behind a header", ENDS, "GET / HTTP/1.1\r\nHost: localhost\nX: y\r\n\r\n", Refused(400)),
        case("a bare LF for the empty line", ENDS, "GET / HTTP/1.1\r\nHost: localhost\r\n\n", Refused(400)),
        case("bare LFs throughout", ENDS, all("\n"), Refused(400)),
        case("bare CRs throughout", ENDS, all("\r"), Refused(400)),
        case("LF and CR in the wrong order", ENDS, all("\n\r"), Refused(400)),
        case("two CRs before the LF", ENDS, all("\r\r\n"), Refused(400)),
        case("a folded line", "RFC 9112 5.2", get("X: a\r\n b\r\n"), Refused(400)),
        case("a line folded by a tab", "RFC 9112 5.2", get("X: a\r\n\tb\r\n"), Refused(400)),
        case("a folded length", "RFC 9112 5.2", get("Content-Length:\r\n 5\r\n"), Refused(400)),
        case("a folded transfer coding", "RFC 9112 5.2", get("Transfer-Encoding:\r\n chunked\r\n"), Refused(400)),
        case(
            "a fold right behind the request line",
            "RFC 9112 2.2",
            "GET / HTTP/1.1\r\n Host: localhost\r\n\r\n",
            Refused(400),
        ),
        case("a fold that has nothing in it", "RFC 9112 5.2", get("X: a\r\n \r\n"), Refused(400)),
        case("a megabyte in one header", "RFC 6585 5", get(&format!("X: {}\r\n", "a".repeat(1 << 20))), Refused(431)),
        case("a thousand headers", "RFC 6585 5", get(&"X: y\r\n".repeat(1000)), Refused(431)),
    ]
}
