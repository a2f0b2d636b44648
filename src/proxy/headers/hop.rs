//! What a proxy adds to a message, and what trailers may not bring.

use http::header::{AUTHORIZATION, HeaderName, HeaderValue, SET_COOKIE, VIA};
use http::{HeaderMap, Version};

use super::Names;
use super::field::Field;
use super::names::remove_where;

/// A message with a transfer coding other than chunked, which a proxy cannot pass on: nobody said that the next
/// recipient understands it (RFC 9112 section 6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForeignCoding;

/// Removes from trailers what must not come in them (RFC 9110 section 6.5.1): a recipient that merges them into the header
/// would take them for what this gateway says, or for framing.
pub fn strip_trailers(trailers: &mut HeaderMap, names: &Names) {
    let never = |name: &HeaderName| *name == AUTHORIZATION || *name == SET_COOKIE;
    remove_where(trailers, |name| Field::of(name, names) != Field::EndToEnd || never(name));
}

/// RFC 9110 section 7.6.3: the version of the message as it was received.
pub(super) fn via(version: Version) -> &'static str {
    match version {
        Version::HTTP_2 => "2 session-gateway",
        Version::HTTP_10 => "1.0 session-gateway",
        _ => "1.1 session-gateway",
    }
}

/// Says on a response that it came through here.
pub fn answered_via(headers: &mut HeaderMap, version: Version) {
    headers.append(VIA, HeaderValue::from_static(via(version)));
}
