//! Accepts connections: limits, timeouts, one task a connection. Takes its handler as an argument.
//!
//! Every worker runs `serve` once a listening socket, on its own `LocalRuntime`. What belongs to a connection stays on
//! that thread; the connection limit and the stop signal alone are shared.

use std::cell::RefCell;
use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tracing::{debug, warn};

use crate::metrics::Connections as Counters;
use crate::proxy::Client;
use crate::proxy::stream::MaySwitch;

mod bind;
mod connections;
mod conversation;
mod corked;
mod frames;
mod limits;
mod passed;
mod protocol;
pub mod proxy_protocol;
mod pulse;
mod redirect;
mod socket;
mod stop;
mod strict;

pub use bind::{BindError, bind};
pub use limits::{Limits, Settings, Slots};
pub use passed::{Passed, PassedError};
pub use redirect::redirect;
pub use stop::Stop;
#[cfg(any(test, fuzzing))]
pub(crate) use strict::reads_in_pieces_as_whole;

use connections::{Connections, Entry};
use corked::Room;
use limits::Slot;
use protocol::Protocols;

/// A listening socket, and what becomes of connections that wait at it when it is listened on no more.
#[derive(Debug)]
pub struct Listening {
    /// The socket.
    pub socket: TcpListener,
    /// Whether somebody else keeps it, and they wait for whoever listens next. If not, they are accepted at last, for
    /// the system resets them where a socket is closed.
    pub is_kept: bool,
}

impl From<TcpListener> for Listening {
    fn from(socket: TcpListener) -> Self {
        Self { socket, is_kept: false }
    }
}

/// How long a client over HTTP/1.1 may still send a request once a stop is asked for, be it the first on its connection
/// or the next: it is answered, and told that it is the last. To close at once what is idle would fail whoever is just
/// sending.
const LAST_REQUEST: Duration = Duration::from_secs(1);

/// What a listening socket speaks.
#[derive(Clone)]
pub enum Edge {
    /// Clear text, HTTP/1.1 alone: a client that knows HTTP/2 in advance is refused.
    Http,
    /// TLS, with what is there when a handshake begins; ALPN picks HTTP/2 or HTTP/1.1.
    Https(Arc<ArcSwap<ServerConfig>>),
}

impl std::fmt::Debug for Edge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Http => "Http",
            Self::Https(_) => "Https",
        })
    }
}

/// Serves connections until a stop is asked for; returns when the last one has ended, or was cut at `drain_timeout`.
///
/// Must run on a `LocalRuntime`, which also runs the handler's futures.
pub async fn serve<H, F, B>(
    listening: impl Into<Listening>,
    edge: Edge,
    limits: Arc<ArcSwap<Limits>>,
    counters: Arc<Counters>,
    stop: Stop,
    handler: H,
) where
    H: Fn(Request<Incoming>, Rc<Client>) -> F + Clone + 'static,
    F: Future<Output = Response<B>> + 'static,
    B: Body<Data = Bytes> + MaySwitch + Unpin + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let Listening { socket: listener, is_kept } = listening.into();
    let terms = RefCell::new(Rc::new(Terms::new(limits.load_full())));
    let connections = Rc::new(Connections::new(&terms.borrow().limits, Arc::clone(&counters)));
    let worker = Rc::new(Worker { edge, limits, terms, counters, room: Room::default(), handler });

    tokio::select! {
        () = worker.accept(&listener, &connections) => {}
        () = stop.asked() => {}
        never = connections.sweep() => match never {},
    }
    if !is_kept {
        worker.accept_last(&listener, &connections).await;
    }
    // Before the drain: a client that comes now must be refused, or reach another instance, and not sit in a backlog.
    drop(listener);

    connections.finish();
    tokio::select! {
        () = connections.ended() => {}
        never = connections.sweep() => match never {},
        () = drained(&connections, worker.limits.load().drain_timeout) => {
            connections.cut();
            connections.ended().await;
        }
    }
}

/// Ends when connections have had all the time that there is.
async fn drained(connections: &Connections, timeout: Duration) {
    let began = Instant::now();
    tokio::time::sleep_until(began + timeout.min(LAST_REQUEST)).await;
    connections.leave();
    tokio::time::sleep_until(began + timeout).await;
}

