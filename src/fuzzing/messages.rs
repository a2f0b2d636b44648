//! HTTP messages: what passes, and what is read.

use bytes::BytesMut;
use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode};

use super::lines;
use crate::listener::{proxy_protocol, reads_in_pieces_as_whole};
use crate::proxy::headers::{Asked, Length, Names, Outgoing, Settings, take_change};
use crate::proxy::upstream::{Trust, answer as answers};

fn names() -> Names {
    Names::new(&Settings { prefix: "X-Session-".to_owned(), data_budget: 6144 }).expect("a good prefix")
}

/// As CGI and its heirs do.
fn folded(name: &str) -> String {
    name.to_ascii_lowercase().replace(|byte: char| !byte.is_ascii_alphanumeric(), "-")
}

/// `name:value` lines of a request and of an answer: what goes upstream is one request, without anything that speaks
/// for the gateway; and nothing of the kind is left for the client.
///
/// # Panics
/// Where one of these does not hold.
pub fn headers(data: &[u8]) {
    let names = names();
    let mut map = HeaderMap::new();
    for line in lines(data).take(100) {
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let (name, value) = (&line[..colon], line.get(colon + 1..).unwrap_or_default());
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            map.append(name, value);
        }
    }
    let mut answer = map.clone();
    let (mut head, ()) = http::Request::new(()).into_parts();
    head.headers = map;
    if let Ok(outgoing) = Outgoing::read(&head, b"a.example", None, &names) {
        let bytes = outgoing.frame(Length::Known(5));
        let mut fields = [httparse::EMPTY_HEADER; 128];
        let mut request = httparse::Request::new(&mut fields);
        let parsed = request.parse(&bytes).expect("what is written is a request");
        assert_eq!(parsed, httparse::Status::Complete(bytes.len()), "nothing is behind it");
        let lines_of = |name: &str| request.headers.iter().filter(|field| folded(field.name) == name).count();
        assert_eq!(["host", "content-length", "transfer-encoding", "connection"].map(lines_of), [1, 1, 0, 0]);
        assert!(!request.headers.iter().any(|field| folded(field.name).starts_with("x-session-")));
        assert!(!request.headers.iter().any(|field| folded(field.name).starts_with("x-forwarded-")));
    }
    let _ = take_change(&mut answer, &names, Trust::Full, StatusCode::OK);
    let failed = take_change(&mut answer, &names, Trust::None, StatusCode::OK);
    assert!(failed.is_ok() && !answer.keys().any(|name| folded(name.as_str()).starts_with("x-session-")));
}

/// An answer, cut into pieces where the first byte says, is read as it is in one.
///
/// # Panics
/// Where it is not.
pub fn answer(data: &[u8]) {
    let [cut, answer @ ..] = data else { return };
    let asked = if cut % 2 == 0 { Asked::Usually } else { Asked::ToHead };
    let read = |size: usize| {
        let (names, mut input, mut head) = (names(), BytesMut::new(), answers::Head::default());
        let (mut is_there, mut body, mut places) = (false, Vec::new(), Vec::new());
        for piece in answer.chunks(size) {
            input.extend_from_slice(piece);
            if !is_there {
                is_there = answers::read(&mut input, asked, &names, &mut places, &mut head).map_err(drop)?;
            }
            if !is_there {
                continue;
            }
            while let Some(frame) = head.framing.next(&mut input).map_err(drop)? {
                body.extend_from_slice(frame.data_ref().map_or(&b"trailers"[..], |data| data));
            }
        }
        Ok::<_, ()>(is_there.then_some((head.status, head.headers, head.session, body)))
    };
    let (whole, pieces) = (read(answer.len().max(1)), read(usize::from(*cut / 2) + 1));
    // Of what is broken, more may have been read in pieces.
    assert!(whole == pieces || whole.is_err(), "{whole:?} {pieces:?}");
}

/// A PROXY protocol header is one as a whole, and says one address.
///
/// # Panics
/// Where what is taken for one is more than that.
pub fn proxy_header(data: &[u8]) {
    let Ok(proxy_protocol::Source::Client(_)) = proxy_protocol::parse(data) else { return };
    assert!(proxy_protocol::parse(&[data, b"\r\n"].concat()).is_err(), "what follows a header is none of it");
    assert!(proxy_protocol::parse(&data[..data.len() - 1]).is_err(), "a part of a header is none");
}

/// A client's bytes are the same requests however they come.
///
/// # Panics
/// Where they are not.
pub fn request(data: &[u8]) {
    let [size, bytes @ ..] = data else { return };
    assert!(reads_in_pieces_as_whole(bytes, usize::from(*size) + 1), "{}", bytes.escape_ascii());
}
