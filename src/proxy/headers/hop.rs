//! What belongs to one connection only, what a proxy adds, and what caches are told.

use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, HOST, HeaderName, HeaderValue, SET_COOKIE, TE,
    TRANSFER_ENCODING, UPGRADE, VIA,
};
use http::{HeaderMap, Version};

use super::Names;
use super::names::{reads_as, remove_where};
use crate::proxy::{Client, Scheme};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Removes what RFC 9110 section 7.6.1 tells an intermediary to remove: every header that any `Connection` line names,
/// and those that belong to a connection whether named or not.
pub fn strip_hop_by_hop(headers: &mut HeaderMap) {
    static OF_THE_CONNECTION: [HeaderName; 6] =
        [CONNECTION, KEEP_ALIVE, PROXY_CONNECTION, TE, TRANSFER_ENCODING, UPGRADE];
    // One pass over the names, for comparing them is cheaper than looking each of ours up.
    let mut found = [false; 6];
    for name in headers.keys() {
        for (found, of_the_connection) in found.iter_mut().zip(&OF_THE_CONNECTION) {
            *found |= name == of_the_connection;
        }
    }
    if found[0] {
        strip_named(headers);
    }
    for (found, of_the_connection) in found.into_iter().zip(&OF_THE_CONNECTION) {
        if found {
            headers.remove(of_the_connection);
        }
    }
}

fn strip_named(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        // A client has no say in how its own request is framed or addressed.
        .filter(|name| *name != HOST && *name != CONTENT_LENGTH)
        .collect();
    for name in named {
        headers.remove(name);
    }
}

/// A message with a transfer coding other than chunked, which a proxy cannot pass on: nobody said that the next
/// recipient understands it (RFC 9112 section 6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForeignCoding;

/// Settles how a message is framed before what belongs to its connection is removed: a length beside a transfer coding is
/// void (RFC 9112 section 6.3).
pub fn check_framing(headers: &mut HeaderMap) -> Result<(), ForeignCoding> {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let Some(coding) = codings.next() else { return Ok(()) };
    if codings.next().is_some() || !coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked") {
        return Err(ForeignCoding);
    }
    headers.remove(CONTENT_LENGTH);
    Ok(())
}

/// Says how long a request's body is, as its next recipient reads it: hyper takes a `GET` of unknown length for one
/// without a body.
pub fn frame(headers: &mut HeaderMap, body: &impl http_body::Body) {
    if body.is_end_stream() {
        return;
    }
    if let Some(length) = body.size_hint().exact() {
        headers.insert(CONTENT_LENGTH, length.into());
    } else {
        headers.remove(CONTENT_LENGTH);
        headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
}

/// Removes from trailers what must not come in them (RFC 9110 section 6.5.1): a recipient that merges them into the header
/// would take them for what this gateway says, or for framing.
pub fn strip_trailers(trailers: &mut HeaderMap, names: &Names) {
    const NEVER: [HeaderName; 8] =
        [AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, HOST, SET_COOKIE, TRANSFER_ENCODING, UPGRADE];
    remove_where(trailers, |name| names.cover(name) || NEVER.contains(name) || speaks_of_the_client(name));
}

/// Tells the upstream where the request came from. What the client said of that is not believed.
pub fn forward(headers: &mut HeaderMap, client: &Client, host: HeaderValue, version: Version) {
    // Answered by this gateway, which asks for the body when it wants it (RFC 9110 section 10.1.1).
    headers.remove(EXPECT);
    remove_where(headers, speaks_of_the_client);
    headers.insert(X_FORWARDED_FOR, client.forwarded_for.clone());
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

/// Whether backends take a header for a proxy's word about the client. Nobody but this gateway has a say in it.
fn speaks_of_the_client(name: &HeaderName) -> bool {
    let name = name.as_str().as_bytes();
    [&b"x-forwarded-"[..], b"x-real-ip", b"forwarded"].iter().any(|prefix| reads_as(name, prefix))
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
}
