//! A connection that has switched to WebSocket: bytes both ways, as they come.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http_body::Body;
use http_body_util::{Empty, Full};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf, copy_bidirectional};
use tokio::time::sleep;

use super::access::Exchange;
use super::upstream::Stream;

/// A body of an answer behind whose head another protocol may begin.
pub trait MaySwitch: Body {
    /// What follows the head in place of a body, where the answer is 101.
    fn switched(&mut self) -> Option<Box<Tunnel>> {
        None
    }
}

impl<D: Buf> MaySwitch for Full<D> {}
impl<D: Buf> MaySwitch for Empty<D> {}

/// A connection to a server that speaks WebSocket from now on, and lacks the client's for it.
#[derive(Debug)]
pub struct Tunnel {
    server: Stream,
    /// What has come from the server behind its head.
    early: BytesMut,
    /// How long nothing may move.
    timeout: Duration,
    exchange: Exchange,
}

impl Tunnel {
    /// With what came behind the server's head, and the exchange that led to it, which lasts as long.
    pub fn new(server: Stream, early: BytesMut, timeout: Duration, exchange: Exchange) -> Self {
        Self { server, early, timeout, exchange }
    }

    /// Carries bytes between the client, of which `early` has come already, and the server, until both have said all, one
    /// is gone, or nothing has moved for too long. Then both connections are closed.
    pub async fn carry<S: AsyncRead + AsyncWrite + Unpin>(mut self: Box<Self>, client: S, early: Bytes) {
        let traffic = Traffic::default();
        let mut client = Watched { stream: client, traffic: &traffic };
        let conversation = async {
            self.server.write_all(&early).await?;
            client.write_all(&self.early).await?;
            copy_bidirectional(&mut client, &mut self.server).await
        };
        let broken = tokio::select! {
            ended = conversation => ended.is_err(),
            () = traffic.stands_still_for(self.timeout) => true,
        };
        if broken {
            self.exchange.broken();
        }
        self.exchange.sent(traffic.sent.get());
    }
}

/// What has moved between a client and its server; all of it passes the client's side.
#[derive(Debug, Default)]
struct Traffic {
    moved: Cell<bool>,
    sent: Cell<usize>,
}

impl Traffic {
    /// Ends when nothing has moved for so long, or a quarter more.
    async fn stands_still_for(&self, timeout: Duration) {
        const LOOKS: u32 = 4;
        let mut quiet = 0;
        while quiet <= LOOKS {
            sleep(timeout / LOOKS).await;
            quiet = if self.moved.take() { 0 } else { quiet + 1 };
        }
    }
}

/// A client's side, watched for traffic.
struct Watched<'a, S> {
    stream: S,
    traffic: &'a Traffic,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<'_, S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        self.traffic.moved.set(true);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<'_, S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
        self.traffic.moved.set(true);
        self.traffic.sent.set(self.traffic.sent.get() + written);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
