//! What the workers of a gateway have in common, and what each has for itself.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;

use super::cluster::Cluster;
use super::connect::{Answer, ConnectError, Question};
use super::failure::Failure;
use super::link::{Link, Target};
use super::script::Scripts;
use super::settings::{Servers, Settings};
use crate::deadline::Deadline;
use crate::metrics::Counter;
use crate::session::Lifetimes;
use crate::store::Error;
use crate::store::near_cache::NearCache;

/// How many servers at once the log may have said to be away.
const MOST_AWAY: usize = 256;

/// What all workers have in common.
pub(super) struct Shared {
    pub(super) settings: Settings,
    pub(super) lifetimes: ArcSwap<Told>,
    pub(super) scripts: Scripts,
    pub(super) tls: Option<TlsConnector>,
    pub(super) near: Option<Arc<NearCache>>,
    /// What each worker has counted.
    loads: Mutex<Vec<Arc<Loads>>>,
    /// Whether the log has said that a server does not tell of changes.
    is_untold: AtomicBool,
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

/// An answer that is waited for.
type Asked<'a> = Pin<Box<dyn Future<Output = Result<Answer, Error>> + Send + 'a>>;

/// How one worker's sessions were found.
#[derive(Debug, Default)]
pub(super) struct Loads {
    pub(super) near: Counter,
    pub(super) far: Counter,
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
    /// How the near cache has been doing, where there is one.
    pub near_cache: Option<NearStats>,
}

/// How the near cache has been doing, over all workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NearStats {
    /// Entries that were asked for and found in it.
    pub hits: u64,
    /// Those that were read from Redis.
    pub misses: u64,
    /// Sessions in it, whether or not they still count.
    pub sessions: u64,
    /// Bytes of them, estimated.
    pub bytes: u64,
}

/// How long sessions live, and how scripts are told it.
pub(super) struct Told {
    pub(super) lifetimes: Arc<Lifetimes>,
    pub(super) spans: String,
}

impl Told {
    fn new(lifetimes: Arc<Lifetimes>) -> Self {
        let limits = [lifetimes.user, lifetimes.anonymous, lifetimes.persistent];
        let spans = limits.iter().flat_map(|limits| [limits.idle, limits.lifetime]).chain([lifetimes.tombstone]);
        let spans = spans.map(|span| span.as_secs().to_string()).collect::<Vec<_>>().join(" ");
        Self { lifetimes, spans }
    }
}

impl Shared {
    pub(super) fn new(settings: Settings, lifetimes: Lifetimes, tls: Option<Arc<ClientConfig>>) -> Self {
        let near = settings.near_cache.map(|settings| Arc::new(NearCache::new(settings, lifetimes.clone())));
        Self {
            settings,
            lifetimes: ArcSwap::from_pointee(Told::new(Arc::new(lifetimes))),
            scripts: Scripts::new(),
            tls: tls.map(TlsConnector::from),
            near,
            loads: Mutex::default(),
            is_untold: AtomicBool::new(false),
            away: Mutex::default(),
            connects: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            unreadable: AtomicU64::new(0),
        }
    }

    /// From now on, sessions live so long.
    pub(super) fn live_by(&self, lifetimes: &Arc<Lifetimes>) {
        if let Some(near) = &self.near {
            near.live_by(Arc::clone(lifetimes));
        }
        self.lifetimes.store(Arc::new(Told::new(Arc::clone(lifetimes))));
    }

    pub(super) fn stats(&self) -> Stats {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let near_cache = self.near.as_ref().map(|near| {
            let loads = lock(&self.loads);
            let sum = |field: fn(&Loads) -> &Counter| loads.iter().map(|of| field(of).get()).sum();
            NearStats {
                hits: sum(|of| &of.near),
                misses: sum(|of| &of.far),
                sessions: near.len() as u64,
                bytes: near.bytes(),
            }
        });
        Stats {
            connects: of(&self.connects),
            failures: of(&self.failures),
            unreadable: of(&self.unreadable),
            near_cache,
        }
    }

    /// One more worker's.
    pub(super) fn loads(&self) -> Arc<Loads> {
        let loads = Arc::<Loads>::default();
        lock(&self.loads).push(Arc::clone(&loads));
        loads
    }

    pub(super) fn count(&self, error: &Error) {
        let counter = if matches!(error, Error::Unreadable(_)) { &self.unreadable } else { &self.failures };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn came_back(&self, server: &Target) {
        self.connects.fetch_add(1, Ordering::Relaxed);
        if lock(&self.away).remove(&server.to_string()) {
            tracing::info!(%server, "the session store can be reached again");
        }
    }

    pub(super) fn went_away(&self, server: &Target, error: &ConnectError) {
        let mut away = lock(&self.away);
        // A cluster may have changed all its addresses many times; to tell of one twice is no harm.
        if away.len() > MOST_AWAY {
            away.clear();
        }
        if away.insert(server.to_string()) {
            tracing::warn!(%server, %error, "the session store cannot be reached; trying again");
        }
    }

    /// A server does not tell of changes, and so nothing that it says is kept.
    pub(super) fn is_not_told(&self, error: &Error) {
        if !self.is_untold.swap(true, Ordering::Relaxed) {
            tracing::warn!(%error, "Redis refuses CLIENT TRACKING: the near cache is not used");
        }
    }
}

/// No step under these locks can panic half way.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// The answer, if it comes in time. Boxed, each by itself: they are large, and every request would have room for
    /// both, those that need no Redis too.
    pub(super) fn ask<'a>(&'a self, question: Question<'a>, deadline: Deadline) -> Asked<'a> {
        match self {
            Self::Link(link) => {
                Box::pin(async move { link.ask(question, deadline).await.map_err(Failure::into_error) })
            }
            Self::Cluster(cluster) => {
                Box::pin(async move { cluster.ask(question, deadline).await.map_err(Failure::into_error) })
            }
        }
    }
}