/// What every connection of one listening socket shares.
struct Worker<H> {
    edge: Edge,
    /// The limits as they are now.
    limits: Arc<ArcSwap<Limits>>,
    /// What the last connection was accepted under.
    terms: RefCell<Rc<Terms>>,
    counters: Arc<Counters>,
    /// Where connections over HTTP/2 gather what they write.
    room: Room,
    handler: H,
}

/// What a connection is accepted under, and keeps.
struct Terms {
    limits: Arc<Limits>,
    protocols: Protocols,
}

impl Terms {
    fn new(limits: Arc<Limits>) -> Self {
        Self { protocols: Protocols::new(&limits), limits }
    }
}

impl<H, F, B> Worker<H>
where
    H: Fn(Request<Incoming>, Rc<Client>) -> F + Clone + 'static,
    F: Future<Output = Response<B>> + 'static,
    B: Body<Data = Bytes> + MaySwitch + Unpin + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    /// Accepts for ever. Never waits for a client: not for its handshake, not for its first byte.
    async fn accept(self: &Rc<Self>, listener: &TcpListener, connections: &Rc<Connections>) {
        let mut logged: Option<Instant> = None;
        loop {
            let (stream, peer) = match listener.accept().await {
                Ok(accepted) => accepted,
                // The client left while it was queued.
                Err(error) if is_the_clients(&error) => continue,
                Err(error) => {
                    // No descriptor, no memory: `accept` would fail again at once, and the queue keeps.
                    self.counters.accept_errors.increment();
                    if logged.is_none_or(|at| at.elapsed() >= Duration::from_secs(1)) {
                        logged = Some(Instant::now());
                        warn!(%error, "cannot accept connections");
                    }
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            self.counters.accepted.increment();
            let terms = self.terms(connections);
            let slot = self.slot(&terms.limits.slots).await;
            self.take_in((stream, peer), terms, connections, slot);
        }
    }

    /// Accepts whoever waits already.
    async fn accept_last(self: &Rc<Self>, listener: &TcpListener, connections: &Rc<Connections>) {
        let until = Instant::now() + LAST_REQUEST;
        // Ready or not, it is asked once.
        while let Ok(accepted) = tokio::time::timeout(Duration::ZERO, listener.accept()).await {
            let accepted = match accepted {
                Ok(accepted) if Instant::now() < until => accepted,
                Err(error) if is_the_clients(&error) && Instant::now() < until => continue,
                // A flood has no last one.
                Ok(_) | Err(_) => return,
            };
            self.counters.accepted.increment();
            let terms = self.terms(connections);
            let Some(slot) = terms.limits.slots.take() else { return };
            self.take_in(accepted, terms, connections, Some(slot));
        }
    }

    fn take_in(
        self: &Rc<Self>,
        (stream, peer): (TcpStream, SocketAddr),
        terms: Rc<Terms>,
        connections: &Rc<Connections>,
        slot: Option<Slot>,
    ) {
        let (worker, entry) = (Rc::clone(self), Entry::new(connections));
        tokio::task::spawn_local(async move { worker.converse(stream, peer, &terms, entry, slot).await });
    }

    /// What holds for a connection that is accepted now.
    fn terms(&self, connections: &Connections) -> Rc<Terms> {
        let limits = self.limits.load();
        let mut terms = self.terms.borrow_mut();
        if !Arc::ptr_eq(&limits, &terms.limits) {
            connections.keep_to(&limits);
            *terms = Rc::new(Terms::new(Arc::clone(&limits)));
        }
        Rc::clone(&terms)
    }

    /// A place below the connection limit. It is asked for after `accept`, not before: a worker that took the last
    /// place in advance would keep it from the worker to which the kernel hands the next client.
    async fn slot(&self, slots: &Slots) -> Option<Slot> {
        let slot = slots.take();
        if slot.is_some() {
            return slot;
        }
        self.counters.at_limit.increment();
        debug!("as many connections as allowed are open; waiting for one to end");
        slots.wait().await
    }
}

/// Whether `accept` failed because of the one client, and the next may be had at once (accept(2), "Error handling").
fn is_the_clients(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | ConnectionRefused | Interrupted)
}
