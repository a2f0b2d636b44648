//! One worker's connections to one server.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, ready};
use std::time::Duration;

use tokio::time::Instant;

use super::answer::{self, Head, Place};
use super::connection::Connection;
use super::sending::{SendError, Sending};
use super::{Error, Server};
use crate::proxy::headers::Names;

#[derive(Debug)]
pub(super) struct Pool {
    server: Server,
    names: Rc<Names>,
    idle: RefCell<Vec<Idle>>,
    max_idle: usize,
    /// Time as this pool knows it: how often it was aged, in milliseconds.
    age: Cell<u64>,
    /// Where headers stand in the head that is being read; kept for the next one.
    places: RefCell<Vec<Place>>,
}

#[derive(Debug)]
struct Idle {
    connection: Box<Connection>,
    since: u64,
}

impl Pool {
    pub(super) fn new(server: Server, max_idle: usize, names: Rc<Names>) -> Self {
        let (idle, places) = (RefCell::default(), RefCell::default());
        Self { server, names, idle, max_idle, age: Cell::new(0), places }
    }

    /// The connection used last, for it is the least likely to be closed on us.
    pub(super) fn idle(pool: &Rc<Self>) -> Option<Lease> {
        loop {
            let Idle { connection, .. } = pool.idle.borrow_mut().pop()?;
            if connection.is_quiet() {
                return Some(Lease { connection, reused: true, keeps: false, pool: Rc::clone(pool) });
            }
        }
    }

    pub(super) async fn connect(pool: &Rc<Self>, timeout: Duration) -> Result<Lease, Error> {
        let server = &pool.server;
        let connection = match tokio::time::timeout(timeout, Connection::open(server)).await {
            Ok(Ok(connection)) => Box::new(connection),
            Ok(Err(source)) => return Err(Error::Connect { server: server.to_string(), source }),
            Err(_) => return Err(Error::ConnectTimeout { server: server.to_string(), timeout }),
        };
        Ok(Lease { connection, reused: false, keeps: false, pool: Rc::clone(pool) })
    }

    /// Closes what has been idle for too long, and what the server has closed.
    pub(super) fn age(&self, by: Duration, limit: Duration) {
        let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        let now = self.age.get().saturating_add(millis(by));
        self.age.set(now);
        let oldest = now.saturating_sub(millis(limit));
        self.idle.borrow_mut().retain(|idle| idle.since >= oldest && idle.connection.is_quiet());
    }
}

/// A connection in use. It goes back to the pool by [`Lease::release`]; dropped before, it is closed, and the server
/// learns that nobody waits for its answer.
#[derive(Debug)]
pub(super) struct Lease {
    connection: Box<Connection>,
    reused: bool,
    /// Whether the connection may serve another request after this one.
    keeps: bool,
    pool: Rc<Pool>,
}

/// An exchange that failed, and whether the server had begun to answer.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) error: Error,
    pub(super) unanswered: bool,
}

impl Lease {
    /// Sends a request, and waits for the head of its answer, which may come before all of the request is sent. The time it
    /// may take begins anew while the request's body is still on its way.
    pub(super) async fn exchange(
        &mut self,
        sending: &mut Sending,
        to_head: bool,
        timeout: Duration,
    ) -> Result<Head, Failed> {
        let Self { connection, pool, keeps, .. } = self;
        let connection = &mut **connection;
        connection.timer.as_mut().reset(Instant::now() + timeout);
        let (mut before, mut refused, mut unanswered) = (0, None, true);
        poll_fn(|cx| {
            if refused.is_none() && !sending.is_whole() {
                match sending.poll(cx, connection) {
                    Poll::Ready(Err(SendError::Body(error))) => {
                        return Poll::Ready(Err(Failed { error: Error::RequestBody(error), unanswered: false }));
                    }
                    // A server that takes no more may have said why.
                    Poll::Ready(Err(SendError::Server(error))) => refused = Some(error),
                    Poll::Ready(Ok(())) | Poll::Pending => {}
                }
            }
            loop {
                let read = answer::read(&mut connection.input, to_head, &pool.names, &mut pool.places.borrow_mut());
                let failed = |error| Failed { error, unanswered: false };
                if let Some(head) = read.map_err(|error| failed(Error::Malformed(error)))? {
                    *keeps = head.keeps && refused.is_none();
                    return Poll::Ready(Ok(head));
                }
                let come = match connection.poll_read(cx) {
                    Poll::Ready(come) => come,
                    Poll::Pending => break,
                };
                if matches!(come, Ok(1..)) {
                    unanswered = false;
                } else {
                    let broken = refused.take().or(come.err());
                    let error = broken.map_or(Error::Closed, Error::Broken);
                    return Poll::Ready(Err(Failed { error, unanswered }));
                }
            }
            loop {
                ready!(connection.timer.as_mut().poll(cx));
                if sending.pieces() == before {
                    let error = Error::ResponseTimeout(timeout);
                    return Poll::Ready(Err(Failed { error, unanswered: false }));
                }
                before = sending.pieces();
                connection.timer.as_mut().reset(Instant::now() + timeout);
            }
        })
        .await
    }

    pub(super) fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }

    pub(super) fn names(&self) -> &Names {
        &self.pool.names
    }

    /// Whether the connection had been used before.
    pub(super) fn is_reused(&self) -> bool {
        self.reused
    }

    /// Gives up the connection after this exchange unless it `may` be kept.
    pub(super) fn keep_if(&mut self, may: bool) {
        self.keeps &= may;
    }

    /// The answer was taken in whole: the connection may serve another request.
    pub(super) fn release(self) {
        let Self { mut connection, keeps, pool, .. } = self;
        let mut idle = pool.idle.borrow_mut();
        // What is there beyond the answer belongs to no request (RFC 9112 section 9.3): no further one is risked.
        if keeps && connection.input.is_empty() && idle.len() < pool.max_idle {
            connection.rest();
            idle.push(Idle { connection, since: pool.age.get() });
        }
    }
}
