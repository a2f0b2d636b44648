//! Accepts connections: limits, timeouts, one task a connection. Takes its handler as an argument.
//!
//! Every worker runs `serve` once a listening socket, on its own `LocalRuntime`. What belongs to a connection stays on
//! that thread; the connection limit and the stop signal alone are shared.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::header::{CONNECTION, HeaderValue};
use http::{Method, Request, Response, StatusCode, Version};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tracing::{debug, warn};

use crate::metrics::Connections as Counters;
use crate::proxy::stream::{MaySwitch, Tunnel};
use crate::proxy::{Client, Scheme};

mod bind;
mod connections;
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
use corked::corked;
use frames::Frames;
use limits::Slot;
use protocol::Protocols;
use pulse::{InStream, Io, Order, Request as InFlight, Tracked};
use socket::{Socket, Stream, Tls};
use strict::Strict;

/// A listening socket, and what becomes of connections that wait at it when it is listened on no more.
#[derive(Debug)]
pub struct Listening {
    /// The socket.
    pub socket: TcpListener,
    /// Whether somebody else keeps it, and they wait for whoever listens next. If not, they are accepted at last, for the
    /// system resets them where a socket is closed.
    pub is_kept: bool,
}

impl From<TcpListener> for Listening {
    fn from(socket: TcpListener) -> Self {
        Self { socket, is_kept: false }
    }
}

/// How long a client over HTTP/1.1 may still send a request once a stop is asked for, be it the first on its connection or
/// the next: it is answered, and told that it is the last. To close at once what is idle would fail whoever is just sending.
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
    let worker = Rc::new(Worker { edge, limits, terms, counters, handler });

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

/// A request that others may not find in the bytes it came in.
#[derive(Debug, thiserror::Error)]
#[error("what follows a request for another protocol is neither that nor HTTP/1.1 as it should be")]
struct Distrusted;

/// Ends when connections have had all the time that there is.
async fn drained(connections: &Connections, timeout: Duration) {
    let began = Instant::now();
    tokio::time::sleep_until(began + timeout.min(LAST_REQUEST)).await;
    connections.leave();
    tokio::time::sleep_until(began + timeout).await;
}

/// What a connection carries behind an answer that has switched protocols.
type Switched = Rc<Cell<Option<Box<Tunnel>>>>;

/// What every connection of one listening socket shares.
struct Worker<H> {
    edge: Edge,
    /// The limits as they are now.
    limits: Arc<ArcSwap<Limits>>,
    /// What the last connection was accepted under.
    terms: RefCell<Rc<Terms>>,
    counters: Arc<Counters>,
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

    /// A place below the connection limit. It is asked for after `accept`, not before: a worker that took the last place
    /// in advance would keep it from the worker to which the kernel hands the next client.
    async fn slot(&self, slots: &Slots) -> Option<Slot> {
        let slot = slots.take();
        if slot.is_some() {
            return slot;
        }
        self.counters.at_limit.increment();
        debug!("as many connections as allowed are open; waiting for one to end");
        slots.wait().await
    }

    /// One connection, from its first byte to its last.
    async fn converse(
        &self,
        mut stream: TcpStream,
        peer: SocketAddr,
        terms: &Terms,
        entry: Entry,
        _slot: Option<Slot>,
    ) {
        // A client that opens no window acknowledges what it is asked for ever, and no other timeout of the system would end it.
        // Where the system knows no such thing, `Connections` notices late.
        let _ = socket2::SockRef::from(&stream).set_tcp_user_timeout(Some(terms.limits.write_timeout));
        // An IPv4 client of a dual-stack socket is written as IPv4, as upstreams and rules expect it.
        let address = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        let Some(address) = self.announced(&mut stream, address, terms, &entry).await else { return };
        let stream = Socket(stream);
        match &self.edge {
            Edge::Http => self.http1(stream, Client::new(address, Scheme::Http), terms, &entry).await,
            Edge::Https(config) => {
                // Boxed, as HTTP/2 is, lest every connection have room for it for as long as it lasts.
                let shaken = Box::pin(self.shake_hands(stream, config.load_full(), address, terms, &entry)).await;
                let Some(stream) = shaken else { return };
                let client = Client::new(address, Scheme::Https);
                let client = match stream.certificate() {
                    Some(certificate) => client.with_certificate(certificate),
                    None => client,
                };
                if stream.speaks_http2() {
                    Box::pin(self.http2(stream, client, terms, &entry)).await;
                } else {
                    self.http1(stream, client, terms, &entry).await;
                }
            }
        }
    }

