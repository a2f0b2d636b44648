//! The head of an answer, from bytes.

use std::mem::MaybeUninit;

use bytes::{Bytes, BytesMut};
use http::header::{
    AGE, CONNECTION, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_LOCATION, CONTENT_RANGE, CONTENT_TYPE, DATE, ETAG,
    EXPIRES, HeaderMap, HeaderName, HeaderValue, LAST_MODIFIED, LOCATION, RETRY_AFTER, SERVER,
};
use http::{StatusCode, Version};

use super::incoming::Framing;
use crate::proxy::headers::{Asked, ConnectionOptions, Field, Names, has_option};

/// The most bytes an answer's head may have.
const LONGEST: usize = 256 * 1024;
/// The most headers it may have.
const MOST_HEADERS: usize = 128;

/// Headers that have one value (RFC 9110 sections 5.5 and 5.6.7, RFC 6266 section 4.1).
const SINGLE: [HeaderName; 12] = [
    AGE,
    CONTENT_DISPOSITION,
    CONTENT_LOCATION,
    CONTENT_RANGE,
    CONTENT_TYPE,
    DATE,
    ETAG,
    EXPIRES,
    LAST_MODIFIED,
    LOCATION,
    RETRY_AFTER,
    SERVER,
];

/// The head of an answer, without what belongs to its connection.
#[derive(Debug, Default)]
pub(crate) struct Head {
    /// Its status.
    pub(crate) status: StatusCode,
    /// What goes on to the client.
    pub(crate) headers: HeaderMap,
    /// What is for this gateway: every header that could be taken for a session header.
    pub(crate) session: HeaderMap,
    pub(crate) framing: Framing,
    /// Whether the connection may serve another request once the body has come.
    pub(super) keeps: bool,
}

/// Why an answer is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// It does not begin as one, or has a line that is no header.
    #[error("its head is no HTTP/1.1: {0}")]
    Head(httparse::Error),
    /// The head does not end where it should have.
    #[error("its head has more than {LONGEST} bytes")]
    TooLong,
    /// RFC 9112 section 6.3: several lengths that differ, or one that is no number.
    #[error("its Content-Length is none")]
    Length,
    /// A transfer coding other than chunked, which nobody asked for, or one in an answer of HTTP/1.0 (RFC 9112 section
    /// 6.1).
    #[error("it has a transfer coding that nobody asked for")]
    Coding,
    /// It switched protocols though nobody asked, or to another one.
    #[error("it is 101 Switching Protocols, and the request did not ask for that protocol")]
    UnaskedUpgrade,
}

/// Where one header's name and value stand in the head.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    name: (usize, usize),
    value: (usize, usize),
}

/// Reads the final answer's head, once it is there whole, out of `input`, and puts it where the last one's was; says
/// whether it did. Interim answers (RFC 9110 section 15.2) are passed over, but for a change of protocols, which is
/// final.
pub(crate) fn read(
    input: &mut BytesMut,
    asked: Asked,
    names: &Names,
    places: &mut Vec<Place>,
    head: &mut Head,
) -> Result<bool, Malformed> {
    while !input.is_empty() {
        let mut fields = [const { MaybeUninit::uninit() }; MOST_HEADERS];
        let mut parsed = httparse::Response::new(&mut []);
        let config = httparse::ParserConfig::default();
        let length = match config.parse_response_with_uninit_headers(&mut parsed, input, &mut fields) {
            Ok(httparse::Status::Complete(length)) if length <= LONGEST => length,
            Ok(httparse::Status::Partial) if input.len() < LONGEST => return Ok(false),
            Ok(_) => return Err(Malformed::TooLong),
            Err(error) => return Err(Malformed::Head(error)),
        };
        let status = parsed.code.and_then(|code| StatusCode::from_u16(code).ok());
        let status = status.ok_or(Malformed::Head(httparse::Error::Status))?;
        let version = if parsed.version == Some(1) { Version::HTTP_11 } else { Version::HTTP_10 };
        let switches = status == StatusCode::SWITCHING_PROTOCOLS;
        if switches && asked != Asked::ForWebSocket {
            return Err(Malformed::UnaskedUpgrade);
        }
        if status.is_informational() && !switches {
            drop(input.split_to(length));
            continue;
        }
        let place = |text: &[u8]| {
            let from = text.as_ptr().addr() - input.as_ptr().addr();
            (from, from + text.len())
        };
        places.clear();
        places.extend(
            parsed.headers.iter().map(|field| Place { name: place(field.name.as_bytes()), value: place(field.value) }),
        );
        head.status = status;
        return fill(head, input.split_to(length), places, version, asked, names).map(|()| true);
    }
    Ok(false)
}

