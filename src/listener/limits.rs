//! What one client, and all of them together, may take of time and memory.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Where to listen, and how much of a connection's time and memory a client may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Address for clear text.
    pub http: Option<SocketAddr>,
    /// Address for TLS.
    pub https: Option<SocketAddr>,
    /// Whether the clear-text address only answers 308 to https. Never true without `https`.
    pub redirect: bool,
    /// How many workers; each has its own runtime and listener.
    pub workers: usize,
    /// How many connections may be open at once, over all workers.
    pub max_connections: usize,
    /// How long a TLS handshake may take.
    pub handshake_timeout: Duration,
    /// How long a request head may take, and how long a connection may stay without a request.
    pub header_timeout: Duration,
    /// The most bytes a request head may have.
    pub max_header_size: usize,
    /// The most header lines a request may have.
    pub max_headers: usize,
    /// How many requests a connection may carry.
    pub max_requests: usize,
    /// How long requests in flight may go on after a stop is asked for.
    pub drain_timeout: Duration,
}

/// The limits as `serve` uses them. Made once; the workers' clones share the connection limit.
#[derive(Clone, Debug)]
pub struct Limits {
    /// How long a TLS handshake may take.
    pub handshake_timeout: Duration,
    /// How long a request head may take, and how long a connection may stay without a request. An idle connection is
    /// closed at most a quarter later, one that does not close by itself another quarter after that.
    pub header_timeout: Duration,
    /// How long a client may take nothing of a response that waits for it.
    pub write_timeout: Duration,
    /// The most bytes a request head may have.
    pub max_header_size: usize,
    /// The most header lines a request may have.
    pub max_headers: usize,
    /// How many requests a connection may carry; it is closed in order after the last.
    pub max_requests: usize,
    /// How long requests in flight may go on after a stop is asked for.
    pub drain_timeout: Duration,
    /// How many connections may be open at once, over all workers.
    pub slots: Slots,
}

/// As nginx's `send_timeout`.
const WRITE_TIMEOUT: Duration = Duration::from_mins(1);

impl Limits {
    /// The limits of a configuration.
    pub fn new(settings: &Settings) -> Self {
        Self {
            handshake_timeout: settings.handshake_timeout,
            header_timeout: settings.header_timeout,
            write_timeout: WRITE_TIMEOUT,
            max_header_size: settings.max_header_size,
            max_headers: settings.max_headers,
            max_requests: settings.max_requests,
            drain_timeout: settings.drain_timeout,
            slots: Slots::new(settings.max_connections),
        }
    }
}

/// Places for open connections, shared by all workers. A semaphore, so that a worker which waits on one thread is woken
/// by a connection that ends on another.
#[derive(Clone, Debug)]
pub struct Slots(Arc<Semaphore>);

impl Slots {
    /// As many places as `max`.
    pub fn new(max: usize) -> Self {
        Self(Arc::new(Semaphore::new(max.min(Semaphore::MAX_PERMITS))))
    }

    /// A place, if one is free.
    pub(super) fn take(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0).try_acquire_owned().ok()
    }

    /// A place, as soon as one is free. `None` cannot come: the semaphore is never closed.
    pub(super) async fn wait(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0).acquire_owned().await.ok()
    }
}
