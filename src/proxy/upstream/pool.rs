//! One worker's connections to one server.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use tokio::task::coop::unconstrained;

use super::connection::Connection;
use super::sending::SendError;
use super::{Error, Place, Server, Settings, Shared};
use crate::proxy::headers::{Asked, Names};

#[derive(Debug)]
pub(super) struct Pool {
    server: Server,
    /// Which of the upstream's it is.
    pub(super) index: usize,
    shared: Arc<Shared>,
    names: Rc<Names>,
    idle: RefCell<Vec<Idle>>,
    max_idle: usize,
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
        let (server, max_idle) = (settings.servers[index].clone(), settings.max_idle);
        Self { server, index, shared, names, idle: RefCell::default(), max_idle, age: Cell::new(0) }
    }

    pub(super) fn names(&self) -> &Names {
        &self.names
    }

    /// The connection used last, for it is the least likely to be closed on us.
    pub(super) fn idle(pool: &Rc<Self>) -> Option<Lease> {
        loop {
            let Idle { mut connection, .. } = pool.idle.borrow_mut().pop()?;
            if connection.is_quiet() {
                return Some(Lease { connection, reused: true, pool: Rc::clone(pool), place: None });
            }
        }
    }

    pub(super) async fn connect(pool: &Rc<Self>, timeout: Duration) -> Result<Lease, Error> {
        let server = &pool.server;
        let opening = Connection::open(server, pool.shared.tls.as_ref());
        let connection = match tokio::time::timeout(timeout, opening).await {
            Ok(Ok(connection)) => Box::new(connection),
            Ok(Err(source)) => return Err(Error::Connect { server: server.to_string(), source }),
            Err(_) => return Err(Error::ConnectTimeout { server: server.to_string(), timeout }),
        };
        Ok(Lease { connection, reused: false, pool: Rc::clone(pool), place: None })
    }

    /// Closes what has been idle for too long, and what the server has closed.
    pub(super) fn age(&self, by: Duration, limit: Duration) {
        let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        let now = self.age.get().saturating_add(millis(by));
        self.age.set(now);
        let oldest = now.saturating_sub(millis(limit));
        self.idle.borrow_mut().retain_mut(|idle| idle.since >= oldest && idle.connection.is_quiet());
    }
}

/// A connection in use. It goes back to the pool by [`Lease::release`]; dropped before, it is closed, and the server
/// learns that nobody waits for its answer.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) connection: Box<Connection>,
    pub(super) pool: Rc<Pool>,
    /// Whether the connection had been used before.
    pub(super) reused: bool,
    /// Among the exchanges that its server may have, where they are counted.
    pub(super) place: Option<Place>,
}

/// An exchange that failed.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) error: Error,
    /// Whether the connection ended before a byte of an answer.
    pub(super) unanswered: bool,
}

impl Lease {
    /// Sends the connection's request, and waits for the head of its answer, which may come before all of the request is
    /// sent. The time it may take begins anew while the request's body is still on its way; a body that stands still has a
    /// timeout of its own.
    pub(super) async fn exchange(&mut self, asked: Asked, timeout: Duration) -> Result<(), Failed> {
        let Self { connection, pool, .. } = self;
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
                match connection.read_head(asked, pool.names()) {
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
                        return Poll::Ready(Err(Failed { error, unanswered }));
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

    /// The answer has come whole: the connection may serve another request, unless the server answered before it had taken in
    /// this one. Then it is closed, rather than be kept busy by an upload that nobody wants.
    pub(super) fn release(self) {
        let Self { mut connection, pool, .. } = self;
        let mut idle = pool.idle.borrow_mut();
        // What is there beyond the answer belongs to no request (RFC 9112 section 9.3): no further one is risked.
        let quiet = connection.input.is_empty() && connection.sending.is_whole();
        if connection.head.keeps && quiet && idle.len() < pool.max_idle {
            connection.rest();
            idle.push(Idle { connection, since: pool.age.get() });
        }
    }
}

fn failed(error: Error) -> Poll<Result<(), Failed>> {
    Poll::Ready(Err(Failed { error, unanswered: false }))
}
