//! Heads, between HTTP/1.1 as this gateway writes it and HTTP/2.

use http::header::{AUTHORIZATION, CONTENT_LENGTH, COOKIE, HOST, HeaderName, HeaderValue, TE, TRANSFER_ENCODING};
use http::uri::{PathAndQuery, Scheme, Uri};
use http::{Method, Request, StatusCode, response};

use super::super::answer::{Head, Malformed, agreed, keep_one_of_each};
use super::super::incoming::Framing;
use crate::proxy::headers::{Asked, Field, Names};

/// A request as HTTP/2 has it, from its head as it would go to a server of HTTP/1.1. None where that is no head, which
/// never happens: it is this gateway's own.
pub(super) fn request(head: &[u8], asked: Asked, scheme: Scheme, names: &Names) -> Option<Request<()>> {
    let mut lines = lines(head);
    let mut line = lines.next()?.split(|byte| *byte == b' ');
    let (method, target) = (Method::from_bytes(line.next()?).ok()?, line.next()?);
    let mut request = Request::new(());
    let (mut uri, headers) = (http::uri::Parts::default(), request.headers_mut());
    for line in lines {
        let colon = memchr::memchr(b':', line)?;
        let name = HeaderName::from_bytes(&line[..colon]).ok()?;
        let value = line.get(colon + 2..)?;
        if name == HOST {
            uri.authority = Some(value.try_into().ok()?);
        } else if name != TRANSFER_ENCODING {
            // Each a copy of its own: the connection remembers some for as long as it lasts, see `own_values`.
            let mut value = HeaderValue::from_bytes(value).ok()?;
            // What is one visitor's is not kept in a table that all of them share (RFC 7541 section 7.1.3).
            value.set_sensitive(name == COOKIE || name == AUTHORIZATION || names.cover(&name));
            headers.append(name, value);
        }
    }
    if asked == Asked::ForTrailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    (uri.scheme, uri.path_and_query) = (Some(scheme), Some(PathAndQuery::try_from(target).ok()?));
    (*request.method_mut(), *request.uri_mut()) = (method, Uri::from_parts(uri).ok()?);
    Some(request)
}

/// Every line before the empty one.
fn lines(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    head.split(|byte| *byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
        .take_while(|line| !line.is_empty())
}

/// The head of an answer. What belongs to a connection is not in it: HTTP/2 has no
/// such headers, and an answer that does is malformed (RFC 9113 section 8.2.2).
pub(super) fn answer(parts: response::Parts, asked: Asked, names: &Names, ended: bool) -> Result<Head, Malformed> {
    let response::Parts { status, mut headers, .. } = parts;
    if status == StatusCode::SWITCHING_PROTOCOLS {
        return Err(Malformed::UnaskedUpgrade);
    }
    let mut length = None;
    for line in headers.get_all(CONTENT_LENGTH) {
        length = Some(agreed(length, line.as_bytes())?);
    }
    let mut session = http::HeaderMap::new();
    while let Some(name) = headers.keys().find(|name| !passes(name, names)).cloned() {
        if names.cover(&name) {
            for value in headers.get_all(&name) {
                session.append(name.clone(), value.clone());
            }
        }
        headers.remove(name);
    }
    // A 204 may announce none, and some clients of HTTP/2 refuse one that does (RFC 9110 section 8.6).
    headers.remove(CONTENT_LENGTH);
    if let Some(length) = length.filter(|_| status != StatusCode::NO_CONTENT) {
        headers.insert(CONTENT_LENGTH, length.into());
    }
    keep_one_of_each(&mut headers);
    let bodiless = asked == Asked::ToHead || status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED;
    let framing = if ended || bodiless { Framing::Ended } else { length.map_or(Framing::UntilClosed, Framing::length) };
    Ok(Head { status, headers, session, framing, keeps: true })
}

fn passes(name: &HeaderName, names: &Names) -> bool {
    let field = Field::of(name, names);
    !matches!(
        field,
        Field::Session
            | Field::Connection
            | Field::OfTheConnection
            | Field::Te
            | Field::Upgrade
            | Field::TransferEncoding
    )
}
