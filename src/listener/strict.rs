//! Sees to it that hyper and whoever reads the same bytes find the same requests in them.
//!
//! hyper takes a bare LF for the end of a line, drops a length beside a transfer coding, and reads past whatever stands
//! in a chunk's extension. Each is allowed, and each is how a request is hidden from the one of two servers and not
//! from the other. So every byte of HTTP/1.1 passes here first: lines end in CRLF, a message has one length or is
//! chunked, and a chunk's line is what the grammar says (RFC 9112 sections 2.2, 6.3, 7.1). What hyper sees to itself is
//! left to it.
//!
//! What is refused is made what nobody takes for HTTP: the offending byte and all behind it are read as NUL, which
//! hyper answers with 400, and closes.

mod grammar;
mod reader;

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::pulse::Pulse;
use super::socket::Stream;
#[cfg(any(test, fuzzing))]
pub(crate) use reader::reads_in_pieces_as_whole;
use reader::{At, Reader};

/// What is read in place of all that follows a refusal: what hyper waits for the end of, it must find the end of.
const NOTHING: &[u8] = b"\0\r\n\r\n";

/// A client's bytes, looked at as they are read.
#[derive(Debug)]
pub(super) struct Strict<S> {
    stream: S,
    pulse: Rc<Pulse>,
    reader: Reader,
}

impl<S> Strict<S> {
    pub(super) fn new(stream: S, pulse: &Rc<Pulse>) -> Self {
        Self { stream, pulse: Rc::clone(pulse), reader: Reader::new() }
    }

    /// The stream itself.
    pub(super) fn into_inner(self) -> S {
        self.stream
    }
}

impl<S: Stream> Stream for Strict<S> {
    fn socket(&self) -> &TcpStream {
        self.stream.socket()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Strict<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.reader.at == At::Refused {
            buf.put_slice(&NOTHING[..NOTHING.len().min(buf.remaining())]);
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        let came = &mut buf.filled_mut()[before..];
        if let Err(from) = this.reader.read(came) {
            if this.reader.may_be_other {
                // It may be the other protocol. If not, hyper finds a request of which there is no head here.
                this.reader.at = At::Elsewhere;
            } else {
                this.reader.at = At::Refused;
                came[from..].fill(0);
            }
        }
        for _ in 0..std::mem::take(&mut this.reader.heads) {
            this.pulse.add_head();
        }
        this.pulse.set_in_head(this.reader.is_in_head());
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Strict<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // What still comes is read by nobody who would take it for a request.
        self.reader.at = At::Elsewhere;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
