//! What belongs to one connection only, what a proxy adds, and what caches are told.

use http::header::{
    CACHE_CONTROL, CONNECTION, EXPECT, FORWARDED, HOST, HeaderName, HeaderValue, TE, TRANSFER_ENCODING, UPGRADE, VARY,
    VIA,
};
use http::{HeaderMap, Version};

use super::names::{reads_as, remove_where};
use crate::proxy::{Client, Scheme};
use crate::sessions::Answer;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Removes what RFC 9110 section 7.6.1 tells an intermediary to remove: every header that any `Connection` line names,
/// and those that belong to a connection whether named or not.
pub fn strip_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(CONNECTION) {
        let named: Vec<HeaderName> = headers
            .get_all(CONNECTION)
            .iter()
            .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
            .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
            // A client has no say in how its own request is framed or addressed.
            .filter(|name| *name != HOST && *name != http::header::CONTENT_LENGTH)
            .collect();
        for name in named {
            headers.remove(name);
        }
        headers.remove(CONNECTION);
    }
    for name in [KEEP_ALIVE, PROXY_CONNECTION, TE, TRANSFER_ENCODING, UPGRADE] {
        headers.remove(name);
    }
}

/// Tells the upstream where the request came from. What the client said of that is not believed.
pub fn forward(headers: &mut HeaderMap, client: &Client, host: HeaderValue, version: Version) {
    // Answered by this gateway, which asks for the body when it wants it (RFC 9110 section 10.1.1).
    headers.remove(EXPECT);
    remove_where(headers, |name| *name == FORWARDED || reads_as(name.as_str().as_bytes(), b"x-forwarded-"));
    let address = HeaderValue::try_from(client.address.ip().to_string()).expect("an address is a header value");
    headers.insert(X_FORWARDED_FOR, address);
    headers.insert(
        X_FORWARDED_PROTO,
        match client.scheme {
            Scheme::Http => HeaderValue::from_static("http"),
            Scheme::Https => HeaderValue::from_static("https"),
        },
    );
    headers.insert(X_FORWARDED_HOST, host.clone());
    headers.insert(HOST, host);
    headers.append(VIA, via(version));
}

/// RFC 9110 section 7.6.3: the version of the message as it was received.
fn via(version: Version) -> HeaderValue {
    HeaderValue::from_static(match version {
        Version::HTTP_2 => "2 session-gateway",
        Version::HTTP_10 => "1.0 session-gateway",
        _ => "1.1 session-gateway",
    })
}

/// Says on a response that it came through here.
pub fn answered_via(headers: &mut HeaderMap, version: Version) {
    headers.append(VIA, via(version));
}

/// Who may keep a response, by its own `Cache-Control` (RFC 9111 section 5.2.2).
pub fn answer(headers: &HeaderMap) -> Answer {
    let shared = |directive: &[u8]| {
        let name = directive.split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii();
        [&b"public"[..], b"s-maxage", b"immutable"].iter().any(|shared| name.eq_ignore_ascii_case(shared))
    };
    if directives(headers).any(shared) { Answer::Shared } else { Answer::Private }
}

/// A response with our cookie is for one browser.
pub fn keep_from_caches(headers: &mut HeaderMap) {
    if !directives(headers).any(|directive| directive.eq_ignore_ascii_case(b"no-store")) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}

/// A response that was made for one visitor is not another's.
pub fn vary_by_cookie(headers: &mut HeaderMap) {
    let names = |field: &HeaderValue| {
        field.as_bytes().split(|byte| *byte == b',').any(|name| {
            let name = name.trim_ascii();
            name == b"*" || name.eq_ignore_ascii_case(b"cookie")
        })
    };
    if !headers.get_all(VARY).iter().any(names) {
        headers.append(VARY, HeaderValue::from_static("Cookie"));
    }
}

fn directives(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    headers
        .get_all(CACHE_CONTROL)
        .iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        lines
            .iter()
            .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse::<HeaderValue>().unwrap()))
            .collect()
    }

    #[test]
    fn every_connection_line_is_read() {
        let mut map = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, X-One"),
            ("connection", " x-two ,, \u{7f}"),
            ("x-one", "1"),
            ("x-two", "2"),
            ("x-three", "3"),
            ("keep-alive", "timeout=5"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
        ] {
            if let Ok(value) = HeaderValue::from_str(value) {
                map.append(HeaderName::from_static(name), value);
            } else {
                map.append(HeaderName::from_static(name), HeaderValue::from_static(" x-two ,,"));
            }
        }
        strip_hop_by_hop(&mut map);
        assert_eq!(map, headers(&[("x-three", "3")]));
    }

    #[test]
    fn a_client_cannot_name_its_framing_or_host_as_hop_by_hop() {
        let mut map = headers(&[("connection", "host, content-length"), ("host", "a")]);
        map.insert("content-length", HeaderValue::from_static("3"));
        strip_hop_by_hop(&mut map);
        assert_eq!(map.len(), 2);
    }

    #[test]
    fn a_shared_answer_is_one_that_says_so() {
        for (value, expected) in [
            ("public", Answer::Shared),
            ("max-age=5, S-MaxAge=9", Answer::Shared),
            ("immutable", Answer::Shared),
            ("private, max-age=60", Answer::Private),
            ("max-age=60", Answer::Private),
            ("x-public", Answer::Private),
        ] {
            assert_eq!(answer(&headers(&[("cache-control", value)])), expected, "{value}");
        }
    }

    #[test]
    fn vary_is_said_once() {
        for (value, lines) in [("Accept", 2), ("accept, COOKIE", 1), ("*", 1)] {
            let mut map = headers(&[("vary", value)]);
            vary_by_cookie(&mut map);
            assert_eq!(map.get_all(VARY).iter().count(), lines, "{value}");
        }
    }
}
