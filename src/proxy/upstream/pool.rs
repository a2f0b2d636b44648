//! One worker's connections to one server.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use tokio::task::coop::unconstrained;
use tokio::time::Instant;

use super::addresses::{Addresses, Resolver};
use super::answer::{self, Head};
use super::connection::Connection;
use super::http2::{Exchange, Link, Links, Slot};
use super::sending::{SendError, Sending};
use super::{Error, Place, Protocol, Server, Settings, Shared, Stream};
use crate::proxy::headers::{Asked, Names};

#[cfg(test)]
pub(super) mod tests;

/// How long an answer about a name may take, where nobody waits for it.
const RESOLVER_TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(super) struct Pool {
    server: Server,
    /// Which of the upstream's it is.
    pub(super) index: usize,
    shared: Arc<Shared>,
    names: Rc<Names>,
    /// Where headers stand in the head that is being read: one for all connections, for it is always at hand then.
    places: RefCell<Vec<answer::Place>>,
    /// Where the server is, if it is at a host.
    addresses: Option<Addresses>,
    resolve_every: Duration,
    /// By its own time, when its name is to be looked up again.
    resolve_at: Cell<u64>,
    /// How often its addresses were found to be others.
    moves: Cell<u64>,
    idle: RefCell<Vec<Idle>>,
    /// Those that speak HTTP/2; none where the server does not.
    links: Links,
    /// How many idle connections are kept; none once nobody will take one.
    max_idle: Cell<usize>,
    /// Time as this pool knows it: how often it was aged, in milliseconds.
    age: Cell<u64>,
}

#[derive(Debug)]
struct Idle {
    connection: Box<Connection>,
    since: u64,
}

impl Pool {
    pub(super) fn new(settings: &Settings, index: usize, shared: Arc<Shared>, names: Rc<Names>) -> Self {
        Self::with(settings, index, shared, names, Resolver::System)
    }

    fn with(settings: &Settings, index: usize, shared: Arc<Shared>, names: Rc<Names>, resolver: Resolver) -> Self {
        let Settings { max_idle, resolve_every, .. } = *settings;
        let server = settings.servers[index].clone();
        let addresses = Addresses::of(&server, resolver);
        Self {
            server,
            index,
            shared,
            names,
            places: RefCell::default(),
            addresses,
            resolve_every,
            resolve_at: Cell::new(millis(resolve_every)),
            moves: Cell::new(0),
            idle: RefCell::default(),
            links: Links::default(),
            max_idle: Cell::new(max_idle),
            age: Cell::new(0),
        }
    }

    pub(super) fn names(&self) -> &Names {
        &self.names
    }

    /// The connection used last, for it is the least likely to be closed on us. Over HTTP/2, room on one.
    pub(super) fn idle(pool: &Rc<Self>) -> Option<Lease> {
        if pool.server.protocol() == Protocol::Http2 {
            return pool.links.slot().map(|slot| Self::lease(pool, http2(slot), true));
        }
        loop {
            let Idle { mut connection, .. } = pool.idle.borrow_mut().pop()?;
            if connection.is_quiet() {
                return Some(Self::lease(pool, Carrier::Http1(connection), true));
            }
        }
    }

    fn lease(pool: &Rc<Self>, carrier: Carrier, reused: bool) -> Lease {
        Lease { carrier, reused, pool: Rc::clone(pool), moves: pool.moves.get(), place: None }
    }

    pub(super) async fn connect(pool: &Rc<Self>, timeout: Duration) -> Result<Lease, Error> {
        let server = &pool.server;
        let moves = pool.moves.get();
        let connected = async {
            match server.protocol() {
                Protocol::Http1 => {
                    let connection = Box::new(Connection::new(pool.open(timeout).await?));
                    Ok(Self::lease(pool, Carrier::Http1(connection), false))
                }
                Protocol::Http2 => Self::connect_http2(pool, timeout).await,
            }
        };
        match tokio::time::timeout(timeout, connected).await {
            Ok(Ok(lease)) => Ok(Lease { moves, ..lease }),
            Ok(Err(source)) => Err(Error::Connect { server: server.to_string(), source }),
            Err(_) => Err(Error::ConnectTimeout { server: server.to_string(), timeout }),
        }
    }

