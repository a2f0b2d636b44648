//! A request on its way to the server: its head, then its body as the client sends it.

use std::io::{self, IoSlice, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::HeaderMap;
use tokio::io::AsyncWrite;

use super::stream::Stream;
use crate::proxy::body::{self, RequestBody};
use crate::proxy::headers::{Length, push_line};

/// A request that is being sent; nothing at all by default.
#[derive(Debug, Default)]
pub(super) struct Sending {
    /// What goes before the data at hand: the request's head, the size of a chunk, the end of the last one.
    before: Vec<u8>,
    /// How much of `before` is written.
    written: usize,
    data: Bytes,
    /// What goes behind it: the end of a chunk's line.
    behind: &'static [u8],
    body: RequestBody,
    framing: Framing,
    /// A number that grows while it is being sent.
    pieces: u64,
    begun: bool,
    /// Whether some of it may have got no further than the stream.
    unflushed: bool,
}

/// How the body is framed for the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Framing {
    /// Nothing of it is left.
    #[default]
    Ended,
    /// So many bytes are left.
    Length(u64),
    Chunked,
}

/// A piece of a body.
#[derive(Debug)]
pub(super) enum Piece {
    Data(Bytes),
    /// Its end, and its trailers if it has any.
    End(Option<HeaderMap>),
}

/// Why it could not be sent whole.
#[derive(Debug)]
pub(super) enum SendError {
    /// The client's part: its body ended early, or stood still.
    Body(body::Error),
    /// The server's part.
    Server(io::Error),
}

impl Sending {
    pub(super) fn new(head: Vec<u8>, body: RequestBody) -> Self {
        let framing = match body.length() {
            // An HTTP/2 body of known length may be empty, and its end be still to come: there is nothing to wait for.
            Length::Empty | Length::Known(0) => Framing::Ended,
            Length::Known(length) => Framing::Length(length),
            Length::Unknown => Framing::Chunked,
        };
        let (data, behind): (_, &[u8]) = (Bytes::new(), b"");
        Self { before: head, written: 0, data, behind, body, framing, pieces: 0, begun: false, unflushed: false }
    }

    /// Whether not a byte of it has been written.
    pub(super) fn is_unwritten(&self) -> bool {
        !self.begun
    }

    /// Whether it consists of its head alone.
    pub(super) fn is_bodiless(&self) -> bool {
        self.body.length() == Length::Empty
    }

    /// Its head, which is going to be written in another form.
    pub(super) fn begin(&mut self) -> &[u8] {
        self.begun = true;
        &self.before
    }

    /// Whether anything of its body is still to come, or trailers may be.
    pub(super) fn has_more(&self) -> bool {
        let ended = self.pieces > 0 && self.body.is_end();
        match self.framing {
            Framing::Chunked => !ended,
            Framing::Length(_) => true,
            Framing::Ended => self.pieces > 0 && !ended,
        }
    }

    /// Whether nothing of its body has been taken from the client.
    pub(super) fn is_untouched(&self) -> bool {
        self.pieces == 0
    }

    /// The client may take its time with what is left of the body.
    pub(super) fn take_time(&mut self) {
        self.body.take_time();
    }

    /// The body alone may stand still for as long as it likes: whoever has the rest of the exchange waits for both.
    pub(super) fn wait_for_ever(&mut self) {
        self.body.wait_for_ever();
    }

    /// Whether all of it is written.
    pub(super) fn is_whole(&self) -> bool {
        self.framing == Framing::Ended && !self.has_bytes() && !self.unflushed
    }

    /// Whether the client has to send more before anything more can be written.
    pub(super) fn waits_for_the_client(&self) -> bool {
        self.framing != Framing::Ended && !self.has_bytes() && !self.unflushed
    }

    /// A piece more has gone.
    pub(super) fn count(&mut self) {
        self.pieces += 1;
    }

    pub(super) fn pieces(&self) -> u64 {
        self.pieces
    }

    /// From the start again, on another connection. Only for what is unwritten or bodiless, whose head is still there.
    pub(super) fn rewind(&mut self) {
        self.written = 0;
        self.begun = false;
        self.unflushed = false;
    }