/// Fills a head whose status is known.
fn fill(
    head: &mut Head,
    bytes: BytesMut,
    places: &[Place],
    version: Version,
    asked: Asked,
    names: &Names,
) -> Result<(), Malformed> {
    let Head { status, headers, session, framing, keeps } = head;
    let bytes = bytes.freeze();
    headers.clear();
    session.clear();
    // Room for what is added on the way to the client, too.
    headers.reserve(places.len() + 3);
    let (mut options, mut length) = (ConnectionOptions::default(), None);
    let (mut coded, mut closes, mut stays) = (false, false, version == Version::HTTP_11);
    let mut to_websocket = false;
    for place in places {
        let text = &bytes[place.value.0..place.value.1];
        let name = name(&bytes[place.name.0..place.name.1])?;
        let field = Field::of(&name, names);
        match field {
            // As it nearly always is.
            Field::Connection if text == b"keep-alive" => stays = true,
            Field::Connection => {
                options.read(text);
                // Whichever line says so, and whatever another says (RFC 9112 section 9.3).
                closes |= has_option(text, b"close");
                stays |= has_option(text, b"keep-alive");
            }
            Field::TransferEncoding if coded || version != Version::HTTP_11 || !is_chunked(text) => {
                return Err(Malformed::Coding);
            }
            Field::TransferEncoding => coded = true,
            Field::ContentLength => {
                length = Some(agreed(length, text)?);
                headers.insert(name, value(&bytes, place)?);
            }
            Field::Upgrade => to_websocket |= text.eq_ignore_ascii_case(b"websocket"),
            Field::OfTheConnection | Field::Te => {}
            _ => {
                let to = if field == Field::Session { &mut *session } else { &mut *headers };
                to.append(name, value(&bytes, place)?);
            }
        }
    }
    keep_one_of_each(headers);
    let switches = *status == StatusCode::SWITCHING_PROTOCOLS;
    if switches {
        if !to_websocket || version != Version::HTTP_11 {
            return Err(Malformed::UnaskedUpgrade);
        }
        headers.remove(CONTENT_LENGTH);
    }
    if !options.is_empty() {
        for name in options.iter().filter_map(|name| HeaderName::from_bytes(name).ok()) {
            headers.remove(&name);
            session.remove(&name);
        }
    }
    // A length beside a transfer coding is void, and whoever sends both is not to be relied on (RFC 9112 section 6.3).
    if coded && length.is_some() {
        headers.remove(CONTENT_LENGTH);
        closes = true;
    }
    // It has no body and may announce none (RFC 9110 section 8.6, RFC 9112 section 6.1); one that does may send it all
    // the same, later, and it must not be read as the next answer. Some clients of HTTP/2 refuse one with a length.
    if *status == StatusCode::NO_CONTENT {
        headers.remove(CONTENT_LENGTH);
        closes |= coded || length.is_some_and(|length| length > 0);
    }
    *framing = match length {
        _ if asked == Asked::ToHead || *status == StatusCode::NO_CONTENT || *status == StatusCode::NOT_MODIFIED => {
            Framing::Ended
        }
        // What follows is another protocol's.
        _ if switches => Framing::Ended,
        _ if coded => Framing::chunked(),
        Some(length) => Framing::length(length),
        None => Framing::UntilClosed,
    };
    *keeps = stays && !closes && !switches && *framing != Framing::UntilClosed;
    Ok(())
}

/// Of a header that has one value, a client must not have to choose among several: some take the message for malformed,
/// and HTTP/2 has no connection to close. The first is kept, as nginx does (RFC 9110 section 5.3).
pub(super) fn keep_one_of_each(headers: &mut HeaderMap) {
    // As for nearly every answer.
    if headers.keys_len() == headers.len() {
        return;
    }
    for name in SINGLE {
        if headers.get_all(&name).iter().nth(1).is_some() {
            let first = headers.remove(&name);
            headers.extend(first.map(|first| (name, first)));
        }
    }
}

/// A header's name. Those of nearly every answer, as servers write them, are not looked up.
fn name(text: &[u8]) -> Result<HeaderName, Malformed> {
    Ok(match text {
        b"Date" => DATE,
        b"Server" => SERVER,
        b"Connection" => CONNECTION,
        b"Content-Type" => CONTENT_TYPE,
        b"Content-Length" => CONTENT_LENGTH,
        _ => HeaderName::from_bytes(text).map_err(|_| Malformed::Head(httparse::Error::HeaderName))?,
    })
}

/// A value as it stands in the head, without a copy.
fn value(head: &Bytes, place: &Place) -> Result<HeaderValue, Malformed> {
    let value = head.slice(place.value.0..place.value.1);
    HeaderValue::from_maybe_shared(value).map_err(|_| Malformed::Head(httparse::Error::HeaderValue))
}

/// One length, on however many lines. A list in one line may be refused (RFC 9110 section 8.6), and is.
pub(super) fn agreed(before: Option<u64>, text: &[u8]) -> Result<u64, Malformed> {
    let read = |length: u64, byte: &u8| match byte {
        b'0'..=b'9' => length.checked_mul(10)?.checked_add(u64::from(byte - b'0')),
        _ => None,
    };
    let length = text.iter().try_fold(0, read).filter(|_| !text.is_empty());
    length.filter(|length| before.is_none_or(|before| before == *length)).ok_or(Malformed::Length)
}

fn is_chunked(coding: &[u8]) -> bool {
    coding.trim_ascii().eq_ignore_ascii_case(b"chunked")
}