    /// Room on a new connection, or on one that somebody else makes meanwhile.
    async fn connect_http2(pool: &Rc<Self>, timeout: Duration) -> io::Result<Lease> {
        loop {
            if let Some(lease) = Self::idle(pool) {
                return Ok(lease);
            }
            let Some(opening) = pool.links.begin() else {
                pool.links.opened().await;
                continue;
            };
            let link = Link::open(pool.open(timeout).await?, timeout).await?;
            if let Some(slot) = opening.made(&link) {
                return Ok(Self::lease(pool, http2(slot), false));
            }
        }
    }

    /// Connects to the address whose turn it is, or to the next that it can be connected to. Each has its share of the
    /// time.
    async fn open(&self, timeout: Duration) -> io::Result<Stream> {
        let tls = self.shared.tls.as_ref();
        let Some(addresses) = &self.addresses else { return Stream::open(&self.server, tls).await };
        let until = Instant::now() + timeout;
        let mut in_turn = addresses.in_turn().await?;
        // The last one has all that is left.
        let last = in_turn.pop().expect("a name that was found has an address");
        for (tried, address) in in_turn.iter().enumerate() {
            let others = u32::try_from(in_turn.len() - tried + 1).unwrap_or(u32::MAX);
            let share = until.saturating_duration_since(Instant::now()) / others;
            if let Ok(Ok(stream)) = tokio::time::timeout(share, Stream::open_at(*address, &self.server, tls)).await {
                return Ok(stream);
            }
        }
        Stream::open_at(last, &self.server, tls).await
    }

    /// Closes what has been idle for too long, and what the server has closed. Looks its name up again if it is time,
    /// beside whatever requests there are.
    pub(super) fn age(pool: &Rc<Self>, by: Duration, limit: Duration) {
        let now = pool.age.get().saturating_add(millis(by));
        pool.age.set(now);
        let oldest = now.saturating_sub(millis(limit));
        pool.idle.borrow_mut().retain_mut(|idle| idle.since >= oldest && idle.connection.is_quiet());
        pool.links.age(now, oldest, pool.max_idle.get());
        if now >= pool.resolve_at.get() && pool.addresses.as_ref().is_some_and(Addresses::can_be_renewed) {
            pool.resolve_at.set(now.saturating_add(millis(pool.resolve_every)));
            let pool = Rc::clone(pool);
            tokio::task::spawn_local(async move { pool.follow().await });
        }
    }

    /// Looks the name up, and closes idle connections to addresses that it has no more.
    async fn follow(&self) {
        let Some(addresses) = &self.addresses else { return };
        // A resolver that says nothing is asked again next time.
        if tokio::time::timeout(RESOLVER_TIMEOUT, addresses.renew()).await == Ok(true) {
            self.moves.set(self.moves.get() + 1);
            let is_there = |peer: Option<SocketAddr>| peer.is_some_and(|peer| addresses.has(peer));
            self.idle.borrow_mut().retain(|idle| is_there(idle.connection.peer()));
            self.links.follow(is_there);
        }
    }

    /// Closes idle connections, now and from now on: nothing new is asked, and what is under way ends.
    pub(super) fn retire(&self) {
        self.max_idle.set(0);
        self.idle.borrow_mut().clear();
        self.links.follow(|_| false);
    }

    /// Whether a connection that was in use while addresses changed may still be used.
    fn is_there(&self, connection: &Connection) -> bool {
        let Some(addresses) = &self.addresses else { return true };
        connection.peer().is_some_and(|peer| addresses.has(peer))
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// A connection in use. It goes back to the pool by [`Lease::release`]; dropped before, it is closed, and the server
/// learns that nobody waits for its answer.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) carrier: Carrier,
    pub(super) pool: Rc<Pool>,
    /// Whether the connection had been used before.
    pub(super) reused: bool,
    /// How often the server had moved when this was leased.
    moves: u64,
    /// Among the exchanges that its server may have, where they are counted.
    pub(super) place: Option<Place>,
}

/// What an exchange is carried by.
#[derive(Debug)]
pub(super) enum Carrier {
    /// A connection that carries nothing else.
    Http1(Box<Connection>),
    /// A stream of one that does.
    Http2(Box<Exchange>),
}

fn http2(slot: Slot) -> Carrier {
    Carrier::Http2(Box::new(Exchange::new(slot)))
}

/// An exchange that failed.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) error: Error,
    /// Whether the connection ended before a byte of an answer.
    pub(super) unanswered: bool,
    /// Whether the server has said, or it is clear otherwise, that nothing was done about the request.
    pub(super) unprocessed: bool,
}

