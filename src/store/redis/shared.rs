//! What the workers of a gateway have in common, and what each has for itself.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redis::Value;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;

use super::cluster::Cluster;
use super::connect::{ConnectError, Question};
use super::failure::Failure;
use super::link::{Link, Target};
use super::script::Scripts;
use super::settings::{Servers, Settings};
use crate::session::Lifetimes;
use crate::store::Error;

/// How many servers at once the log may have said to be away.
const MOST_AWAY: usize = 256;

/// What all workers have in common.
pub(super) struct Shared {
    pub(super) settings: Settings,
    pub(super) lifetimes: Lifetimes,
    /// The lifetimes as scripts are told them.
    pub(super) spans: String,
    pub(super) scripts: Scripts,
    pub(super) tls: Option<TlsConnector>,
    /// The servers of which the log has said that they cannot be reached.
    away: Mutex<BTreeSet<String>>,
    connects: AtomicU64,
    failures: AtomicU64,
    unreadable: AtomicU64,
}

/// How one worker asks.
#[derive(Clone)]
pub(super) enum Way {
    Link(Arc<Link>),
    Cluster(Arc<Cluster>),
}

/// How it has been doing, over all workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Connections made.
    pub connects: u64,
    /// Questions that were not answered.
    pub failures: u64,
    /// Records found that could not be read.
    pub unreadable: u64,
}

impl Shared {
    pub(super) fn new(settings: Settings, lifetimes: Lifetimes, tls: Option<Arc<ClientConfig>>) -> Self {
        let limits = [lifetimes.user, lifetimes.anonymous, lifetimes.persistent];
        let spans = limits.iter().flat_map(|limits| [limits.idle, limits.lifetime]).chain([lifetimes.tombstone]);
        let spans = spans.map(|span| span.as_secs().to_string()).collect::<Vec<_>>().join(" ");
        Self {
            settings,
            lifetimes,
            spans,
            scripts: Scripts::new(),
            tls: tls.map(TlsConnector::from),
            away: Mutex::default(),
            connects: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            unreadable: AtomicU64::new(0),
        }
    }

    pub(super) fn stats(&self) -> Stats {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats { connects: of(&self.connects), failures: of(&self.failures), unreadable: of(&self.unreadable) }
    }

    pub(super) fn count(&self, error: &Error) {
        let counter = if matches!(error, Error::Unreadable(_)) { &self.unreadable } else { &self.failures };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn came_back(&self, server: &Target) {
        self.connects.fetch_add(1, Ordering::Relaxed);
        if self.away().remove(&server.to_string()) {
            tracing::info!(%server, "the session store can be reached again");
        }
    }

    pub(super) fn went_away(&self, server: &Target, error: &ConnectError) {
        let mut away = self.away();
        // A cluster may have changed all its addresses many times; to tell of one twice is no harm.
        if away.len() > MOST_AWAY {
            away.clear();
        }
        if away.insert(server.to_string()) {
            tracing::warn!(%server, %error, "the session store cannot be reached; trying again");
        }
    }

    fn away(&self) -> MutexGuard<'_, BTreeSet<String>> {
        // No step under it can panic half way.
        self.away.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Way {
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        let link = |target| Self::Link(Link::new(target, Arc::clone(shared)));
        match &shared.settings.servers {
            Servers::One(address) => link(Target::Server(address.clone())),
            Servers::Sentinels { sentinels, master } => {
                link(Target::Master { sentinels: sentinels.clone(), name: master.clone() })
            }
            Servers::Cluster(seeds) => Self::Cluster(Cluster::new(seeds.clone(), Arc::clone(shared))),
        }
    }

    /// The answer, if it comes in time.
    pub(super) async fn ask(&self, question: Question<'_>, deadline: Instant) -> Result<Value, Error> {
        let answer = match self {
            Self::Link(link) => link.ask(question, deadline).await,
            Self::Cluster(cluster) => cluster.ask(question, deadline).await,
        };
        answer.map_err(Failure::into_error)
    }
}
