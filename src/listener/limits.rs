//! What one client, and all of them together, may take of time and memory.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::proxy::forwarded::Trusted;

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
    /// How long a TLS handshake may take, and a PROXY protocol header before it.
    pub handshake_timeout: Duration,
    /// From which proxies every connection begins with a PROXY protocol header, and none comes from elsewhere.
    pub proxy_protocol: Option<Trusted>,
    /// How long a request head may take, and how long a new connection may take to begin its first.
    pub header_timeout: Duration,
    /// How long a connection may stay without a request between two.
    pub keepalive: Duration,
    /// How long a client may take nothing of a response that waits for it.
    pub write_timeout: Duration,
    /// The most bytes a request head may have.
    pub max_header_size: usize,
    /// The most header lines a request may have.
    pub max_headers: usize,
    /// How many requests a connection may carry.
    pub max_requests: usize,
    /// Whether a client of HTTP/1.1 that has closed its side may still read its answer.
    pub half_close: bool,
    /// How long it is from the signal until a stop begins. Whoever asks is told meanwhile that we are not ready.
    pub drain_delay: Duration,
    /// How long requests in flight may go on after a stop is asked for.
    pub drain_timeout: Duration,
}

/// The limits as `serve` uses them. Made once; the workers' clones share the connection limit.
#[derive(Clone, Debug)]
pub struct Limits {
    /// How long a TLS handshake may take, and a PROXY protocol header before it.
    pub handshake_timeout: Duration,
    /// From which proxies every connection begins with a PROXY protocol header, and none comes from elsewhere.
    pub proxy_protocol: Option<Trusted>,
    /// How long a request head may take, and how long a new connection may take to begin its first, with its handshake.
    /// It is ended at most half a second later.
    pub header_timeout: Duration,
    /// How long a connection may stay without a request between two.
    pub keepalive: Duration,
    /// How long a client may take nothing of a response that waits for it.
    pub write_timeout: Duration,
    /// The most bytes a request head may have.
    pub max_header_size: usize,
    /// The most header lines a request may have.
    pub max_headers: usize,
    /// How many requests a connection may carry; it is closed in order after the last.
    pub max_requests: usize,
    /// Whether a client of HTTP/1.1 that has closed its side may still read its answer.
    pub half_close: bool,
    /// How long requests in flight may go on after a stop is asked for.
    pub drain_timeout: Duration,
    /// How many connections may be open at once, over all workers.
    pub slots: Slots,
}

impl Limits {
    /// The limits of a configuration.
    pub fn new(settings: &Settings) -> Self {
        Self::over(settings, Slots::new(settings.max_connections))
    }

    /// The limits of another configuration, for the same connections.
    #[must_use]
    pub fn changed(&self, settings: &Settings) -> Self {
        self.slots.resize(settings.max_connections);
        Self::over(settings, self.slots.clone())
    }

    fn over(settings: &Settings, slots: Slots) -> Self {
        Self {
            handshake_timeout: settings.handshake_timeout,
            proxy_protocol: settings.proxy_protocol.clone(),
            header_timeout: settings.header_timeout,
            keepalive: settings.keepalive,
            write_timeout: settings.write_timeout,
            max_header_size: settings.max_header_size,
            max_headers: settings.max_headers,
            max_requests: settings.max_requests,
            half_close: settings.half_close,
            drain_timeout: settings.drain_timeout,
            slots,
        }
    }
}

/// Places for open connections, shared by all workers. A semaphore, so that a worker which waits on one thread is woken
/// by a connection that ends on another.
#[derive(Clone, Debug)]
pub struct Slots(Arc<Places>);

#[derive(Debug)]
struct Places {
    free: Arc<Semaphore>,
    /// How many there are, free or taken.
    max: Mutex<usize>,
    /// How many of those that are taken are not to be free again, for there are fewer now.
    surplus: AtomicUsize,
}

/// A place below the connection limit, given back when dropped.
#[derive(Debug)]
pub(super) struct Slot {
    permit: Option<OwnedSemaphorePermit>,
    places: Arc<Places>,
}

impl Slots {
    /// As many places as `max`.
    pub fn new(max: usize) -> Self {
        let max = max.min(Semaphore::MAX_PERMITS);
        let (free, surplus) = (Arc::new(Semaphore::new(max)), AtomicUsize::new(0));
        Self(Arc::new(Places { free, max: Mutex::new(max), surplus }))
    }

    /// From now on, as many as this. Whoever has one keeps it.
    fn resize(&self, to: usize) {
        let to = to.min(Semaphore::MAX_PERMITS);
        let Places { free, max, surplus } = &*self.0;
        let mut max = max.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(fewer) = max.checked_sub(to) {
            surplus.fetch_add(fewer - free.forget_permits(fewer), Ordering::Relaxed);
        }
        for _ in 0..to.saturating_sub(*max) {
            if !self.0.is_surplus() {
                free.add_permits(1);
            }
        }
        *max = to;
    }

    /// A place, if one is free.
    pub(super) fn take(&self) -> Option<Slot> {
        Arc::clone(&self.0.free).try_acquire_owned().ok().map(|permit| self.slot(permit))
    }

    /// A place, as soon as one is free. `None` cannot come: the semaphore is never closed.
    pub(super) async fn wait(&self) -> Option<Slot> {
        Arc::clone(&self.0.free).acquire_owned().await.ok().map(|permit| self.slot(permit))
    }

    fn slot(&self, permit: OwnedSemaphorePermit) -> Slot {
        Slot { permit: Some(permit), places: Arc::clone(&self.0) }
    }
}

impl Places {
    /// Whether there is one too many, which is then one less.
    fn is_surplus(&self) -> bool {
        let less = |surplus: usize| surplus.checked_sub(1);
        self.surplus.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(permit) = self.permit.take()
            && self.places.surplus.load(Ordering::Relaxed) > 0
            && self.places.is_surplus()
        {
            permit.forget();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_that_changes_holds_for_whoever_comes_next() {
        let slots = Slots::new(2);
        let taken = [slots.take(), slots.take()];
        assert!(taken.iter().all(Option::is_some) && slots.take().is_none());
        slots.resize(3);
        let third = slots.take();
        assert!(third.is_some() && slots.take().is_none(), "one more");
        slots.resize(1);
        drop(taken);
        assert!(slots.take().is_none(), "one is left, and it is taken");
        slots.resize(2);
        let fourth = slots.take();
        assert!(fourth.is_some() && slots.take().is_none());
        drop((third, fourth));
        let both = [slots.take(), slots.take()];
        assert!(both.iter().all(Option::is_some) && slots.take().is_none(), "none is lost or made");
    }
}
