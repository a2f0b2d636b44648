//! What all workers share of an upstream.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;
use tokio_rustls::TlsConnector;

use super::standing::Standing;
use super::{Balance, Server, Settings};

/// What all workers share of an upstream: how TLS is spoken to its servers, so that a TLS session begun by one worker
/// is resumed by any other; and how each of its servers stands.
pub struct Shared {
    pub(super) tls: Option<TlsConnector>,
    pub(super) standings: Box<[Arc<Standing>]>,
    /// How many exchanges one server may have, where that is limited.
    limit: usize,
    /// Whether exchanges are counted at all: it costs a write that all workers contend for.
    counts: bool,
    pub(super) queue: Arc<Queue>,
}

/// Exchanges that wait for a place.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// How many.
    pub(super) waiting: AtomicUsize,
    /// What they wait for.
    pub(super) freed: Notify,
}

impl Shared {
    /// With what speaks TLS, which must be there if any of its servers does. A server that was there `before` stands as
    /// it stood, with the exchanges that it still has.
    pub fn new(settings: &Settings, tls: Option<TlsConnector>, before: Option<&Self>) -> Self {
        let known = |server: &Server| before?.standings.iter().find(|of| of.server() == server.to_string()).cloned();
        let fresh = |server: &Server| Arc::new(Standing::new(&settings.name, server));
        let stands = |server: &Server| known(server).unwrap_or_else(|| fresh(server));
        let standings: Box<[_]> = settings.servers.iter().map(stands).collect();
        let queue = before.map(|before| Arc::clone(&before.queue)).unwrap_or_default();
        let counts = settings.max_connections.is_some() || settings.balance == Balance::LeastConnections;
        let limit = settings.max_connections.unwrap_or(usize::MAX);
        let shared = Self { tls, standings, limit, counts, queue };
        if settings.health.is_none() {
            shared.are_not_asked();
        }
        shared
    }

    /// Nobody asks its servers whether they are well: none of them is taken for ill.
    pub fn are_not_asked(&self) {
        self.standings.iter().for_each(|of| of.is_not_asked());
    }

    /// Each server, in the order of the settings, and whether requests go to it.
    pub fn servers(&self) -> impl Iterator<Item = (&str, bool)> {
        self.standings.iter().map(|of| (of.server(), of.is_healthy() && !of.is_passed_over()))
    }

    /// Whether one of the servers that are well has a place.
    pub(super) fn has_room(&self) -> bool {
        self.standings.iter().any(|of| of.is_healthy() && of.under_way.load(Ordering::SeqCst) < self.limit)
    }

    /// A place for one more exchange on this server.
    pub(super) fn place(shared: &Arc<Self>, index: usize) -> Result<Option<Place>, Full> {
        if !shared.counts {
            return Ok(None);
        }
        let more = |places: usize| (places < shared.limit).then_some(places + 1);
        let taken = shared.standings[index].under_way.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more);
        taken.map(|_| Some(Place { shared: Arc::clone(shared), index })).map_err(|_| Full)
    }
}

/// A server has all the exchanges that it may have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Full;

/// One exchange of those that a server may have; given back when dropped.
pub struct Place {
    shared: Arc<Shared>,
    index: usize,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.standings[self.index].under_way.fetch_sub(1, Ordering::SeqCst);
        if self.shared.queue.waiting.load(Ordering::SeqCst) > 0 {
            self.shared.queue.freed.notify_one();
        }
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("standings", &self.standings).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Place").field("index", &self.index).finish_non_exhaustive()
    }
}
