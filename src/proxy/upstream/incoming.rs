//! The body of an answer, as it comes.

use std::io;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http_body::Frame;

use super::pool::{Carrier, Lease};
use super::sending::Sending;
use crate::proxy::headers::strip_trailers;

/// The longest line that says how large a chunk is, with its extensions, which nobody uses (RFC 9112 section 7.1.1).
const LONGEST_SIZE: usize = 4 * 1024;
/// The most bytes and lines of trailers.
const LONGEST_TRAILERS: usize = 32 * 1024;
const MOST_TRAILERS: usize = 64;

/// The largest piece that is copied out of the buffer it came in. Pieces may wait long for their client, 64 KiB of them
/// a stream over HTTP/2: of an application that says little at a time, each would keep a whole buffer of 8 KiB and more.
const SMALL: usize = 4 * 1024;

/// How an answer's body is framed, and how far it has come (RFC 9112 section 6.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Framing {
    /// Nothing more comes.
    #[default]
    Ended,
    /// So many bytes are left.
    Length(u64),
    /// In chunks.
    Chunked(Chunk),
    /// All that comes until the server closes.
    UntilClosed,
}

/// What comes next of a body in chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chunk {
    /// The line with the next one's size.
    Size,
    /// So many more bytes.
    Data(u64),
    /// The end of its line.
    End,
    /// The trailers, and the empty line.
    Trailers,
}

