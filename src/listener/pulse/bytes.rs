//! A connection's bytes as hyper reads and writes them.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use super::super::socket::Stream;
use super::{Order, Pulse};

/// The connection's bytes. Progress in writing is a sign of life: the end of a response may still wait for a slow
/// client when hyper has long taken the whole body.
#[derive(Debug)]
pub(in crate::listener) struct Io<S> {
    stream: TokioIo<S>,
    pulse: Rc<Pulse>,
    /// What was read before it came to rest, and is still to be understood.
    early: Bytes,
    /// Set once our end is closed and the client's is waited for.
    lingering: Option<Lingering>,
}

/// A close that waits for the client. What a client is still sending when its connection is closed makes the system
/// reset it, and the answer that the client has not read yet, a refusal of that very upload, is lost with it (RFC 9112
/// section 9.6).
#[derive(Debug)]
struct Lingering {
    deadline: Pin<Box<Sleep>>,
    left: usize,
}

/// How long a client has to read its answer and close.
const LINGER: Duration = Duration::from_secs(1);
/// How much of what it still sends is thrown away before it has had warning enough.
const LINGERING_BYTES: usize = 1024 * 1024;

/// No write up to this size counts: pings and settings would keep an HTTP/2 connection without streams alive for ever.
const CONTROL_FRAMES: usize = 64;

impl<S> Io<S> {
    pub(in crate::listener) fn new(stream: S, pulse: &Rc<Pulse>) -> Self {
        Self { stream: TokioIo::new(stream), pulse: Rc::clone(pulse), early: Bytes::new(), lingering: None }
    }

    /// The stream itself.
    pub(in crate::listener) fn into_inner(self) -> S {
        self.stream.into_inner()
    }

    fn written(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        self.pulse.blocked.set(written.is_pending());
        match &written {
            Poll::Ready(Ok(size)) if *size > CONTROL_FRAMES => {
                self.pulse.beat();
                self.pulse.earn(64 + u32::try_from(size / 8).unwrap_or(u32::MAX / 2));
            }
            Poll::Ready(Err(error)) => self.failed(error),
            _ => {}
        }
        written
    }

    fn failed(&self, error: &io::Error) {
        if error.kind() == io::ErrorKind::TimedOut {
            self.pulse.timed_out.set(true);
        }
    }
}

impl<S: Stream> Io<S> {
    /// What hyper had read and not looked at when it was taken apart: it is read again.
    pub(in crate::listener) fn read_again(&mut self, early: Bytes) {
        // Empty as it may be, it holds the buffer.
        self.early = if early.is_empty() { Bytes::new() } else { early };
    }

    /// Waits until the client says more, or until the connection is told something.
    pub(in crate::listener) async fn rest(&mut self) {
        std::future::poll_fn(|context| {
            if self.pulse.listen(context.waker()) > Order::Serve || !self.early.is_empty() {
                return Poll::Ready(());
            }
            // TLS may still hold some of what was written. An error is met by whoever reads.
            let _ = Pin::new(self.stream.inner_mut()).poll_flush(context);
            self.stream.inner().poll_readable(context)
        })
        .await;
    }
}

impl Lingering {
    /// Reads on, to nobody, until the client has closed.
    fn poll<S: AsyncRead + Unpin>(&mut self, stream: &mut S, cx: &mut Context<'_>) -> Poll<()> {
        let mut bytes = [const { MaybeUninit::uninit() }; 4096];
        while self.left > 0 && self.deadline.as_mut().poll(cx).is_pending() {
            let mut buf = ReadBuf::uninit(&mut bytes);
            match ready!(Pin::new(&mut *stream).poll_read(cx, &mut buf)) {
                Ok(()) if !buf.filled().is_empty() => self.left = self.left.saturating_sub(buf.filled().len()),
                Ok(()) | Err(_) => break,
            }
        }
        Poll::Ready(())
    }
}

impl<S: AsyncRead + Unpin> Read for Io<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, mut buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        if !self.early.is_empty() {
            let size = self.early.len().min(buf.remaining());
            buf.put_slice(&self.early.split_to(size));
            return Poll::Ready(Ok(()));
        }
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if let Poll::Ready(Err(error)) = &read {
            self.failed(error);
        }
        read
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Write for Io<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.written(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        // What is being closed is not made anew.
        this.pulse.may_rest(false);
        let mut lingering = if let Some(lingering) = this.lingering.take() {
            lingering
        } else {
            ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
            // Nothing was answered that its client may not have read.
            if this.pulse.closes_idle.get() {
                return Poll::Ready(Ok(()));
            }
            this.pulse.lingering.set(true);
            Lingering { deadline: Box::pin(tokio::time::sleep(LINGER)), left: LINGERING_BYTES }
        };
        let closed = lingering.poll(this.stream.inner_mut(), cx);
        if closed.is_pending() {
            this.lingering = Some(lingering);
        }
        closed.map(Ok)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.written(written)
    }
}