    /// Whose connection it is: the peer's, or, where a PROXY protocol header is expected, whoever's that says. None for a
    /// connection that is not to be served.
    async fn announced(
        &self,
        stream: &mut TcpStream,
        peer: SocketAddr,
        terms: &Terms,
        entry: &Entry,
    ) -> Option<SocketAddr> {
        let Some(proxies) = &terms.limits.proxy_protocol else { return Some(peer) };
        // Boxed, lest every connection have room for it.
        let header = Box::pin(proxy_protocol::client(stream, peer, proxies, terms.limits.handshake_timeout));
        match entry.pulse.unless_told(Order::Leave, header).await? {
            Ok(client) => Some(client),
            Err(error) => {
                self.counters.proxy_headers_refused.increment();
                debug!(%peer, %error, cause = error.source(), "a connection is closed for want of a PROXY protocol header");
                None
            }
        }
    }

    /// TLS over a socket, unless it cannot be agreed upon in time, or a stop is asked for meanwhile.
    async fn shake_hands(
        &self,
        stream: Socket,
        config: Arc<ServerConfig>,
        address: SocketAddr,
        terms: &Terms,
        entry: &Entry,
    ) -> Option<Tls> {
        let accepted = TlsAcceptor::from(config).accept(stream);
        let handshake = tokio::time::timeout(terms.limits.handshake_timeout, accepted);
        let error = match entry.pulse.unless_told(Order::Leave, handshake).await? {
            Ok(Ok(stream)) => return Some(Tls::new(stream)),
            Ok(Err(error)) => error,
            Err(elapsed) => {
                self.counters.timeouts.increment();
                elapsed.into()
            }
        };
        self.counters.handshakes_failed.increment();
        debug!(%address, %error, "TLS handshake failed");
        None
    }

    /// hyper's part is taken apart whenever the connection comes to rest, and made anew when the client says more: its
    /// buffers are most of what an idle connection would take.
    async fn http1(&self, stream: impl Stream, client: Client, terms: &Terms, entry: &Entry) {
        let (client, pulse) = (Rc::new(client), &entry.pulse);
        let switched = Switched::default();
        let version = Cell::new(Version::HTTP_11);
        let mut io = Io::new(Strict::new(stream, pulse), pulse);
        loop {
            let service = service_fn(|request: Request<Incoming>| {
                version.set(request.version());
                // One whose body is still coming in leaves hyper in the middle of it.
                pulse.may_rest(request.body().is_end_stream());
                let head = if pulse.take_head() { Ok(()) } else { Err(Distrusted) };
                self.answer(request, Rc::clone(&client), (terms, entry), &switched, head)
            });
            let mut connection = Box::new(terms.protocols.http1.serve_connection(io, service));
            let finish = http1::Connection::graceful_shutdown;
            let driven = pulse.drive(Pin::new(&mut *connection), (Order::Leave, finish), |_| Poll::Ready(Ok(())));
            let Some(ended) = pulse.until_rest(driven).await else {
                self.counters.rests.increment();
                let http1::Parts { io: at_rest, read_buf, .. } = connection.into_parts();
                io = at_rest;
                io.read_again(read_buf);
                io.rest().await;
                continue;
            };
            match (&ended, switched.take()) {
                (Some(Ok(())), Some(tunnel)) => {
                    let http1::Parts { io, read_buf, .. } = connection.into_parts();
                    let stream = io.into_inner().into_inner();
                    stream.take_time();
                    let _in_flight = InFlight::begin(pulse);
                    // Boxed, lest every connection have room for it.
                    pulse.unless_told(Order::Cut, Box::pin(tunnel.carry(stream, read_buf))).await;
                }
                (Some(Err(error)), _) if error.is_user() && version.get() == Version::HTTP_10 => {
                    report(&client, ended);
                    connection.into_parts().io.into_inner().reset_when_closed();
                }
                _ => report(&client, ended),
            }
            return;
        }
    }

