//! What a proxy adds to a message, and what trailers may not bring.

use http::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_RANGE, CONTENT_TYPE, HeaderName, HeaderValue, MAX_FORWARDS,
    PROXY_AUTHORIZATION, SET_COOKIE, TRAILER, VIA,
};
use http::{HeaderMap, Version};

use super::Names;
use super::field::Field;
use super::names::remove_where;
use super::owned::own_values;

/// Why nobody can say how long a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unframed {
    /// It has a transfer coding other than chunked, which a proxy cannot pass on: nobody said that the next recipient
    /// understands it (RFC 9112 section 6.1).
    Coding,
    /// It has several lengths (RFC 9110 section 8.6).
    Lengths,
}

/// What is no trailer, though it is end to end: who may do something, how the content is to be read, and how the
/// request goes on (RFC 9110 section 6.5.1).
const NEVER: [HeaderName; 8] = [
    AUTHORIZATION,
    CONTENT_ENCODING,
    CONTENT_RANGE,
    CONTENT_TYPE,
    MAX_FORWARDS,
    PROXY_AUTHORIZATION,
    SET_COOKIE,
    TRAILER,
];

/// Removes from trailers what must not come in them (RFC 9110 section 6.5.1): a recipient that merges them into the
/// header would take them for what this gateway says, or for framing. What remains is copied, in case it goes on over
/// HTTP/2.
pub fn strip_trailers(trailers: &mut HeaderMap, names: &Names) {
    remove_where(trailers, |name| Field::of(name, names) != Field::EndToEnd || NEVER.contains(name));
    own_values(trailers);
}

/// RFC 9110 section 7.6.3: the version of the message as it was received.
pub(super) const fn via(version: Version) -> &'static str {
    match version {
        Version::HTTP_2 => "2 session-gateway",
        Version::HTTP_10 => "1.0 session-gateway",
        _ => "1.1 session-gateway",
    }
}

/// Says on a response that it came through here.
pub fn answered_via(headers: &mut HeaderMap, version: Version) {
    let via = match version {
        Version::HTTP_2 => const { HeaderValue::from_static(via(Version::HTTP_2)) },
        Version::HTTP_10 => const { HeaderValue::from_static(via(Version::HTTP_10)) },
        _ => const { HeaderValue::from_static(via(Version::HTTP_11)) },
    };
    headers.append(VIA, via);
}
