//! One exchange with an upstream: pool, timeouts, retries.
//!
//! Each worker has its own pool, so that a connection never changes cores and taking one needs no lock.

mod addresses;
pub(crate) mod answer;
mod balance;
mod connection;
#[cfg(test)]
mod differential;
pub mod health;
mod http2;
mod incoming;
mod pool;
mod sending;
mod server;
mod shared;
mod standing;
mod stream;
mod timer;

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use http::{HeaderMap, Method, StatusCode, Version};

use super::body::{self, RequestBody};
use super::cookies::{jar, rules::Rules};
use super::headers::{Asked, Names, is_idempotent};
use crate::metrics::Counter;
pub use answer::Malformed;
pub use balance::{Balance, MOST_SERVERS};
pub use incoming::{BodyError, Incoming};
use pool::{Carrier, Failed, Lease, Pool};
use sending::Sending;
pub use server::{Identity, Protocol, Server, Tls};
pub use shared::{Place, Shared};
pub use standing::Tolerance;
pub use stream::Stream;

/// A named group of backend servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Its name in the configuration, in logs and in metrics.
    pub name: String,
    /// Its servers, at least one and at most [`MOST_SERVERS`].
    pub servers: Vec<Server>,
    /// How requests are spread over them.
    pub balance: Balance,
    /// How many requests each of them may have at once, over all workers.
    pub max_connections: Option<usize>,
    /// How often one may fail before it is passed over.
    pub tolerance: Tolerance,
    /// How they are asked whether they are well, if they are.
    pub health: Option<health::Settings>,
    /// How TLS is spoken to those that do; there where one does.
    pub tls: Option<Tls>,
    /// Which session headers it is given and which of its own are honoured.
    pub trust: Trust,
    /// Which of its cookies are kept in the session; none where it has no jar.
    pub jar: Option<jar::Settings>,
    /// What is changed about its other cookies.
    pub cookies: Rules,
    /// How long a connection may take to be made, with its TLS handshake; and how long a request waits for a server
    /// that may have one more.
    pub connect_timeout: Duration,
    /// How long it is until the names of servers are looked up again.
    pub resolve_every: Duration,
    /// How long the response head may take, from the moment the request is sent.
    pub response_timeout: Duration,
    /// How long either body may stand still.
    pub body_timeout: Duration,
    /// How long a WebSocket may.
    pub websocket_timeout: Duration,
    /// How long an unused connection is kept.
    pub keepalive: Duration,
    /// How many unused connections each worker keeps.
    pub max_idle: usize,
}

/// What an upstream may do with sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trust {
    /// No session headers either way.
    None,
    /// It is told who is calling.
    Read,
    /// It may also patch the session's data.
    Write,
    /// It may also log in, end, renew and persist.
    Full,
}

/// Why an upstream gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No server could be connected to.
    #[error("cannot connect to {server}: {source}")]
    Connect {
        /// The server tried last.
        server: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The connection was not made in time.
    #[error("cannot connect to {server} within {} ms", timeout.as_millis())]
    ConnectTimeout {
        /// The server tried last.
        server: String,
        /// How long it had.
        timeout: Duration,
    },
    /// No server passes its health checks.
    #[error("no server passes its health checks")]
    Unhealthy,
    /// Every server has as many requests as it may have.
    #[error("every server has all the requests that it may have (max_connections); waited for {} ms", waited.as_millis())]
    Busy {
        /// How long this one waited; nothing where too many wait already.
        waited: Duration,
    },
    /// No response head came in time.
    #[error("no response within {} ms", .0.as_millis())]
    ResponseTimeout(Duration),
    /// It closed the connection instead of answering.
    #[error("it closed the connection without a whole answer")]
    Closed,
    /// The connection broke.
    #[error("the connection broke before a whole answer: {0}")]
    Broken(std::io::Error),
    /// The request is for a WebSocket, which is not asked for over HTTP/2.
    #[error("a WebSocket cannot be asked for over HTTP/2")]
    NoWebSocket,
    /// The request is one of HTTP/1.1 alone.
    #[error("the request cannot be written as HTTP/2")]
    NotInHttp2,
    /// What came is no answer.
    #[error("no valid response: {0}")]
    Malformed(Malformed),
    /// The client's request body ended early or stood still.
    #[error("the request body could not be read: {0}")]
    RequestBody(body::Error),
}

