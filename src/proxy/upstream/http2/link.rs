//! One connection that speaks HTTP/2.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use h2::client::{Connection, ResponseFuture, SendRequest};
use h2::{Ping, PingPong, SendStream};
use http::Request;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::super::stream::Stream;
use super::{
    CONNECTION_WINDOW, FRAME_BUDGET, LONGEST_HEAD, MOST_RESET, MOST_STREAMS, RESET_REMEMBERED, SEND_BUFFER,
    STREAM_WINDOW, io_error,
};

/// A connection that speaks HTTP/2. It is closed once neither its pool nor an exchange has it any more.
#[derive(Debug)]
pub(in crate::proxy::upstream) struct Link {
    requests: RefCell<SendRequest<Bytes>>,
    peer: Option<SocketAddr>,
    /// How many exchanges it carries.
    busy: Cell<usize>,
    /// By its pool's time, since when it has carried none; not known before the pool looks.
    pub(super) idle_since: Cell<Option<u64>>,
    life: Rc<Life>,
}

/// What the task that drives a connection and those who use it tell each other.
#[derive(Debug, Default)]
struct Life {
    /// Whether it has ended.
    ended: Cell<bool>,
    /// Whether the server has to show that it is still there before anything more is asked of it.
    doubted: Cell<bool>,
    doubt: Notify,
}

impl Link {
    /// A connection over this stream, once the server has shown that it speaks HTTP/2 and has said how. It is driven by
    /// a task of its own; one that is in doubt is given up if nothing is heard for `patience`.
    pub(in crate::proxy::upstream) async fn open(stream: Stream, patience: Duration) -> io::Result<Rc<Self>> {
        let refused = |error: io::Error| io::Error::new(error.kind(), format!("the HTTP/2 handshake failed: {error}"));
        Self::shake_hands(stream, patience).await.map_err(refused)
    }

    async fn shake_hands(stream: Stream, patience: Duration) -> io::Result<Rc<Self>> {
        let peer = stream.peer();
        let handshake = h2::client::Builder::new()
            .enable_push(false)
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(LONGEST_HEAD)
            .max_send_buffer_size(SEND_BUFFER)
            // What one client breaks off, or does not take, must not end what others have on this connection: h2's own
            // limits on both are meant for peers that nobody has chosen.
            .max_concurrent_reset_streams(MOST_RESET)
            .reset_stream_duration(RESET_REMEMBERED)
            .max_local_error_reset_streams(None)
            .data_frame_budget(FRAME_BUDGET)
            .handshake(stream)
            .await;
        let (requests, mut connection) = handshake.map_err(io_error)?;
        let mut pings = connection.ping_pong().expect("the first to ask for them has them");
        // Its settings come before its answer to this (RFC 9113 section 3.4): how many streams it allows is known then.
        pings.send_ping(Ping::opaque()).map_err(io_error)?;
        poll_fn(|cx| match Pin::new(&mut connection).poll(cx) {
            Poll::Ready(Ok(())) => Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
            Poll::Ready(Err(error)) => Poll::Ready(Err(io_error(error))),
            Poll::Pending => pings.poll_pong(cx).map(|pong| pong.map(drop).map_err(io_error)),
        })
        .await?;
        let life = Rc::<Life>::default();
        tokio::task::spawn_local(drive(connection, pings, Rc::clone(&life), patience));
        let (busy, idle_since) = Default::default();
        Ok(Rc::new(Self { requests: RefCell::new(requests), peer, busy, idle_since, life }))
    }

    /// Which address is at the other end.
    pub(super) fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }

    /// Whether it carries nothing.
    pub(super) fn is_idle(&self) -> bool {
        self.busy.get() == 0
    }

    /// Whether it will carry nothing more: it has ended, or the server has said that it goes away.
    pub(super) fn is_closing(&self) -> bool {
        // This handle never sends: there is nothing that it would have to wait for.
        let mut cx = Context::from_waker(Waker::noop());
        self.life.ended.get() || matches!(self.requests.borrow_mut().poll_ready(&mut cx), Poll::Ready(Err(_)))
    }

    /// A place for one more exchange, if it has one.
    pub(super) fn slot(link: &Rc<Self>) -> Option<Slot> {
        // A server that allows none is asked all the same: it may change its mind, and the request has a timeout.
        let most = link.requests.borrow().current_max_send_streams().clamp(1, usize::from(MOST_STREAMS));
        if link.busy.get() >= most || link.life.doubted.get() || link.is_closing() {
            return None;
        }
        link.busy.set(link.busy.get() + 1);
        link.idle_since.set(None);
        Some(Slot(Rc::clone(link)))
    }
}

/// A place for an exchange on a connection, for as long as this lives.
#[derive(Debug)]
pub(in crate::proxy::upstream) struct Slot(Rc<Link>);

impl Slot {
    /// Sends a request's head, with which it ends if it has no body. It was not sent where this fails.
    pub(super) fn send(
        &self,
        request: Request<()>,
        ends: bool,
    ) -> Result<(ResponseFuture, SendStream<Bytes>), h2::Error> {
        self.0.requests.borrow().clone().send_request(request, ends)
    }

    /// An answer has not come in time: the server may not be there any more. Until it has answered a ping, nothing
    /// further is asked of it here.
    pub(super) fn doubt(&self) {
        if !self.0.life.doubted.replace(true) {
            self.0.life.doubt.notify_one();
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.busy.set(self.0.busy.get() - 1);
    }
}

async fn drive(connection: Connection<Stream, Bytes>, pings: PingPong, life: Rc<Life>, patience: Duration) {
    tokio::select! {
        ended = connection => {
            if let Err(error) = ended {
                tracing::debug!(%error, "an HTTP/2 connection to a server has ended");
            }
        }
        () = vanished(pings, &life, patience) => tracing::debug!("a server does not answer a ping: its connection is closed"),
    }
    life.ended.set(true);
}

/// Ends when a server that is in doubt says nothing.
async fn vanished(mut pings: PingPong, life: &Life, patience: Duration) {
    loop {
        life.doubt.notified().await;
        let answered = timeout(patience, async {
            pings.send_ping(Ping::opaque())?;
            poll_fn(|cx| pings.poll_pong(cx)).await
        });
        if !matches!(answered.await, Ok(Ok(_))) {
            return;
        }
        life.doubted.set(false);
    }
}
