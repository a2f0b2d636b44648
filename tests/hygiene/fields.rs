//! Header lines: values, names, hosts, and what belongs to one connection.

use super::case::Expected::{Passed, PassedLast, Refused};
use super::case::{Case, case, passed};

/// A GET with these lines besides Host.
fn get(lines: &str) -> Vec<u8> {
    format!("GET / HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n").into_bytes()
}

/// A GET with one header of this value.
fn value(value: &[u8]) -> Vec<u8> {
    [b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ", value, b"\r\n\r\n"].concat()
}

/// A GET with exactly these lines.
fn hosts(lines: &str) -> Vec<u8> {
    format!("GET / HTTP/1.1\r\n{lines}\r\n").into_bytes()
}

pub(crate) fn cases() -> Vec<Case> {
    [values(), names(), host(), hop_by_hop()].into_iter().flatten().collect()
}

fn values() -> Vec<Case> {
    const VALUE: &str = "RFC 9110 5.5";
    let x = |value| Passed(vec![passed("GET / HTTP/1.1").has("x", value)]);
    vec![
        case("a NUL in a value", VALUE, value(b"a\0b"), Refused(400)),
        case("a bare CR in a value", VALUE, value(b"a\rb"), Refused(400)),
        case("a bare CR and a header in a value", VALUE, value(b"a\rTransfer-Encoding: chunked"), Refused(400)),
        case("a bare LF and a header in a value", VALUE, value(b"a\nTransfer-Encoding: chunked"), Refused(400)),
        case("an escape in a value", VALUE, value(b"a\x1bb"), Refused(400)),
        case("a vertical tab in a value", VALUE, value(b"a\x0bb"), Refused(400)),
        case("a form feed in a value", VALUE, value(b"\x0c"), Refused(400)),
        case("DEL in a value", VALUE, value(b"a\x7fb"), Refused(400)),
        case("a tab in a value", VALUE, value(b"a\tb"), x("a\tb")),
        case("an empty value", VALUE, value(b""), x("")),
        case("whitespace around a value", "RFC 9112 5.1", value(b" \t a \t "), x("a")),
        case("UTF-8 in a value is opaque", VALUE, value("\u{e9}".as_bytes()), x("\u{e9}")),
        case("a CRLF in UTF-16 is no CRLF", VALUE, value("\u{10d}\u{10a}".as_bytes()), x("\u{10d}\u{10a}")),
        case("what looks like a header is a value", VALUE, value(b"Content-Length: 5"), x("Content-Length: 5")),
    ]
}

fn names() -> Vec<Case> {
    const NAME: &str = "RFC 9112 5.1";
    const TOKEN: &str = "RFC 9110 5.1";
    let without = |lines: &str, name| {
        (
            get(lines),
            Passed(vec![passed("GET / HTTP/1.1").lacks(name).lacks("content-length").lacks("transfer-encoding")]),
        )
    };
    let dropped = |what: &'static str, lines: &str, name| {
        let (bytes, expected) = without(lines, name);
        case(what, "RFC 9110 16.3.2.2", bytes, expected)
    };
    vec![
        case("a space before the colon", NAME, get("X : y\r\n"), Refused(400)),
        case("a tab before the colon", NAME, get("X\t: y\r\n"), Refused(400)),
        case("a space before the colon of a length", NAME, get("Content-Length : 5\r\n"), Refused(400)),
        case(
            "a space before the colon of a transfer coding",
            NAME,
            get("Transfer-Encoding : chunked\r\n"),
            Refused(400),
        ),
        case("a space before the colon of a host", NAME, "GET / HTTP/1.1\r\nHost : localhost\r\n\r\n", Refused(400)),
        case("no name", TOKEN, get(": y\r\n"), Refused(400)),
        case("no colon", TOKEN, get("X\r\n"), Refused(400)),
        case("a space in a name", TOKEN, get("X Y: z\r\n"), Refused(400)),
        case("a NUL in a name", TOKEN, get("X\0: y\r\n"), Refused(400)),
        case("a NUL behind the name of a length", TOKEN, get("Content-Length\0: 5\r\n"), Refused(400)),
        case("a quote in a name", TOKEN, get("X\"Y: z\r\n"), Refused(400)),
        case("a bracket in a name", TOKEN, get("X[]: z\r\n"), Refused(400)),
        case("UTF-8 in a name", TOKEN, get("X\u{e9}: z\r\n"), Refused(400)),
        case("the long s that lower-cases to an s", TOKEN, get("Ho\u{17f}t: evil\r\n"), Refused(400)),
        dropped("Transfer_Encoding", "Transfer_Encoding: chunked\r\n", "transfer_encoding"),
        dropped("Content_Length", "Content_Length: 5\r\n", "content_length"),
        dropped("Transfer.Encoding", "Transfer.Encoding: chunked\r\n", "transfer.encoding"),
        dropped("CONTENT~LENGTH", "CONTENT~LENGTH: 5\r\n", "content~length"),
        dropped("Content!Length", "Content!Length: 5\r\n", "content!length"),
        dropped("Proxy, which is HTTP_PROXY to CGI", "Proxy: http://evil.example\r\n", "proxy"),
        dropped("X_Session_User", "X_Session_User: mallory\r\n", "x_session_user"),
        dropped("X_Forwarded_For", "X_Forwarded_For: 6.6.6.6\r\n", "x_forwarded_for"),
        case(
            "a name that only begins so",
            TOKEN,
            get("Content_Length2: 5\r\n"),
            Passed(vec![passed("GET / HTTP/1.1").has("content_length2", "5")]),
        ),
    ]
}