/// An answer whose head has come, without what belongs to the connection.
#[derive(Debug)]
pub struct Answer {
    lease: Lease,
    body_timeout: Duration,
    websocket_timeout: Duration,
}

impl Answer {
    /// Its status.
    pub fn status(&self) -> StatusCode {
        self.lease.head().status
    }

    /// The HTTP that it came in.
    pub fn version(&self) -> Version {
        match self.lease.carrier {
            Carrier::Http1(_) => Version::HTTP_11,
            Carrier::Http2(_) => Version::HTTP_2,
        }
    }

    /// What goes on to the client, and no header that could be taken for a session header.
    pub fn headers(&mut self) -> &mut HeaderMap {
        &mut self.lease.head_mut().headers
    }

    /// Every header that could be taken for a session header.
    pub fn session(&mut self) -> &mut HeaderMap {
        &mut self.lease.head_mut().session
    }

    /// Its headers, and its body, which is still to come. `room` is an empty map that the next answer's may have.
    pub fn into_parts(mut self, room: HeaderMap) -> (HeaderMap, Incoming) {
        (std::mem::replace(self.headers(), room), Incoming::new(self.lease, self.body_timeout))
    }

    /// How long the connection may stand still once it has switched protocols.
    pub fn websocket_timeout(&self) -> Duration {
        self.websocket_timeout
    }

    /// Its headers, and the connection, which has switched to another protocol.
    pub fn into_switched(mut self) -> (HeaderMap, Switched) {
        let headers = std::mem::take(self.headers());
        let Carrier::Http1(connection) = self.lease.carrier else {
            unreachable!("only HTTP/1.1 switches protocols, and other answers that say so are malformed")
        };
        let (stream, early) = connection.into_stream();
        (headers, Switched { stream, early, place: self.lease.place })
    }
}

/// A connection that has switched to another protocol.
#[derive(Debug)]
pub struct Switched {
    /// Its bytes.
    pub stream: Stream,
    /// What has come of that protocol already.
    pub early: BytesMut,
    /// Which it keeps among the requests that its server may have, for as long as it lasts.
    pub place: Option<Place>,
}

/// What one worker counts of an upstream.
#[derive(Debug, Default)]
pub struct Counters {
    /// Connections made.
    pub connects: Counter,
    /// Requests sent on a connection that had been used before.
    pub reused: Counter,
    /// Exchanges that ended without an answer.
    pub failures: Counter,
    /// Of its cookies.
    pub jar: jar::Counters,
}

/// One worker's view of an upstream.
#[derive(Debug)]
pub struct Upstream {
    settings: Rc<Settings>,
    shared: Arc<Shared>,
    pools: Box<[Rc<Pool>]>,
    turn: Cell<usize>,
    counters: Arc<Counters>,
}

impl Upstream {
    /// Without any connection yet.
    pub fn new(settings: &Settings, shared: &Arc<Shared>, names: &Rc<Names>, counters: Arc<Counters>) -> Self {
        let settings = Rc::new(settings.clone());
        let pool = |index| Rc::new(Pool::new(&settings, index, Arc::clone(shared), Rc::clone(names)));
        let pools = (0..settings.servers.len()).map(pool).collect();
        Self { settings, shared: Arc::clone(shared), pools, turn: Cell::new(0), counters }
    }

