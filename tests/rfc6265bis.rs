//! The jar keeps to RFC 6265bis (draft 20), section by section. Each case is one row; the rows are counted.
#![allow(missing_docs)]

use http::header::{HeaderMap, HeaderValue, SET_COOKIE};
use session_gateway::metrics::Counter;
use session_gateway::proxy::cookies::jar::Pattern;
use session_gateway::proxy::cookies::prefix::Prefix;
use session_gateway::proxy::cookies::rules::{Rule, Rules};
use session_gateway::session::UnixTime;
use session_gateway::session::jar::date;
use session_gateway::session::jar::retrieval::{Initiator, Request, default_path, domain_matches, path_matches};
use session_gateway::session::jar::set_cookie::{self, Ignored};
use session_gateway::session::jar::{Changes, Jar, SameSite};

const NOW: UnixTime = UnixTime(1_800_000_000);

/// `5.1.1` Dates. Seconds since 1970; none where it is no date.
const DATES: [(&str, Option<u64>); 50] = [
    ("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777)),
    ("Sunday, 06-Nov-94 08:49:37 GMT", Some(784_111_777)),
    ("Sun Nov  6 08:49:37 1994", Some(784_111_777)),
    ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
    ("Thu, 01-Jan-1970 00:00:01 GMT", Some(1)),
    ("Wed, 31 Dec 1969 23:59:59 GMT", Some(0)),
    ("Mon, 01 Jan 1601 00:00:00 GMT", Some(0)),
    ("Sun, 31 Dec 1600 23:59:59 GMT", None),
    ("Tue, 19 Jan 2038 03:14:08 GMT", Some(2_147_483_648)),
    ("Fri, 31 Dec 9999 23:59:59 GMT", Some(253_402_300_799)),
    ("Fri, 31 Dec 10000 23:59:59 GMT", None),
    ("Tue, 29 Feb 2028 00:00:00 GMT", Some(1_835_395_200)),
    ("Mon, 29 Feb 2027 00:00:00 GMT", None),
    ("Tue, 29 Feb 2000 00:00:00 GMT", Some(951_782_400)),
    ("Thu, 29 Feb 1900 00:00:00 GMT", None),
    ("31 Apr 2027 00:00:00", None),
    ("30 Apr 2027 00:00:00", Some(1_809_043_200)),
    ("32 Jan 2027 00:00:00", None),
    ("0 Jan 2027 00:00:00", None),
    ("00 Jan 2027 00:00:00", None),
    ("1 Jan 2027 24:00:00", None),
    ("1 Jan 2027 00:60:00", None),
    ("1 Jan 2027 00:00:60", None),
    ("1 Jan 2027 1:2:3", Some(1_798_765_323)),
    ("1 Jan 2027 01:02", None),
    ("1 Jan 2027 001:02:03", None),
    ("1 Jan 2027 01:02:03x", Some(1_798_765_323)),
    ("1 Jan 2027 01:02:034", None),
    ("1 Jan 2027 01:x2:03", None),
    ("1 Jan 69 00:00:00", Some(3_124_224_000)),
    ("1 Jan 70 00:00:00", Some(0)),
    ("1 Jan 99 00:00:00", Some(915_148_800)),
    ("1 Jan 00 00:00:00", Some(946_684_800)),
    ("1 Jan 0 00:00:00", None),
    ("1 Jan 027 00:00:00", Some(1_798_761_600)),
    ("1 Jan 100 00:00:00", None),
    ("1 Jan 2027abc 00:00:00", Some(1_798_761_600)),
    ("1st Jan 2027 00:00:00", Some(1_798_761_600)),
    ("1 January 2027 00:00:00", Some(1_798_761_600)),
    ("1 JAN 2027 00:00:00", Some(1_798_761_600)),
    ("1 Jax 2027 00:00:00", None),
    ("1 Ja 2027 00:00:00", None),
    ("2027 1 Jan 00:00:00", Some(1_798_761_600)),
    ("00:00:00 Jan 1 2027", Some(1_798_761_600)),
    ("1-Jan-2027;00:00:00", Some(1_798_761_600)),
    ("1/Jan/2027\t00:00:00 +0100", Some(1_798_761_600)),
    ("1.Jan.2027(00:00:00)", Some(1_798_761_600)),
    ("1:Jan:2027:00:00:00", None),
    ("", None),
    ("tomorrow", None),
];

/// `5.1.3` Domain matching: host, domain.
const DOMAINS: [(&str, &str, bool); 12] = [
    ("example.com", "example.com", true),
    ("www.example.com", "example.com", true),
    ("a.b.example.com", "example.com", true),
    ("example.com", "www.example.com", false),
    ("notexample.com", "example.com", false),
    ("example.com.evil", "example.com", false),
    ("example.com", "com", true),
    ("127.0.0.1", "127.0.0.1", true),
    ("127.0.0.1", "0.0.1", false),
    ("1.127.0.0.1", "127.0.0.1", true),
    ("[::1]", "[::1]", true),
    ("example.com", "", false),
];

/// `5.1.4` Path matching: of the request, of the cookie.
const PATHS: [(&str, &str, bool); 16] = [
    ("/", "/", true),
    ("/a", "/", true),
    ("/a", "/a", true),
    ("/a/", "/a", true),
    ("/a/b", "/a", true),
    ("/a/b", "/a/", true),
    ("/a", "/a/", false),
    ("/ab", "/a", false),
    ("/a%2fb", "/a", false),
    ("/A", "/a", false),
    ("/a?b", "/a", false),
    ("/", "/a", false),
    ("/a/b/c", "/a/b", true),
    ("/a/bc", "/a/b", false),
    ("/a//b", "/a/", true),
    ("", "/", false),
];

/// `5.1.4` The default path.
const DEFAULT_PATHS: [(&str, &str); 9] = [
    ("", "/"),
    ("/", "/"),
    ("/a", "/"),
    ("/a/", "/a"),
    ("/a/b", "/a"),
    ("/a/b/", "/a/b"),
    ("/a//", "/a/"),
    ("a/b", "/"),
    ("*", "/"),
];

/// A cookie's name and value.
type Pair = (&'static str, &'static str);

/// `5.6` Name and value; or why a browser ignores it all.
const PAIRS: [(&str, Result<Pair, Ignored>); 22] = [
    ("a=b", Ok(("a", "b"))),
    ("a=b; Path=/", Ok(("a", "b"))),
    (" a = b ", Ok(("a", "b"))),
    ("\ta\t=\tb\t", Ok(("a", "b"))),
    ("a=b=c", Ok(("a", "b=c"))),
    ("a==b", Ok(("a", "=b"))),
    ("a=", Ok(("a", ""))),
    ("=b", Ok(("", "b"))),
    ("b", Ok(("", "b"))),
    (" b ; Secure", Ok(("", "b"))),
    ("=a=b", Ok(("", "a=b"))),
    ("a=\"b; c\"", Ok(("a", "\"b"))),
    ("a=\"b\"", Ok(("a", "\"b\""))),
    ("a=b c,d", Ok(("a", "b c,d"))),
    ("a b=c", Ok(("a b", "c"))),
    ("a=\u{e9}", Ok(("a", "\u{e9}"))),
    ("", Err(Ignored::Malformed)),
    ("=", Err(Ignored::Malformed)),
    ("; a=b", Err(Ignored::Malformed)),
    ("a=b\u{0}c", Err(Ignored::Malformed)),
    ("a=b; Path=/\u{7f}", Err(Ignored::Malformed)),
    ("a=\u{1}", Err(Ignored::Malformed)),
];

/// What a response to a request for the first address sets, and what a later request for the second carries.
type Exchange = (&'static str, &'static [&'static str], &'static str, &'static str);

/// `5.6.1`, `5.6.2` Expires and Max-Age.
const LIVES: [Exchange; 22] = [
    ("https://h.test/", &["a=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT"], "https://h.test/", ""),
    ("https://h.test/", &["a=1; Expires=Fri, 15 Jan 2027 08:00:00 GMT"], "https://h.test/", ""),
    ("https://h.test/", &["a=1; Expires=Fri, 15 Jan 2027 08:00:01 GMT"], "https://h.test/", "a=1"),
    ("https://h.test/", &["a=1; Expires=yesterday"], "https://h.test/", "a=1"),
    ("https://h.test/", &["a=1; EXPIRES = Thu, 01 Jan 1970 00:00:00 GMT"], "https://h.test/", ""),
    (
        "https://h.test/",
        &["a=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Expires=Sat, 15 Jan 2028 08:00:00 GMT"],
        "https://h.test/",
        "a=1",
    ),
    ("https://h.test/", &["a=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Expires=never"], "https://h.test/", ""),
    ("https://h.test/", &["a=1; Max-Age=1"], "https://h.test/", "a=1"),
    ("https://h.test/", &["a=1; Max-Age=0"], "https://h.test/", ""),
    ("https://h.test/", &["a=1; Max-Age=-1"], "https://h.test/", ""),
    ("https://h.test/", &["a=1; Max-Age=-0"], "https://h.test/", ""),
    ("https://h.test/", &["a=1; Max-Age=00"], "https://h.test/", ""),
    ("https://h.test/", &["a=1; Max-Age=-"], "https://h.test/", "a=1"),
    ("https://h.test/", &["a=1; Max-Age="], "https://h.test/", "a=1"),
    ("https://h.test/", &["a=1; Max-Age"], "https://h.test/", "a=1"),
    ("https://h.test/", &["a=1; Max-Age=+0"], "https://h.test/", "a=1"),
    ("https://h.test/", &["a=1; Max-Age=0x"], "https://h.test/", "a=1"),
    ("https://h.test/", &["a=1; Max-Age=99999999999999999999999"], "https://h.test/", "a=1"),
    ("https://h.test/", &["a=1; Max-Age=0; Expires=Sat, 15 Jan 2028 08:00:00 GMT"], "https://h.test/", ""),
    ("https://h.test/", &["a=1; Max-Age=9; Expires=Thu, 01 Jan 1970 00:00:00 GMT"], "https://h.test/", "a=1"),
    ("https://h.test/", &["a=1; Max-Age=0; Max-Age=9"], "https://h.test/", "a=1"),
    ("https://h.test/", &["a=1; Max-Age=9; Max-Age=x"], "https://h.test/", "a=1"),
];

/// `5.6.3`, `5.7` Domain.
const SCOPES: [Exchange; 20] = [
    ("https://a.test/", &["a=1"], "https://a.test/", "a=1"),
    ("https://a.test/", &["a=1"], "https://A.TEST/", "a=1"),
    ("https://a.test/", &["a=1"], "https://b.a.test/", ""),
    ("https://a.test/", &["a=1"], "https://b.test/", ""),
    ("https://a.test/", &["a=1; Domain=a.test"], "https://a.test/", "a=1"),
    ("https://a.test/", &["a=1; Domain=a.test"], "https://b.a.test/", "a=1"),
    ("https://a.test/", &["a=1; Domain=.a.test"], "https://b.a.test/", "a=1"),
    ("https://a.test/", &["a=1; Domain=..a.test"], "https://a.test/", ""),
    ("https://a.test/", &["a=1; Domain=A.Test"], "https://b.a.test/", "a=1"),
    ("https://b.a.test/", &["a=1; Domain=a.test"], "https://c.a.test/", "a=1"),
    ("https://b.a.test/", &["a=1; Domain=c.a.test"], "https://c.a.test/", ""),
    ("https://a.test/", &["a=1; Domain=b.a.test"], "https://b.a.test/", ""),
    ("https://a.test/", &["a=1; Domain=test"], "https://b.test/", ""),
    ("https://localhost/", &["a=1; Domain=localhost"], "https://localhost/", "a=1"),
    ("https://localhost/", &["a=1; Domain=localhost"], "https://b.localhost/", ""),
    ("https://a.test/", &["a=1; Domain="], "https://b.a.test/", ""),
    ("https://a.test/", &["a=1; Domain=b.test; Domain=a.test"], "https://b.a.test/", "a=1"),
    ("https://a.test/", &["a=1; Domain=a.test; Domain=b.test"], "https://a.test/", ""),
    ("https://127.0.0.1/", &["a=1; Domain=127.0.0.1"], "https://127.0.0.1/", "a=1"),
    ("https://127.0.0.1/", &["a=1; Domain=0.0.1"], "https://127.0.0.1/", ""),
];

/// `5.6.4` Path.
const COOKIE_PATHS: [Exchange; 11] = [
    ("https://h.test/a/b", &["a=1"], "https://h.test/a/c", "a=1"),
    ("https://h.test/a/b", &["a=1"], "https://h.test/", ""),
    ("https://h.test/a/b", &["a=1; Path=/"], "https://h.test/c", "a=1"),
    ("https://h.test/a/b", &["a=1; Path=/c"], "https://h.test/c/d", "a=1"),
    ("https://h.test/a/b", &["a=1; Path=c"], "https://h.test/a/b", "a=1"),
    ("https://h.test/a/b", &["a=1; Path="], "https://h.test/a", "a=1"),
    ("https://h.test/a/b", &["a=1; Path"], "https://h.test/", ""),
    ("https://h.test/", &["a=1; Path=/c; Path=/d"], "https://h.test/d", "a=1"),
    ("https://h.test/a/b", &["a=1; Path=/; Path=x"], "https://h.test/", ""),
    ("https://h.test/", &["a=1; PATH=/c"], "https://h.test/c", "a=1"),
    ("https://h.test/", &["a=1; Path=\"/\""], "https://h.test/", "a=1"),
];

/// `5.4`, `5.6.5` to `5.6.7`, `5.7` Secure, prefixes, `SameSite`.
const PROMISES: [Exchange; 31] = [
    ("https://h.test/", &["a=1; Secure"], "https://h.test/", "a=1"),
    ("https://h.test/", &["a=1; Secure"], "http://h.test/", ""),
    ("http://h.test/", &["a=1; Secure"], "https://h.test/", ""),
    ("http://h.test/", &["a=1"], "https://h.test/", "a=1"),
    ("https://h.test/", &["a=1; secure=false"], "http://h.test/", ""),
    ("https://h.test/", &["a=1; HttpOnly"], "https://h.test/", "a=1"),
    ("https://h.test/", &["a=1; SameSite=None"], "https://h.test/", ""),
    ("https://h.test/", &["a=1; SameSite=None; Secure"], "https://h.test/", "a=1"),
    ("https://h.test/", &["a=1; SameSite=None; Secure"], "elsewhere https://h.test/", "a=1"),
    ("https://h.test/", &["a=1"], "elsewhere https://h.test/", ""),
    ("https://h.test/", &["a=1"], "link https://h.test/", "a=1"),
    ("https://h.test/", &["a=1; SameSite=Lax"], "elsewhere https://h.test/", ""),
    ("https://h.test/", &["a=1; SameSite=Lax"], "link https://h.test/", "a=1"),
    ("https://h.test/", &["a=1; SameSite=Strict"], "link https://h.test/", ""),
    ("https://h.test/", &["a=1; SameSite=Strict"], "https://h.test/", "a=1"),
    ("https://h.test/", &["a=1; SameSite=sometimes"], "link https://h.test/", "a=1"),
    ("https://h.test/", &["a=1; SameSite=Strict; SameSite=Lax"], "link https://h.test/", "a=1"),
    ("https://h.test/", &["a=1; samesite=STRICT"], "link https://h.test/", ""),
    ("https://h.test/", &["__Secure-a=1"], "https://h.test/", ""),
    ("https://h.test/", &["__Secure-a=1; Secure"], "https://h.test/", "__Secure-a=1"),
    ("https://h.test/", &["__secure-a=1"], "https://h.test/", ""),
    ("https://h.test/", &["__Host-a=1; Secure; Path=/"], "https://h.test/", "__Host-a=1"),
    ("https://h.test/", &["__Host-a=1; Secure"], "https://h.test/", ""),
    ("https://h.test/", &["__Host-a=1; Path=/"], "https://h.test/", ""),
    ("https://h.test/", &["__Host-a=1; Secure; Path=/; Domain=h.test"], "https://h.test/", ""),
    ("https://h.test/", &["__Host-a=1; Secure; Path=/b"], "https://h.test/b", ""),
    ("https://h.test/", &["=__Host-a=1; Secure; Path=/"], "https://h.test/", ""),
    ("https://h.test/", &["__SECURE-a"], "https://h.test/", ""),
    // What comes in clear text leaves secure cookies alone: see also `STEPS`.
    ("https://h.test/", &["a=1; Secure; Path=/", "a=2; Path=/"], "https://h.test/", "a=2"),
    ("https://h.test/", &["a=1; Priority=High; Partitioned; x"], "https://h.test/", "a=1"),
    ("https://h.test/", &["a=1;;;Secure;"], "https://h.test/", "a=1"),
];

/// `5.7`, `5.8.3` What replaces what, and in which order cookies go.
const ORDER: [Exchange; 15] = [
    ("https://h.test/", &["a=1", "b=2"], "https://h.test/", "a=1; b=2"),
    ("https://h.test/", &["b=2", "a=1"], "https://h.test/", "b=2; a=1"),
    ("https://h.test/", &["a=1", "b=2", "a=3"], "https://h.test/", "a=3; b=2"),
    ("https://h.test/", &["a=1; Path=/", "a=2; Path=/x"], "https://h.test/x", "a=2; a=1"),
    ("https://h.test/", &["a=1; Path=/x", "a=2; Path=/"], "https://h.test/x", "a=1; a=2"),
    ("https://h.test/", &["a=1; Path=/x", "b=2; Path=/x/y", "c=3"], "https://h.test/x/y", "b=2; a=1; c=3"),
    ("https://h.test/", &["a=1", "a=2; Domain=h.test"], "https://h.test/", "a=1; a=2"),
    ("https://h.test/", &["a=1", "a=; Max-Age=0"], "https://h.test/", ""),
    ("https://h.test/", &["a=1", "a=; Max-Age=0; Path=/x"], "https://h.test/", "a=1"),
    ("https://h.test/", &["a=1; Path=/x", "a=; Max-Age=0"], "https://h.test/x", "a=1"),
    ("https://h.test/", &["a=1; Domain=h.test", "a=; Max-Age=0"], "https://h.test/", "a=1"),
    ("https://h.test/", &["a=1", "b=2", "a=; Max-Age=0", "a=3"], "https://h.test/", "b=2; a=3"),
    ("https://h.test/", &["A=1", "a=2"], "https://h.test/", "A=1; a=2"),
    ("https://h.test/", &["=1", "a=2"], "https://h.test/", "1; a=2"),
    ("https://h.test/", &["1", "=2"], "https://h.test/", "2"),
];

/// An address, perhaps behind a word on what led there.
fn request(address: &str) -> (bool, Request<'_>) {
    let (by, address) = match address.split_once(' ') {
        Some(("elsewhere", address)) => (Initiator::Elsewhere, address),
        Some(("link", address)) => (Initiator::ForeignLink, address),
        _ => (Initiator::Here, address),
    };
    let (scheme, rest) = address.split_once("://").expect("an address");
    let (host, path) = rest.split_at(rest.find('/').expect("a path"));
    let is_secure = scheme == "https";
    (is_secure, Request { upstream: "app", host, path: path.as_bytes(), is_secure, by })
}

/// The jar after one more response, which sets one cookie.
fn receive(jar: &Jar, step: u32, from: &str, line: &str) -> Jar {
    let (_, request) = request(from);
    let stored = set_cookie::parse(line.as_bytes()).and_then(|cookie| cookie.store(&request, jar, NOW));
    let Ok((name, to)) = stored else { return jar.clone() };
    let mut changes = Changes::new(Some(step), NOW, UnixTime(NOW.0 + 60));
    changes.push(name, to);
    jar.changed(&changes, step + 1).expect("a few cookies fit")
}

fn carried(jar: &Jar, to: &str, now: UnixTime) -> String {
    let (_, request) = request(to);
    let pair = |(name, value): (&[u8], &[u8])| {
        let (name, value) = (String::from_utf8_lossy(name), String::from_utf8_lossy(value));
        if name.is_empty() { value.into_owned() } else { format!("{name}={value}") }
    };
    jar.cookies_for(&request, now).into_iter().map(pair).collect::<Vec<_>>().join("; ")
}

fn assert_exchanges(section: &str, exchanges: &[Exchange]) {
    for (from, lines, to, expected) in exchanges {
        let steps = lines.iter().zip(0..);
        let jar = steps.fold(Jar::default(), |jar, (line, step)| receive(&jar, step, from, line));
        assert_eq!(carried(&jar, to, NOW), *expected, "section {section}: {lines:?} from {from}, then {to}");
    }
}

#[test]
fn there_are_many_cases() {
    let exchanges = LIVES.len() + SCOPES.len() + COOKIE_PATHS.len() + PROMISES.len() + ORDER.len();
    let all =
        DATES.len() + DOMAINS.len() + PATHS.len() + DEFAULT_PATHS.len() + PAIRS.len() + PREFIXED.len() + exchanges;
    assert!(all >= 200, "{all}");
}

#[test]
fn section_5_1_1_dates() {
    for (text, expected) in DATES {
        assert_eq!(date::parse(text.as_bytes()), expected.map(UnixTime), "{text:?}");
    }
}

#[test]
fn section_5_1_3_domain_matching() {
    for (host, domain, expected) in DOMAINS {
        assert_eq!(domain_matches(host, domain), expected, "{host} {domain}");
    }
}

#[test]
fn section_5_1_4_paths() {
    for (path, of, expected) in PATHS {
        assert_eq!(path_matches(path.as_bytes(), of.as_bytes()), expected, "{path} {of}");
    }
    for (path, expected) in DEFAULT_PATHS {
        assert_eq!(default_path(path.as_bytes()), expected.as_bytes(), "{path}");
    }
}

#[test]
fn section_5_6_names_and_values() {
    for (line, expected) in PAIRS {
        let parsed = set_cookie::parse(line.as_bytes()).map(|cookie| (cookie.name, cookie.value));
        assert_eq!(parsed, expected.map(|(name, value)| (name.as_bytes(), value.as_bytes())), "{line:?}");
        if let Ok((name, _)) = expected {
            assert_eq!(set_cookie::name(line.as_bytes()), name.as_bytes());
        }
    }
    let pair = |name: usize, value: usize| format!("{}={}", "n".repeat(name), "v".repeat(value));
    assert!(set_cookie::parse(pair(96, 4000).as_bytes()).is_ok());
    assert_eq!(set_cookie::parse(pair(97, 4000).as_bytes()), Err(Ignored::TooLong));
    let path = |length: usize| format!("a=1; Path=/{}", "p".repeat(length - 1));
    assert!(set_cookie::parse(path(1024).as_bytes()).is_ok_and(|cookie| cookie.path.is_some()));
    assert!(set_cookie::parse(path(1025).as_bytes()).is_ok_and(|cookie| cookie.path.is_none()));
}

#[test]
fn sections_5_6_1_and_5_6_2_lives() {
    assert_exchanges("5.6.1 and 5.6.2", &LIVES);
    for line in ["a=1; Max-Age=99999999999", "a=1; Expires=Fri, 31 Dec 9999 23:59:59 GMT"] {
        let jar = receive(&Jar::default(), 0, "https://h.test/", line);
        let days = |days: u64| UnixTime(NOW.0 + days * 86_400);
        assert_eq!(carried(&jar, "https://h.test/", UnixTime(days(400).0 - 1)), "a=1", "section 5.5: {line}");
        assert_eq!(carried(&jar, "https://h.test/", days(400)), "", "section 5.5: {line}");
    }
}

#[test]
fn section_5_6_3_domains() {
    assert_exchanges("5.6.3", &SCOPES);
}

#[test]
fn section_5_6_4_cookie_paths() {
    assert_exchanges("5.6.4", &COOKIE_PATHS);
}

#[test]
fn sections_5_4_and_5_6_5_to_5_6_7_what_a_cookie_promises() {
    assert_exchanges("5.4 and 5.6.5 to 5.6.7", &PROMISES);
    let same_site = |line: &str| set_cookie::parse(line.as_bytes()).expect("a cookie").same_site;
    assert_eq!(same_site("a=1"), None);
    assert_eq!(same_site("a=1; SameSite=x"), Some(SameSite::Default));
}

/// `4.1.3` What a backend sets, and what a browser that was given it under a prefix then carries.
const PREFIXED: [(Prefix, &str, &str); 14] = [
    (Prefix::Host, "a=1", "__Host-a=1"),
    (Prefix::Host, "a=1; Secure; Path=/", "__Host-a=1"),
    (Prefix::Host, "a=1; Path=/b", "__Host-a=1"),
    (Prefix::Host, "a=1; Path=/; Path=/b; Path", "__Host-a=1"),
    (Prefix::Host, "a=1; Path=b", "__Host-a=1"),
    (Prefix::Host, "a=1; Domain=h.test", "__Host-a=1"),
    (Prefix::Host, "a=1; DOMAIN = h.test; domain=; Domain", "__Host-a=1"),
    (Prefix::Host, "a=1; Domain=elsewhere.test", "__Host-a=1"),
    (Prefix::Host, "a=1; SameSite=None", "__Host-a=1"),
    (Prefix::Host, " a = 1 ;; x", "__Host-a=1"),
    (Prefix::Host, "a=1; Max-Age=0", ""),
    (Prefix::Secure, "a=1", "__Secure-a=1"),
    (Prefix::Secure, "a=1; Domain=h.test; Path=/", "__Secure-a=1"),
    (Prefix::Secure, "a=1; Domain=elsewhere.test", ""),
];

#[test]
fn section_4_1_3_what_is_given_a_prefix_keeps_what_it_promises() {
    for (prefix, line, expected) in PREFIXED {
        let rule = Rule { prefix: Some(prefix), ..Rule::default() };
        let mut headers = HeaderMap::from_iter([(SET_COOKIE, HeaderValue::from_static(line))]);
        Rules(vec![(Pattern::Exact("a".into()), rule)]).apply(&mut headers, &Counter::default());
        let given = headers[SET_COOKIE].to_str().expect("ASCII");
        assert_eq!(
            carried(&receive(&Jar::default(), 0, "https://h.test/", given), "https://h.test/", NOW),
            expected,
            "{line}"
        );
        assert_eq!(
            carried(&receive(&Jar::default(), 0, "http://h.test/", given), "https://h.test/", NOW),
            "",
            "{line}"
        );
    }
}

#[test]
fn section_5_7_what_comes_in_clear_text_leaves_secure_cookies_alone() {
    for (line, expected) in [
        ("a=2; Path=/", "a=1"),
        ("a=2; Path=/x/y", "a=1"),
        ("a=2; Domain=h.test; Path=/", "a=1"),
        ("b=2; Path=/", "a=1; b=2"),
    ] {
        let jar = receive(&Jar::default(), 0, "https://h.test/", "a=1; Secure; Path=/");
        let jar = receive(&jar, 1, "http://h.test/", line);
        assert_eq!(carried(&jar, "https://h.test/", NOW), expected, "{line}");
    }
}

#[test]
fn sections_5_7_and_5_8_3_order() {
    assert_exchanges("5.7 and 5.8.3", &ORDER);
}