fn host() -> Vec<Case> {
    const HOST: &str = "RFC 9112 3.2";
    const FORM: &str = "RFC 9110 7.2";
    vec![
        case("no Host", HOST, hosts(""), Refused(400)),
        case("no Host in HTTP/1.0", HOST, "GET / HTTP/1.0\r\n\r\n", Refused(400)),
        case("an empty Host", HOST, hosts("Host:\r\n"), Refused(400)),
        case("two Hosts", HOST, hosts("Host: localhost\r\nHost: other\r\n"), Refused(400)),
        case("two equal Hosts", HOST, hosts("Host: localhost\r\nHost: localhost\r\n"), Refused(400)),
        case("a list of Hosts", HOST, hosts("Host: localhost, other\r\n"), Refused(400)),
        case("a Host with a user", FORM, hosts("Host: user@localhost\r\n"), Refused(400)),
        case("a Host with a path", FORM, hosts("Host: localhost/a\r\n"), Refused(400)),
        case("a Host with a scheme", FORM, hosts("Host: http://localhost\r\n"), Refused(400)),
        case("a Host with a space", FORM, hosts("Host: local host\r\n"), Refused(400)),
        case("a Host with two ports", FORM, hosts("Host: localhost:1:2\r\n"), Refused(400)),
        case("a Host whose port is none", FORM, hosts("Host: localhost:http\r\n"), Refused(400)),
        case("a Host with an encoding", FORM, hosts("Host: %6cocalhost\r\n"), Refused(400)),
        case("a Host with a backslash", FORM, hosts("Host: localhost\\@other\r\n"), Refused(400)),
        case("a Host of UTF-8", FORM, hosts("Host: loc\u{e1}lhost\r\n"), Refused(400)),
        case(
            "a Host with a port",
            FORM,
            hosts("Host: localhost:8080\r\n"),
            Passed(vec![passed("GET / HTTP/1.1").has("host", "localhost:8080")]),
        ),
        case(
            "a Host of IPv6",
            FORM,
            hosts("Host: [::1]:80\r\n"),
            Passed(vec![passed("GET / HTTP/1.1").has("host", "[::1]:80")]),
        ),
        case("an absolute form without Host", HOST, "GET http://localhost/ HTTP/1.1\r\n\r\n", Refused(400)),
        case(
            "an absolute form with two Hosts",
            HOST,
            "GET http://localhost/ HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
            Refused(400),
        ),
        case(
            "X-Forwarded-Host is not believed",
            FORM,
            get("X-Forwarded-Host: other\r\n"),
            Passed(vec![passed("GET / HTTP/1.1").has("x-forwarded-host", "localhost")]),
        ),
    ]
}