/// Why a body ended early.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The connection failed.
    #[error("the connection broke: {0}")]
    Broken(#[from] io::Error),
    /// The server closed before the body was whole.
    #[error("the upstream closed the connection before the body was whole")]
    Incomplete,
    /// What should have been a chunk's size, or its end, is not.
    #[error("the upstream sent a malformed chunk")]
    Chunk,
    /// Trailers that are none, or too many.
    #[error("the upstream sent malformed trailers")]
    Trailers,
    /// Its stream was reset, or the connection with all of its streams failed.
    #[error("the HTTP/2 stream broke: {0}")]
    Stream(#[from] h2::Error),
    /// Nothing came for too long.
    #[error("the body stood still for {} s", .0.as_secs())]
    Stalled(Duration),
}

impl Framing {
    pub(super) fn chunked() -> Self {
        Self::Chunked(Chunk::Size)
    }

    /// So many bytes have come of a body that something else frames.
    pub(super) fn pass(&mut self, bytes: usize) {
        if let Self::Length(left) = self {
            *left = left.saturating_sub(bytes as u64);
        }
    }

    pub(super) fn length(length: u64) -> Self {
        if length == 0 { Self::Ended } else { Self::Length(length) }
    }

    /// The next piece of the body, out of what has come. None where more must come first, or nothing more does.
    pub(crate) fn next(&mut self, input: &mut BytesMut) -> Result<Option<Frame<Bytes>>, BodyError> {
        loop {
            match self {
                Self::Ended => return Ok(None),
                Self::Length(left) | Self::Chunked(Chunk::Data(left)) => {
                    let Some(size) = size(left, input) else { return Ok(None) };
                    let ends = *left == 0;
                    let is_last = ends && matches!(self, Self::Length(_));
                    if ends {
                        *self = if is_last { Self::Ended } else { Self::Chunked(Chunk::End) };
                    }
                    // Of an answer one piece may keep its buffer: as a rule it is the only one.
                    let piece = input.split_to(size).freeze();
                    return Ok(Some(Frame::data(if is_last { piece } else { owned(piece) })));
                }
                Self::UntilClosed if input.is_empty() => return Ok(None),
                Self::UntilClosed => return Ok(Some(Frame::data(owned(input.split().freeze())))),
                Self::Chunked(Chunk::Size) => match httparse::parse_chunk_size(input) {
                    Ok(httparse::Status::Complete((line, _))) if !is_size(&input[..line]) => {
                        return Err(BodyError::Chunk);
                    }
                    Ok(httparse::Status::Complete((line, size))) => {
                        input.advance(line);
                        *self = Self::Chunked(if size == 0 { Chunk::Trailers } else { Chunk::Data(size) });
                    }
                    Ok(httparse::Status::Partial) if input.len() < LONGEST_SIZE => return Ok(None),
                    Ok(httparse::Status::Partial) | Err(_) => return Err(BodyError::Chunk),
                },
                Self::Chunked(Chunk::End) => match &input[..] {
                    [b'\r', b'\n', ..] => {
                        input.advance(2);
                        *self = Self::Chunked(Chunk::Size);
                    }
                    [] | [b'\r'] => return Ok(None),
                    _ => return Err(BodyError::Chunk),
                },
                Self::Chunked(Chunk::Trailers) => {
                    let Some(trailers) = trailers(input)? else { return Ok(None) };
                    *self = Self::Ended;
                    return Ok((!trailers.is_empty()).then(|| Frame::trailers(trailers)));
                }
            }
        }
    }
}

/// Whether a line is as strict as it must be, which httparse does not see to: it begins with a digit, and an LF within
/// an extension, which ends the line for some and not for others, is no part of it (RFC 9112 section 7.1.1).
fn is_size(line: &[u8]) -> bool {
    line.first().is_some_and(u8::is_ascii_hexdigit) && memchr::memchr2(b'\r', b'\n', line) == Some(line.len() - 2)
}

/// How much of what is left has come.
fn size(left: &mut u64, input: &[u8]) -> Option<usize> {
    let size = usize::try_from(*left).map_or(input.len(), |left| left.min(input.len()));
    *left -= size as u64;
    (size > 0).then_some(size)
}

/// A piece that came in a buffer which it may share with others.
pub(super) fn owned(piece: Bytes) -> Bytes {
    if piece.len() > SMALL { piece } else { Bytes::copy_from_slice(&piece) }
}

/// Trailers, once they are there whole.
fn trailers(input: &mut BytesMut) -> Result<Option<HeaderMap>, BodyError> {
    // Nearly always there are none.
    if input.starts_with(b"\r\n") {
        input.advance(2);
        return Ok(Some(HeaderMap::new()));
    }
    let mut fields = [httparse::EMPTY_HEADER; MOST_TRAILERS];
    let (length, fields) = match httparse::parse_headers(input, &mut fields) {
        Ok(httparse::Status::Complete(parsed)) => parsed,
        Ok(httparse::Status::Partial) if input.len() < LONGEST_TRAILERS => return Ok(None),
        Ok(httparse::Status::Partial) | Err(_) => return Err(BodyError::Trailers),
    };
    // A line may end in a bare LF for httparse, but within chunks nothing else is that lenient (RFC 9112 section 7.1).
    if memchr::memchr_iter(b'\n', &input[..length]).any(|at| at == 0 || input[at - 1] != b'\r') {
        return Err(BodyError::Trailers);
    }
    let mut trailers = HeaderMap::with_capacity(fields.len());
    for field in fields {
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| BodyError::Trailers)?;
        trailers.append(name, HeaderValue::from_bytes(field.value).map_err(|_| BodyError::Trailers)?);
    }
    input.advance(length);
    Ok(Some(trailers))
}

/// The body of an answer. The connection goes back to its pool as soon as the body has come whole.
#[derive(Debug)]
pub struct Incoming {
    /// None once the body has ended, well or not.
    lease: Option<Lease>,
    timeout: Duration,
    /// Whether the timer runs, and whether anything came, or went, since it was set. It is set anew when it fires, not
    /// for every piece.
    timing: bool,
    moved: bool,
    /// Why it ended early, until that is told.
    failed: Option<Box<BodyError>>,
}

impl Incoming {
    pub(super) fn new(lease: Lease, timeout: Duration) -> Self {
        let mut this = Self { lease: Some(lease), timeout, timing: false, moved: false, failed: None };
        this.give_back_at_end();
        this
    }

    /// Whether it has come whole.
    pub fn is_end(&self) -> bool {
        self.lease.is_none() && self.failed.is_none()
    }

