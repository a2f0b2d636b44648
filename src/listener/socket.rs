//! A client's bytes as they cost the least: in clear text, and under TLS.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// What is at most copied together, to be written by `send`.
const SMALL: usize = 4096;

/// What hyper speaks over: a socket, and what may be between.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin {
    fn socket(&self) -> &TcpStream;

    /// Whether there is something to read, or the client has closed. Nothing is read.
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        // An error is met by whoever reads.
        self.socket().poll_read_ready(cx).map(drop)
    }

    /// The client may take nothing for as long as the system likes: what it carries now has a timeout of its own.
    fn take_time(&self) {
        // At worst it is ended early.
        let _ = socket2::SockRef::from(self.socket()).set_tcp_user_timeout(None);
    }

    /// Closing it will be an error to the client. To one of HTTP/1.0, which is told no length, the end of the
    /// connection is the end of the answer, and an answer that breaks off must not look whole (RFC 9112 section 8).
    fn reset_when_closed(&self) {
        // It may be reset already.
        let _ = socket2::SockRef::from(self.socket()).set_linger(Some(Duration::ZERO));
    }
}

/// A client's TCP connection.
#[derive(Debug)]
pub(super) struct Socket(pub(super) TcpStream);

impl Stream for Socket {
    fn socket(&self) -> &TcpStream {
        &self.0
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    /// Little is written by `send`, which costs the kernel less than `writev`: of the 8 µs that a small request and its
    /// answer take it over loopback, 0.15 µs for one slice, and 0.25 µs for two, their copy counted in.
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let stream = Pin::new(&mut self.0);
        if let [slice] = slices {
            return stream.poll_write(cx, slice);
        }
        if slices.iter().map(|slice| slice.len()).sum::<usize>() > SMALL {
            return stream.poll_write_vectored(cx, slices);
        }
        let mut bytes = [const { MaybeUninit::uninit() }; SMALL];
        let mut together = ReadBuf::uninit(&mut bytes);
        for slice in slices {
            together.put_slice(slice);
        }
        stream.poll_write(cx, together.filled())
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// TLS over it. Boxed: it is large, and a connection in clear text has no room for it.
#[derive(Debug)]
pub(super) struct Tls {
    stream: Box<TlsStream<Socket>>,
    /// Whether all that the socket had was read when it was last asked, and decrypted, and taken.
    dry: bool,
}

impl Tls {
    pub(super) fn new(stream: TlsStream<Socket>) -> Self {
        Self { stream: Box::new(stream), dry: false }
    }

    /// The certificate that the client has shown, if it has shown one.
    pub(super) fn certificate(&self) -> Option<&CertificateDer<'static>> {
        self.stream.get_ref().1.peer_certificates().and_then(<[_]>::first)
    }

    /// Whether HTTP/2 was agreed upon.
    pub(super) fn speaks_http2(&self) -> bool {
        self.stream.get_ref().1.alpn_protocol() == Some(b"h2")
    }
}

impl Stream for Tls {
    fn socket(&self) -> &TcpStream {
        self.stream.get_ref().0.socket()
    }
}

impl AsyncRead for Tls {
    /// hyper looks twice a request whether the client has gone. The socket says so at once; through TLS it takes five
    /// times as long.
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.dry && self.poll_readable(cx).is_pending() {
            return Poll::Pending;
        }
        let read = Pin::new(&mut *self.stream).poll_read(cx, buf);
        // It reads on until the buffer is full, the socket is dry, or the client has said that it has no more to say.
        self.dry = buf.remaining() > 0 && self.stream.get_ref().1.wants_read();
        read
    }
}

impl AsyncWrite for Tls {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream).poll_shutdown(cx)
    }
}