    async fn http2(&self, stream: impl Stream, client: Client, terms: &Terms, entry: &Entry) {
        let client = Rc::new(client);
        let service = service_fn(|request| self.answer_stream(request, Rc::clone(&client), (terms, entry)));
        let (stream, cork) = corked(Io::new(Frames::new(stream, &entry.pulse), &entry.pulse));
        let connection = pin!(terms.protocols.http2.serve_connection(stream, service));
        let pull = |context: &mut Context<'_>| cork.pull(context);
        let ended = entry.pulse.drive(connection, (Order::Finish, http2::Connection::graceful_shutdown), pull).await;
        report(&client, ended);
    }

    /// The handler's answer to one request whose head is as it should be, known to be in flight until its last byte is handed over.
    fn answer(
        &self,
        request: Request<Incoming>,
        client: Rc<Client>,
        (terms, entry): (&Terms, &Entry),
        switched: &Switched,
        head: Result<(), Distrusted>,
    ) -> impl Future<Output = Result<Response<Tracked<B>>, Distrusted>> + use<H, F, B> {
        let in_flight = InFlight::begin(&entry.pulse);
        let is_last = entry.is_last_of(terms.limits.max_requests);
        let (handler, switched) = (self.handler.clone(), Rc::clone(switched));
        // Called within: a future that is given here and awaited there would have its size twice in this one, which hyper
        // moves for every request.
        async move {
            head?;
            let mut response = handler(request, client).await;
            if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                switched.set(response.body_mut().switched());
            } else if is_last || in_flight.is_last() {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok(response.map(|body| Tracked::new(body, in_flight)))
        }
    }

    /// The same for one of many that share a connection. What follows a CONNECT goes on in its stream.
    fn answer_stream(
        &self,
        mut request: Request<Incoming>,
        client: Rc<Client>,
        (terms, entry): (&Terms, &Entry),
    ) -> impl Future<Output = Result<Response<InStream<B>>, Infallible>> + use<H, F, B> {
        let in_flight = InFlight::begin(&entry.pulse);
        if entry.is_last_of(terms.limits.max_requests) {
            entry.pulse.finish();
        }
        let opening = (request.method() == Method::CONNECT)
            .then(|| (hyper::upgrade::on(&mut request), InFlight::begin(&entry.pulse)));
        let (handler, pulse) = (self.handler.clone(), Rc::clone(&entry.pulse));
        async move {
            let mut response = handler(request, client).await;
            if let Some((stream, in_flight)) = opening
                && let Some(tunnel) = response.body_mut().switched()
            {
                tokio::task::spawn_local(carry(tunnel, stream, in_flight));
            }
            Ok(response.map(|body| InStream::new(Tracked::new(body, in_flight), &pulse)))
        }
    }
}

/// Carries what goes on in a stream for as long as it lasts, or its connection.
async fn carry(tunnel: Box<Tunnel>, stream: OnUpgrade, _in_flight: InFlight) {
    match stream.await {
        Ok(stream) => tunnel.carry(TokioIo::new(stream), Bytes::new()).await,
        Err(error) => debug!(%error, "the stream of a WebSocket ended before it was open"),
    }
}

/// Whether `accept` failed because of the one client, and the next may be had at once (accept(2), "Error handling").
fn is_the_clients(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | ConnectionRefused | Interrupted)
}

/// A client that breaks off, or speaks no HTTP, is nothing to an operator: debug.
fn report(client: &Client, ended: Option<hyper::Result<()>>) {
    if let Some(Err(error)) = ended {
        debug!(address = %client.address, %error, cause = error.source(), "connection ended");
    }
}
