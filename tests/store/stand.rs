//! A store to be asked, of either kind, and the words to ask it with.

use std::time::Duration;

use session_gateway::session::lifetime::Limits;
use session_gateway::session::{Edit, Entry, Lifetimes, Patch, Secret, Session, StoreKey, UnixTime};
use session_gateway::store::redis::{Address, Servers, Settings};
use session_gateway::store::{self, EditRules, Edited, Memory, Store, memory, near_cache};

use super::support::Redis;

pub(crate) const NOW: UnixTime = UnixTime(1_800_000_000);
pub(crate) const RULES: EditRules = EditRules { birth: Some(UnixTime(0)), max_data: 1 << 16 };
pub(crate) const NO_BIRTH: EditRules = EditRules { birth: None, max_data: 1 << 16 };

/// So many seconds after the start.
pub(crate) fn at(seconds: u64) -> UnixTime {
    UnixTime(NOW.0 + seconds)
}

/// A store, and what it needs to stand.
pub(crate) struct Stand {
    store: Store,
    redis: Option<Redis>,
    is_quick: bool,
}

impl Stand {
    pub(crate) fn memory() -> Self {
        let settings = memory::Settings { max_sessions: 100, max_bytes: 1 << 20 };
        Self { store: Store::Memory(Memory::new(settings, lifetimes()).into()), redis: None, is_quick: true }
    }

    pub(crate) fn redis() -> Self {
        let redis = Redis::start();
        Self { store: store_at(one(redis.port()), "sgw"), redis: Some(redis), is_quick: false }
    }

    /// A Redis behind a near cache that all workers share.
    pub(crate) fn near_cache() -> Self {
        let redis = Redis::start();
        let near_cache = Some(near_cache::Settings { max_bytes: 1 << 20, max_stale: Duration::from_mins(5) });
        let settings = Settings { near_cache, ..settings(one(redis.port()), "sgw") };
        let store = Store::Redis(store::Redis::new(settings, lifetimes(), None));
        Self { store, redis: Some(redis), is_quick: false }
    }

    /// A part of its own of servers that stand already.
    pub(crate) fn among(servers: &Servers, prefix: &str) -> Self {
        Self { store: store_at(servers.clone(), prefix), redis: None, is_quick: false }
    }

    /// A worker's view, as of one gateway or of another.
    pub(crate) fn worker(&self) -> Store {
        self.store.for_worker()
    }

    pub(crate) fn redis_server(&self) -> &Redis {
        self.redis.as_ref().expect("a Redis")
    }

    /// How often something is done that is much quicker in memory.
    pub(crate) fn rounds(&self, in_memory: usize, in_redis: usize) -> usize {
        if self.is_quick { in_memory } else { in_redis }
    }
}

pub(crate) fn one(port: u16) -> Servers {
    Servers::One(at_port(port))
}

pub(crate) fn at_port(port: u16) -> Address {
    Address { host: "127.0.0.1".to_owned(), port }
}

pub(crate) fn settings(servers: Servers, prefix: &str) -> Settings {
    Settings {
        servers,
        tls: false,
        ca: None,
        user: None,
        password: None,
        database: 0,
        key_prefix: prefix.to_owned(),
        near_cache: None,
        // Many servers run at once here, on few cores.
        timeout: Duration::from_secs(5),
        connect_timeout: Duration::from_secs(5),
    }
}

pub(crate) fn store_at(servers: Servers, prefix: &str) -> Store {
    Store::Redis(store::Redis::new(settings(servers, prefix), lifetimes(), None))
}

pub(crate) fn lifetimes() -> Lifetimes {
    let limits = |idle, lifetime| Limits { idle: Duration::from_secs(idle), lifetime: Duration::from_secs(lifetime) };
    Lifetimes {
        user: limits(1800, 43_200),
        anonymous: limits(86_400, 604_800),
        persistent: limits(2_678_400, 2_678_400),
        renew_after: Duration::from_hours(1),
        touch_after: Duration::from_mins(1),
        tombstone: Duration::from_mins(1),
    }
}

pub(crate) fn key() -> StoreKey {
    Secret::random().store_key()
}

pub(crate) fn patch(json: &str) -> Edit {
    Edit { patch: Some(Patch::parse(json.as_bytes()).expect("a patch")), ..Edit::default() }
}

pub(crate) fn of(user: &str, key: StoreKey, now: UnixTime) -> Session {
    Session { user: Some(user.into()), ..Session::new(key, now) }
}

pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
}

pub(crate) async fn born(store: &Store, key: &StoreKey, now: UnixTime) {
    let born = store.edit(key, &patch(r#"{"a":1}"#), RULES, now).await;
    assert!(matches!(born, Ok(Edited::Born(_))), "{born:?}");
}

pub(crate) async fn live(store: &Store, key: &StoreKey, now: UnixTime) -> Option<Session> {
    match store.load(key, now).await.expect("the store stands") {
        Some(Entry::Live(session)) => Some(Session::clone(&session)),
        _ => None,
    }
}

pub(crate) async fn data(store: &Store, key: &StoreKey, now: UnixTime) -> Option<String> {
    live(store, key, now).await.map(|session| session.data.as_str().to_owned())
}

/// The keys of a user's sessions, in order.
pub(crate) async fn keys_of(store: &Store, user: &str, now: UnixTime) -> Vec<StoreKey> {
    let found = store.by_user(user, now).await.expect("the store stands");
    found.into_iter().map(|(key, _)| key).collect()
}
