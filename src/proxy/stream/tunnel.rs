//! A connection that has switched to WebSocket: bytes both ways, as they come.

use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf, copy, copy_bidirectional, sink};
use tokio::time::sleep;

use super::frames::{self, Frames};
use super::open::{SessionEnd, Why};
use crate::proxy::access::Exchange;
use crate::proxy::upstream::Switched;

/// RFC 6455 section 7.4.1: what was agreed on does not hold any more.
const POLICY_VIOLATION: u16 = 1008;
/// The same section: this end goes away.
const GOING_AWAY: u16 = 1001;
/// How long the frame that is on its way may take to come whole, and how long a client has to take its close frame.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A connection to a server that speaks WebSocket from now on, and lacks the client's for it.
#[derive(Debug)]
pub struct Tunnel {
    server: Switched,
    /// How long nothing may move.
    timeout: Duration,
    /// Comes when the session has ended that it was opened in, if it was opened in one.
    session_end: Option<SessionEnd>,
    exchange: Exchange,
}

impl Tunnel {
    /// With the exchange that led to it, which lasts as long.
    pub fn new(server: Switched, timeout: Duration, session_end: Option<SessionEnd>, exchange: Exchange) -> Self {
        Self { server, timeout, session_end, exchange }
    }

    /// Carries bytes between the client, of which `early` has come already, and the server, until both have said all,
    /// one is gone, nothing has moved for too long, or the session has ended. Then both connections are closed.
    pub async fn carry<S: AsyncRead + AsyncWrite + Unpin>(self: Box<Self>, client: S, early: Bytes) {
        let Self { server, timeout, session_end, exchange } = *self;
        let Switched { stream: mut server, early: mut early_answer, place: _place } = server;
        let traffic = Traffic::of(exchange);
        let mut client = Watched { stream: client, traffic: &traffic };
        let mut why = Why::Session;
        let broken = {
            let mut conversation = pin!(async {
                server.write_all(&early).await?;
                client.write_all_buf(&mut early_answer).await?;
                // TLS may have taken it and not sent it.
                tokio::try_join!(server.flush(), client.flush())?;
                copy_bidirectional(&mut client, &mut server).await
            });
            tokio::select! {
                ended = &mut conversation => ended.is_err(),
                () = traffic.stands_still_for(timeout) => true,
                reason = ended(session_end) => {
                    why = reason;
                    traffic.ending.set(true);
                    // What the server says until its frame is whole; no more passes.
                    let rest = poll_fn(|cx| match conversation.as_mut().poll(cx) {
                        Poll::Pending if !traffic.frames.borrow().are_whole() => Poll::Pending,
                        Poll::Pending | Poll::Ready(_) => Poll::Ready(()),
                    });
                    let _ = tokio::time::timeout(LAST_WORDS, rest).await;
                    false
                }
            }
        };
        drop(server);
        if traffic.ending.get() && traffic.frames.borrow().are_whole() {
            let _ = tokio::time::timeout(LAST_WORDS, say_goodbye(&mut client.stream, why)).await;
        }
        if broken {
            traffic.exchange.borrow_mut().broken();
        }
    }
}

async fn ended(session: Option<SessionEnd>) -> Why {
    match session {
        Some(end) => end.await,
        None => pending().await,
    }
}

/// A close that its client gets: what is still coming is read, lest the system reset the connection and the frame be
/// lost with it.
async fn say_goodbye<S: AsyncRead + AsyncWrite + Unpin>(client: &mut S, why: Why) -> io::Result<()> {
    let close = match why {
        Why::Session => frames::close(POLICY_VIOLATION, "the session has ended"),
        Why::GoingAway => frames::close(GOING_AWAY, "the gateway stops"),
    };
    client.write_all(&close).await?;
    client.shutdown().await?;
    copy(client, &mut sink()).await.map(|_| ())
}

/// What has moved between a client and its server; all of it passes the client's side.
#[derive(Debug)]
struct Traffic {
    moved: Cell<bool>,
    /// Counted and logged when this is dropped, at the latest when the connection is cut.
    exchange: RefCell<Exchange>,
    /// Of what goes to the client.
    frames: RefCell<Frames>,
    /// Whether nothing more goes to the client than the frame that is on its way.
    ending: Cell<bool>,
}

impl Traffic {
    fn of(exchange: Exchange) -> Self {
        let (frames, ending) = Default::default();
        Self { moved: Cell::new(false), exchange: RefCell::new(exchange), frames, ending }
    }

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
        // A client whose session has ended has nothing more to say. Who polls this is woken by the end of the wait.
        if self.traffic.ending.get() {
            return Poll::Pending;
        }
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        self.traffic.moved.set(true);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<'_, S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let traffic = self.traffic;
        let passing = if traffic.ending.get() { traffic.frames.borrow().rest_in(bytes) } else { bytes.len() };
        if passing == 0 && !bytes.is_empty() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &bytes[..passing]))?;
        traffic.frames.borrow_mut().pass(&bytes[..written]);
        traffic.moved.set(true);
        traffic.exchange.borrow_mut().sent(written);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