fn hop_by_hop() -> Vec<Case> {
    const HOP: &str = "RFC 9110 7.6.1";
    const UPGRADE: &str = "RFC 9110 7.8";
    const EXPECT: &str = "RFC 9110 10.1.1";
    let root = || passed("GET / HTTP/1.1");
    let expecting =
        |value: &str| format!("POST / HTTP/1.1\r\nHost: localhost\r\nExpect: {value}\r\nContent-Length: 3\r\n\r\nabc");
    let posted = || Passed(vec![passed("POST / HTTP/1.1").lacks("expect").has("content-length", "3").body("abc")]);
    vec![
        case(
            "what Connection names stays here",
            HOP,
            get("Connection: X\r\nX: y\r\n"),
            Passed(vec![root().lacks("x").lacks("connection")]),
        ),
        case(
            "Connection cannot name Host",
            HOP,
            get("Connection: host\r\n"),
            Passed(vec![root().has("host", "localhost")]),
        ),
        case(
            "Connection cannot name a length",
            HOP,
            "POST / HTTP/1.1\r\nHost: localhost\r\nConnection: Content-Length\r\nContent-Length: 3\r\n\r\nabc",
            Passed(vec![passed("POST / HTTP/1.1").has("content-length", "3").body("abc")]),
        ),
        case(
            "Connection cannot name a transfer coding",
            HOP,
            "POST / HTTP/1.1\r\nHost: localhost\r\nConnection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            Passed(vec![passed("POST / HTTP/1.1").has("transfer-encoding", "chunked").body("abc")]),
        ),
        case(
            "Keep-Alive, TE and Proxy-Connection stay here",
            HOP,
            get("Keep-Alive: 5\r\nTE: gzip\r\nProxy-Connection: close\r\n"),
            Passed(vec![root().lacks("keep-alive").lacks("te").lacks("proxy-connection")]),
        ),
        case(
            "Connection: close is kept to",
            "RFC 9112 9.6",
            get("Connection: close\r\n"),
            PassedLast(root().lacks("connection")),
        ),
        case(
            "an upgrade to h2c",
            UPGRADE,
            get("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"),
            Passed(vec![root().lacks("upgrade").lacks("http2-settings").lacks("connection")]),
        ),
        case(
            "an upgrade to TLS",
            UPGRADE,
            get("Connection: Upgrade\r\nUpgrade: TLS/1.0\r\n"),
            Passed(vec![root().lacks("upgrade").lacks("connection")]),
        ),
        case(
            "an upgrade with a body",
            UPGRADE,
            "POST / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 3\r\n\r\nabc",
            Passed(vec![passed("POST / HTTP/1.1").lacks("upgrade").body("abc")]),
        ),
        case(
            "a request hidden behind an upgrade",
            UPGRADE,
            "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nGET /smuggled HTTP/1.1\nHost: localhost\r\n\r\n",
            PassedLast(root()),
        ),
        case(
            "a length twice behind an upgrade",
            UPGRADE,
            "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nPOST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
            PassedLast(root()),
        ),
        case(
            "a request behind an upgrade",
            UPGRADE,
            "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nGET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
            Passed(vec![root(), root()]),
        ),
        case("Expect: 100-continue", EXPECT, expecting("100-continue"), posted()),
        case("Expect in capitals", EXPECT, expecting("100-CONTINUE"), posted()),
        case("Expect of something else", EXPECT, expecting("200-ok"), posted()),
        case("Expect of a list", EXPECT, expecting("100-continue, x"), posted()),
        case("Expect twice", EXPECT, expecting("100-continue\r\nExpect: 100-continue"), posted()),
        case("Expect without a body", EXPECT, get("Expect: 100-continue\r\n"), Passed(vec![root().lacks("expect")])),
        case(
            "Max-Forwards of OPTIONS",
            "RFC 9110 7.6.2",
            "OPTIONS / HTTP/1.1\r\nHost: localhost\r\nMax-Forwards: 0\r\n\r\n",
            Passed(vec![passed("OPTIONS / HTTP/1.1").has("max-forwards", "0")]),
        ),
        case(
            "two requests at once",
            "RFC 9112 9.3.2",
            [get(""), get("X: y\r\n")].concat(),
            Passed(vec![root(), root().has("x", "y")]),
        ),
    ]
}
