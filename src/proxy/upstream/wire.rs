//! What passed over a connection: hyper does not tell a connection that broke from an answer that did, and does not give
//! back a request that it wrote in vain.

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use http::{HeaderName, HeaderValue, Request};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::proxy::body::RequestBody;

/// Heads are shorter; of a body no more is kept.
const MOST_KEPT: usize = 64 * 1024;
const MOST_HEADERS: usize = 128;

/// The exchange that is on the wire.
#[derive(Debug, Default)]
pub(super) struct Wire {
    answered: Cell<bool>,
    /// What was written. Copying it costs less than keeping every request's header map for the rare one that is repeated.
    written: RefCell<Vec<u8>>,
}

impl Wire {
    /// Another request will be written.
    pub(super) fn begin(&self) {
        self.answered.set(false);
        self.written.borrow_mut().clear();
    }

    fn wrote(&self, bytes: &[u8]) {
        let mut written = self.written.borrow_mut();
        if written.len() < MOST_KEPT {
            let room = MOST_KEPT - written.len();
            written.extend_from_slice(&bytes[..bytes.len().min(room)]);
        }
    }

    /// The request that was written, if it is one of a head alone and no byte has come back.
    pub(super) fn unanswered(&self) -> Option<Request<RequestBody>> {
        if self.answered.get() {
            return None;
        }
        let written = self.written.borrow();
        let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
        let mut head = httparse::Request::new(&mut headers);
        let length = head.parse(&written).ok()?;
        if length != httparse::Status::Complete(written.len()) {
            return None;
        }
        let mut request = Request::new(RequestBody::empty());
        *request.method_mut() = head.method?.parse().ok()?;
        *request.uri_mut() = head.path?.parse().ok()?;
        for header in head.headers {
            let name = HeaderName::from_bytes(header.name.as_bytes()).ok()?;
            request.headers_mut().append(name, HeaderValue::from_bytes(header.value).ok()?);
        }
        Some(request)
    }
}

/// A stream whose traffic is noted.
pub(super) struct Watched<T> {
    stream: T,
    wire: Rc<Wire>,
}

impl<T> Watched<T> {
    pub(super) fn new(stream: T, wire: Rc<Wire>) -> Self {
        Self { stream, wire }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Watched<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            self.wire.answered.set(true);
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Watched<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, buf))?;
        self.wire.wrote(&buf[..written]);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, bufs))?;
        let mut left = written;
        for buf in bufs {
            let of_this = left.min(buf.len());
            self.wire.wrote(&buf[..of_this]);
            left -= of_this;
        }
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_that_nobody_answered_is_the_request_again() {
        let wire = Wire::default();
        wire.begin();
        wire.wrote(b"GET /a?b HTTP/1.1\r\nhost: h\r\nx-a: 1\r\n");
        assert!(wire.unanswered().is_none(), "half a head is none");
        wire.wrote(b"x-a: 2\r\n\r\n");
        let again = wire.unanswered().unwrap();
        assert_eq!((again.method().as_str(), again.uri().to_string().as_str()), ("GET", "/a?b"));
        assert_eq!(again.headers().get_all("x-a").iter().collect::<Vec<_>>(), ["1", "2"]);
        wire.answered.set(true);
        assert!(wire.unanswered().is_none(), "one byte is an answer");
        wire.begin();
        wire.wrote(b"PUT /a HTTP/1.1\r\nhost: h\r\n\r\nbody");
        assert!(wire.unanswered().is_none(), "a body is not kept");
    }
}