impl Failed {
    /// One that would fail again.
    pub(super) fn for_good(error: Error) -> Self {
        Self { error, unanswered: false, unprocessed: false }
    }
}

impl Lease {
    /// The request.
    pub(super) fn sending(&mut self) -> &mut Sending {
        match &mut self.carrier {
            Carrier::Http1(connection) => &mut connection.sending,
            Carrier::Http2(exchange) => &mut exchange.sending,
        }
    }

    /// The head of its answer, once it has come.
    pub(super) fn head(&self) -> &Head {
        match &self.carrier {
            Carrier::Http1(connection) => &connection.head,
            Carrier::Http2(exchange) => &exchange.head,
        }
    }

    /// The same, to be changed.
    pub(super) fn head_mut(&mut self) -> &mut Head {
        match &mut self.carrier {
            Carrier::Http1(connection) => &mut connection.head,
            Carrier::Http2(exchange) => &mut exchange.head,
        }
    }

    /// Sends the connection's request, and waits for the head of its answer, which may come before all of the request
    /// is sent. The time it may take begins anew while the request's body is still on its way; a body that stands still
    /// has a timeout of its own.
    pub(super) async fn exchange(&mut self, asked: Asked, timeout: Duration) -> Result<(), Failed> {
        let Self { carrier, pool, .. } = self;
        let connection = match carrier {
            Carrier::Http1(connection) => connection,
            // Boxed, lest every exchange have room for it.
            Carrier::Http2(exchange) => {
                return Box::pin(exchange.run(asked, timeout, pool.server.scheme(), &pool.names)).await;
            }
        };
        connection.timer.set(timeout);
        let (mut before, mut refused, mut unanswered) = (None, None, true);
        poll_fn(|cx| {
            if refused.is_none() && !connection.sending.is_whole() {
                match connection.poll_send(cx) {
                    Poll::Ready(Err(SendError::Body(error))) => return failed(Error::RequestBody(error)),
                    // A server that takes no more may have said why.
                    Poll::Ready(Err(SendError::Server(error))) => refused = Some(error),
                    Poll::Ready(Ok(())) | Poll::Pending => {}
                }
            }
            loop {
                match connection.read_head(asked, pool.names(), &mut pool.places.borrow_mut()) {
                    Ok(true) => {
                        connection.head.keeps &= refused.is_none();
                        return Poll::Ready(Ok(()));
                    }
                    Ok(false) => {}
                    Err(error) => return failed(Error::Malformed(error)),
                }
                match connection.poll_read(cx) {
                    Poll::Pending => break,
                    Poll::Ready(Ok(1..)) => unanswered = false,
                    Poll::Ready(come) => {
                        let error = refused.take().or(come.err()).map_or(Error::Closed, Error::Broken);
                        return Poll::Ready(Err(Failed { error, unanswered, unprocessed: false }));
                    }
                }
            }
            let before = before.get_or_insert(connection.sending.pieces());
            loop {
                // Not for want of budget: a server that never stops sending interim answers uses all of it each time.
                ready!(pin!(unconstrained(poll_fn(|cx| connection.timer.poll(cx)))).poll(cx));
                if connection.sending.pieces() == *before && !connection.sending.waits_for_the_client() {
                    return failed(Error::ResponseTimeout(timeout));
                }
                *before = connection.sending.pieces();
                connection.timer.set(timeout);
            }
        })
        .await
    }

    /// The answer has come whole: the connection may serve another request, unless the server answered before it had
    /// taken in this one. Then it is closed, rather than be kept busy by an upload that nobody wants.
    pub(super) fn release(self) {
        let Self { carrier: Carrier::Http1(mut connection), pool, moves, .. } = self else { return };
        // The system is asked only where something has changed.
        if moves != pool.moves.get() && !pool.is_there(&connection) {
            return;
        }
        let mut idle = pool.idle.borrow_mut();
        // What is there beyond the answer belongs to no request (RFC 9112 section 9.3): no further one is risked.
        let quiet = connection.input.is_empty() && connection.sending.is_whole();
        if connection.head.keeps && quiet && idle.len() < pool.max_idle.get() {
            connection.rest();
            idle.push(Idle { connection, since: pool.age.get() });
        }
    }
}

fn failed(error: Error) -> Poll<Result<(), Failed>> {
    Poll::Ready(Err(Failed::for_good(error)))
}