    /// Writes as much as the client has sent and the server takes.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, to: &mut Stream) -> Poll<Result<(), SendError>> {
        loop {
            // A small body is there with its head, and goes with it.
            let waiting = if self.data.is_empty() && self.behind.is_empty() && self.framing != Framing::Ended {
                self.fetch(cx)?
            } else {
                Poll::Ready(())
            };
            while self.has_bytes() {
                ready!(self.poll_write(cx, to)).map_err(SendError::Server)?;
            }
            if self.unflushed {
                ready!(Pin::new(&mut *to).poll_flush(cx)).map_err(SendError::Server)?;
                self.unflushed = false;
            }
            if self.framing == Framing::Ended {
                return Poll::Ready(Ok(()));
            }
            ready!(waiting);
        }
    }

    fn has_bytes(&self) -> bool {
        self.written < self.before.len() || !self.data.is_empty() || !self.behind.is_empty()
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, to: &mut Stream) -> Poll<io::Result<()>> {
        if to.holds_writes() {
            // Even where this fails, a part of it may have gone out before.
            self.begun = true;
            self.unflushed = true;
        }
        let before = &self.before[self.written..];
        // One slice alone, as of nearly every request, is cheaper for the kernel to take.
        let mut wrote = if self.data.is_empty() && self.behind.is_empty() {
            ready!(Pin::new(to).poll_write(cx, before))?
        } else {
            ready!(Pin::new(to).poll_write_vectored(cx, &[before, &self.data, self.behind].map(IoSlice::new)))?
        };
        if wrote == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.begun = true;
        self.pieces += 1;
        let of_before = wrote.min(self.before.len() - self.written);
        self.written += of_before;
        wrote -= of_before;
        let of_data = wrote.min(self.data.len());
        self.data.advance(of_data);
        self.behind = &self.behind[wrote - of_data..];
        Poll::Ready(Ok(()))
    }

    /// The next piece of the body, framed. Whatever was written before it makes room.
    fn fetch(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>, SendError> {
        let chunked = self.framing == Framing::Chunked;
        let Poll::Ready(piece) = self.next(cx)? else { return Ok(Poll::Pending) };
        if self.begun && self.written == self.before.len() {
            self.before.clear();
            self.written = 0;
        }
        match piece {
            Piece::Data(data) if data.is_empty() => {}
            Piece::Data(data) => {
                if chunked {
                    write!(self.before, "{:x}\r\n", data.len()).expect("a Vec takes every write");
                    self.behind = b"\r\n";
                }
                self.data = data;
            }
            Piece::End(trailers) if chunked => {
                self.before.extend_from_slice(b"0\r\n");
                for (name, value) in trailers.iter().flatten() {
                    push_line(&mut self.before, name.as_str(), value.as_bytes());
                }
                self.before.extend_from_slice(b"\r\n");
            }
            Piece::End(_) => {}
        }
        Ok(Poll::Ready(()))
    }

    /// The next piece of the body. It has come whole once nothing of it is left.
    pub(super) fn next(&mut self, cx: &mut Context<'_>) -> Result<Poll<Piece>, SendError> {
        let frame = match self.body.poll_frame(cx) {
            Poll::Pending => return Ok(Poll::Pending),
            Poll::Ready(Some(frame)) => Some(frame.map_err(SendError::Body)?),
            Poll::Ready(None) => None,
        };
        self.pieces += 1;
        let piece = match frame.map(http_body::Frame::into_data) {
            Some(Ok(data)) => {
                let left = match self.framing {
                    Framing::Chunked => return Ok(Poll::Ready(Piece::Data(data))),
                    Framing::Length(left) => left.checked_sub(data.len() as u64),
                    Framing::Ended => data.is_empty().then_some(0),
                };
                let left = left.ok_or(SendError::Body(body::Error::Length))?;
                self.framing = if left == 0 { Framing::Ended } else { Framing::Length(left) };
                return Ok(Poll::Ready(Piece::Data(data)));
            }
            // Data or trailers: there is no third kind.
            Some(Err(frame)) => Piece::End(frame.into_trailers().ok()),
            None => Piece::End(None),
        };
        if matches!(self.framing, Framing::Length(_)) {
            return Err(SendError::Body(body::Error::Length));
        }
        self.framing = Framing::Ended;
        Ok(Poll::Ready(piece))
    }
}