    /// How many bytes are still to come, where that is known.
    pub fn left(&self) -> Option<u64> {
        match self.lease.as_ref().map_or(Framing::Ended, |lease| lease.head().framing) {
            Framing::Ended => Some(0),
            Framing::Length(left) => Some(left),
            Framing::Chunked(_) | Framing::UntilClosed => None,
        }
    }

    /// The next piece. What is left of the request is sent meanwhile.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(error) = self.failed.take() {
            return Poll::Ready(Some(Err(*error)));
        }
        let next = match self.poll_piece(cx) {
            Poll::Pending => ready!(self.stand_still(cx)),
            Poll::Ready(next) => next,
        };
        match next {
            Some(Err(error)) => {
                // The rest may never come; the connection is closed with it. What came before, the head too, is written
                // first: hyper drops what it holds when a body fails.
                self.lease = None;
                self.failed = Some(Box::new(error));
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Some(Ok(_)) => self.moved = true,
            None => {}
        }
        self.give_back_at_end();
        Poll::Ready(next)
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(Lease { carrier, pool, .. }) = &mut self.lease else { return Poll::Ready(None) };
        let connection = match carrier {
            Carrier::Http1(connection) => &mut **connection,
            Carrier::Http2(exchange) => return exchange.poll_piece(cx, pool.names()),
        };
        if !connection.sending.is_whole() {
            let before = connection.sending.pieces();
            let sent = connection.poll_send(cx);
            // An answer may wait for what it answers.
            self.moved |= connection.sending.pieces() != before;
            if let Poll::Ready(Err(_)) = sent {
                // A server that has its answer out may refuse the rest, and a client may break off.
                connection.head.keeps = false;
                connection.sending = Sending::default();
            }
        }
        loop {
            if let Some(mut frame) = connection.head.framing.next(&mut connection.input)? {
                if let Some(trailers) = frame.trailers_mut() {
                    strip_trailers(trailers, pool.names());
                }
                return Poll::Ready(Some(Ok(frame)));
            }
            if connection.head.framing == Framing::Ended {
                return Poll::Ready(None);
            }
            if ready!(connection.poll_read(cx))? == 0 {
                if connection.head.framing != Framing::UntilClosed {
                    return Poll::Ready(Some(Err(BodyError::Incomplete)));
                }
                connection.head.framing = Framing::Ended;
            }
        }
    }

    fn stand_still(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(lease) = &mut self.lease else { return Poll::Pending };
        loop {
            let timer = match &mut lease.carrier {
                Carrier::Http1(connection) => &mut connection.timer,
                Carrier::Http2(exchange) => &mut exchange.timer,
            };
            if !std::mem::replace(&mut self.timing, true) {
                timer.set(self.timeout);
            }
            ready!(timer.poll(cx));
            let sends = matches!(&lease.carrier, Carrier::Http2(exchange) if exchange.sends());
            if !(std::mem::take(&mut self.moved) || sends) {
                if let Carrier::Http2(exchange) = &lease.carrier {
                    exchange.doubt();
                }
                return Poll::Ready(Some(Err(BodyError::Stalled(self.timeout))));
            }
            self.timing = false;
        }
    }

    fn give_back_at_end(&mut self) {
        if let Some(lease) = self.lease.take_if(|lease| lease.head().framing == Framing::Ended) {
            lease.release();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_piece_keeps_nothing_of_the_buffer_that_it_came_in() {
        const ROOM: usize = 8 * 1024;
        let framings = [Framing::Length(1 << 20), Framing::UntilClosed, Framing::Chunked(Chunk::Data(200))];
        for mut framing in framings {
            let mut input = BytesMut::with_capacity(ROOM);
            input.extend_from_slice(&[b'x'; 200]);
            let piece = framing.next(&mut input).unwrap().unwrap().into_data().unwrap();
            assert_eq!(piece, [b'x'; 200][..]);
            assert!(input.is_empty() && input.try_reclaim(ROOM), "{framing:?}: the piece keeps the buffer");
        }
    }
}