    /// Whether it is what these settings make. What speaks TLS never is: its certificates may be others.
    pub fn is_made_of(&self, settings: &Settings, shared: &Arc<Shared>) -> bool {
        Arc::ptr_eq(&self.shared, shared) && *self.settings == *settings
    }

    /// Nothing new is asked of it; what is under way ends.
    pub fn retire(&self) {
        self.pools.iter().for_each(|pool| pool.retire());
    }

    /// Its name in the configuration.
    pub fn name(&self) -> &str {
        &self.settings.name
    }

    /// What its servers speak, which is the same for all.
    pub fn protocol(&self) -> Protocol {
        self.settings.servers.first().map_or(Protocol::Http1, Server::protocol)
    }

    /// What it may do with sessions.
    pub fn trust(&self) -> Trust {
        self.settings.trust
    }

    /// Which of its cookies are kept in the session.
    pub fn jar(&self) -> Option<&jar::Settings> {
        self.settings.jar.as_ref()
    }

    /// What is changed about its cookies that pass to the browser.
    pub fn cookies(&self) -> &Rules {
        &self.settings.cookies
    }

    /// What is counted of its cookies.
    pub fn jar_counters(&self) -> &jar::Counters {
        &self.counters.jar
    }

    /// How long bodies may stand still.
    pub fn body_timeout(&self) -> Duration {
        self.settings.body_timeout
    }

    /// Sends a request, whose head is written, and waits for the head of its answer.
    ///
    /// It is sent again where nothing of it was written, because the connection it was meant for had just been closed;
    /// or, over HTTP/2, where the server says that it has done nothing about it, and nothing of its body is gone. Once
    /// more it is sent where a connection that had been used before broke without a byte of an answer, if its method is
    /// idempotent (RFC 9110 section 9.2.2) and it has no body: then the server most likely closed the connection as
    /// idle.
    pub async fn exchange(
        &self,
        method: &Method,
        asked: Asked,
        head: Vec<u8>,
        body: RequestBody,
    ) -> Result<Answer, Error> {
        if asked == Asked::ForWebSocket && self.protocol() == Protocol::Http2 {
            return Err(Error::NoWebSocket);
        }
        let mut fresh = Fresh::No;
        let mut lease = self.lease(fresh).await?;
        *lease.sending() = Sending::new(head, body);
        loop {
            let answered = lease.exchange(asked, self.settings.response_timeout).await;
            let Err(Failed { error, unanswered, unprocessed }) = answered else {
                self.shared.standings[lease.pool.index].answered();
                let Settings { body_timeout, websocket_timeout, .. } = *self.settings;
                return Ok(Answer { lease, body_timeout, websocket_timeout });
            };
            let mut sending = std::mem::take(lease.sending());
            let again = lease.reused && unanswered;
            // Of HTTP/2, which says so of single requests.
            let unprocessed = unprocessed && sending.is_untouched();
            if matches!(error, Error::ResponseTimeout(_)) {
                self.failed(lease.pool.index);
            }
            if again && sending.is_unwritten() {
                // Each turn uses up an idle connection, or ends with a fresh one.
            } else if fresh == Fresh::No && (unprocessed || again && sending.is_bodiless() && is_idempotent(method)) {
                fresh = Fresh::Yes;
            } else {
                // What a client breaks off, or words badly, says nothing of the server.
                if !matches!(error, Error::RequestBody(_) | Error::NotInHttp2) {
                    self.counters.failures.increment();
                }
                return Err(error);
            }
            sending.rewind();
            // Its place may be the one that is waited for.
            drop(lease);
            lease = Box::pin(self.lease(fresh)).await?;
            *lease.sending() = sending;
        }
    }

    /// Closes connections that nobody has used for so long. Called now and then, so that no request reads a clock.
    pub fn tick(&self, since_last: Duration) {
        for pool in &self.pools {
            Pool::age(pool, since_last, self.settings.keepalive);
        }
    }
}

/// Whether a connection that was used before will do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fresh {
    No,
    Yes,
}
