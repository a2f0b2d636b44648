//! One exchange with an upstream: pool, timeouts, retries.
//!
//! Each worker has its own pool, so that a connection never changes cores and taking one needs no lock.

mod pool;
mod wire;

use std::cell::Cell;
use std::future::poll_fn;
use std::path::PathBuf;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Poll, ready};
use std::time::Duration;

use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

use crate::metrics::Counter;
use crate::proxy::body::{Progress, RequestBody};
pub use pool::Lease;
use pool::Pool;

/// A named group of backend servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Its name in the configuration, in logs and in metrics.
    pub name: String,
    /// Its servers, at least one; requests go to them in turn.
    pub servers: Vec<Server>,
    /// Which session headers it is given and which of its own are honoured.
    pub trust: Trust,
    /// How long a connection may take to be made.
    pub connect_timeout: Duration,
    /// How long the response head may take, from the moment the request is sent.
    pub response_timeout: Duration,
    /// How long either body may stand still.
    pub body_timeout: Duration,
    /// How long an unused connection is kept.
    pub keepalive: Duration,
    /// How many unused connections each worker keeps.
    pub max_idle: usize,
}

/// Where one backend server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Server {
    /// `http://host:port`; the host is resolved when a connection is made.
    Tcp {
        /// A name or an address literal, without brackets.
        host: String,
        /// Its port.
        port: u16,
    },
    /// `unix:/path/to.sock`.
    Unix(PathBuf),
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
    /// No response head came in time.
    #[error("no response within {} ms", .0.as_millis())]
    ResponseTimeout(Duration),
    /// The connection broke, or what came is no HTTP.
    #[error("no valid response: {0}")]
    Exchange(hyper::Error),
    /// The client's request body ended early or stood still.
    #[error("the request body could not be read: {0}")]
    RequestBody(hyper::Error),
    /// It switched protocols though nobody asked.
    #[error("it answered 101 Switching Protocols to a request without Upgrade")]
    UnaskedUpgrade,
    /// Its answer has a transfer coding other than chunked, which nobody asked for.
    #[error("it answered with a transfer coding other than chunked")]
    Coding,
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
}

/// One worker's view of an upstream.
#[derive(Debug)]
pub struct Upstream {
    settings: Rc<Settings>,
    pools: Box<[Rc<Pool>]>,
    turn: Cell<usize>,
    counters: std::sync::Arc<Counters>,
}

impl Upstream {
    /// Without any connection yet.
    pub fn new(settings: &Settings, counters: std::sync::Arc<Counters>) -> Self {
        let settings = Rc::new(settings.clone());
        let pools =
            settings.servers.iter().map(|server| Rc::new(Pool::new(server.clone(), settings.max_idle))).collect();
        Self { settings, pools, turn: Cell::new(0), counters }
    }

    /// Its name in the configuration.
    pub fn name(&self) -> &str {
        &self.settings.name
    }

    /// What it may do with sessions.
    pub fn trust(&self) -> Trust {
        self.settings.trust
    }

    /// How long bodies may stand still.
    pub fn body_timeout(&self) -> Duration {
        self.settings.body_timeout
    }

    /// Sends a request and waits for the head of its answer.
    ///
    /// It is sent again where it was never written, because the connection it was meant for had just been closed. Once
    /// more it is sent where a connection that had been used before broke without a byte of an answer, if it is idempotent
    /// (RFC 9110 section 9.2.2) and has no body: then the server most likely closed the connection as idle.
    pub async fn exchange(&self, request: Request<RequestBody>) -> Result<(Response<Incoming>, Lease), Error> {
        let exchanged = self.try_exchange(request).await;
        if exchanged.is_err() {
            self.counters.failures.increment();
        }
        exchanged
    }

    async fn try_exchange(&self, mut request: Request<RequestBody>) -> Result<(Response<Incoming>, Lease), Error> {
        let mut fresh = Fresh::No;
        loop {
            let mut lease = self.lease(fresh).await?;
            let repeatable = lease.is_reused() && may_be_repeated(&request);
            let progress = request.body().progress();
            let answer = lease.send(request);
            let answer = self.answer(answer, lease.timer(), &progress).await?;
            lease.sends(progress);
            match answer {
                Ok(response) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
                    return Err(Error::UnaskedUpgrade);
                }
                Ok(response) => return Ok((response, lease)),
                Err(mut failed) => {
                    if let Some(unwritten) = failed.take_message().filter(|_| lease.is_reused()) {
                        // Each turn uses up an idle connection, or ends with a fresh one.
                        request = unwritten;
                    } else if let Some(again) = lease.unanswered().filter(|_| repeatable) {
                        (request, fresh) = (again, Fresh::Yes);
                    } else {
                        let error = failed.into_error();
                        return Err(if error.is_user() { Error::RequestBody(error) } else { Error::Exchange(error) });
                    }
                }
            }
        }
    }

    /// Waits for an answer. The time it may take begins anew while the request's body is still on its way.
    async fn answer<T>(
        &self,
        answer: impl Future<Output = T>,
        mut timer: Pin<&mut Sleep>,
        progress: &Progress,
    ) -> Result<T, Error> {
        let timeout = self.settings.response_timeout;
        let mut answer = std::pin::pin!(answer);
        let mut before = progress.pieces();
        timer.as_mut().reset(Instant::now() + timeout);
        poll_fn(|cx| {
            loop {
                if let Poll::Ready(answer) = answer.as_mut().poll(cx) {
                    return Poll::Ready(Ok(answer));
                }
                ready!(timer.as_mut().poll(cx));
                if progress.pieces() == before {
                    return Poll::Ready(Err(Error::ResponseTimeout(timeout)));
                }
                before = progress.pieces();
                timer.as_mut().reset(Instant::now() + timeout);
            }
        })
        .await
    }

    /// A connection to the server whose turn it is, or to the next that can be connected to.
    async fn lease(&self, fresh: Fresh) -> Result<Lease, Error> {
        let first = self.turn.get();
        self.turn.set((first + 1) % self.pools.len());
        let mut failure = None;
        for offset in 0..self.pools.len() {
            let pool = &self.pools[(first + offset) % self.pools.len()];
            if fresh == Fresh::No
                && let Some(lease) = Pool::idle(pool)
            {
                self.counters.reused.increment();
                return Ok(lease);
            }
            match Box::pin(Pool::connect(pool, self.settings.connect_timeout)).await {
                Ok(lease) => {
                    self.counters.connects.increment();
                    return Ok(lease);
                }
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.expect("an upstream has at least one server"))
    }

    /// Closes connections that nobody has used for so long. Called now and then, so that no request reads a clock.
    pub fn tick(&self, since_last: Duration) {
        for pool in &self.pools {
            pool.age(since_last, self.settings.keepalive);
        }
    }
}

/// Whether a connection that was used before will do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fresh {
    No,
    Yes,
}

fn may_be_repeated(request: &Request<RequestBody>) -> bool {
    let idempotent = [Method::GET, Method::HEAD, Method::OPTIONS, Method::PUT, Method::DELETE, Method::TRACE];
    request.body().is_empty() && idempotent.contains(request.method())
}

impl std::fmt::Display for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "http://[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "http://{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}
