//! Bytes to and from a server: over TCP, TLS or a Unix socket.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use socket2::TcpKeepalive;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, ToSocketAddrs, UnixStream};
use tokio::task::coop::unconstrained;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{Protocol, Server};

const KEEPALIVE: Duration = Duration::from_mins(1);

/// Bytes to and from a server.
#[derive(Debug)]
pub enum Stream {
    /// Of `http://host:port`.
    Tcp(TcpStream),
    /// Of `https://host:port`. Boxed: it is large, and the others are small.
    Tls(Box<TlsStream<TcpStream>>),
    /// Of `unix:/path`.
    Unix(UnixStream),
}

impl Stream {
    /// Connects, by looking the host up if there is one, and makes sure that it is the right server where TLS is
    /// spoken.
    pub(super) async fn open(server: &Server, tls: Option<&TlsConnector>) -> io::Result<Self> {
        match server {
            Server::Tcp { host, port, .. } | Server::Tls { host, port, .. } => {
                Self::over(tcp((host.as_str(), *port)).await?, server, tls).await
            }
            Server::Unix(path) => Ok(Self::Unix(UnixStream::connect(path).await?)),
        }
    }

    /// The same at this address.
    pub(super) async fn open_at(address: SocketAddr, server: &Server, tls: Option<&TlsConnector>) -> io::Result<Self> {
        Self::over(tcp(address).await?, server, tls).await
    }

    async fn over(stream: TcpStream, server: &Server, tls: Option<&TlsConnector>) -> io::Result<Self> {
        let Server::Tls { name, protocol, .. } = server else { return Ok(Self::Tcp(stream)) };
        let connector = tls.expect("an upstream with a server of TLS has what speaks it");
        let stream = connector.connect(name.clone(), stream).await?;
        // A server that names none speaks HTTP/1.1 (RFC 9113 section 3.2).
        if *protocol == Protocol::Http2 && stream.get_ref().1.alpn_protocol() != Some(protocol.alpn()) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it does not offer HTTP/2 in its TLS handshake"));
        }
        Ok(Self::Tls(Box::new(stream)))
    }

    /// Which address is at the other end, where it has one.
    pub(super) fn peer(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(stream) => stream.peer_addr().ok(),
            Self::Tls(stream) => stream.get_ref().0.peer_addr().ok(),
            Self::Unix(_) => None,
        }
    }

    /// Whether what was written may still be here, until it is flushed.
    pub(super) fn holds_writes(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// Whether it is open and has nothing to say. The system is only asked where it has said that there is something to
    /// read.
    pub(super) fn is_quiet(&mut self) -> bool {
        let mut byte = [0];
        let read = match self {
            Self::Tcp(stream) => stream.try_read(&mut byte),
            Self::Unix(stream) => stream.try_read(&mut byte),
            // Bytes on the wire may be tickets for the next handshake, which are taken in, or the end, which is none.
            Self::Tls(stream) => {
                let mut buf = ReadBuf::new(&mut byte);
                let read = std::future::poll_fn(|cx| Pin::new(&mut **stream).poll_read(cx, &mut buf));
                // Not for want of budget: an end that is not seen would be met by a request.
                let read = pin!(unconstrained(read)).poll(&mut Context::from_waker(Waker::noop()));
                return read.is_pending();
            }
        };
        read.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }
}

async fn tcp(address: impl ToSocketAddrs) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    // Finds the server that vanished without a word while an answer is still being sent to it.
    socket2::SockRef::from(&stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE))?;
    Ok(stream)
}

/// Hands a call on to whichever stream it is.
macro_rules! any {
    ($stream:ident.$call:ident($($argument:expr),*)) => {
        match $stream.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).$call($($argument),*),
            Stream::Tls(stream) => Pin::new(&mut **stream).$call($($argument),*),
            Stream::Unix(stream) => Pin::new(stream).$call($($argument),*),
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        any!(self.poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        any!(self.poll_write(cx, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        any!(self.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        any!(self.poll_shutdown(cx))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        any!(self.poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}
