//! Ways to find sessions other than by key. Each is a leaf in the order of locks: nothing is locked under it.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::BuildHasher;
use std::sync::{Mutex, MutexGuard, PoisonError};

use foldhash::fast::RandomState;

use crate::session::{PublicId, Session, StoreKey, UnixTime};

/// Enough that logins on many cores rarely meet.
const USER_SHARDS: usize = 64;

/// Every index of the memory store.
pub(super) struct Indexes {
    hasher: RandomState,
    /// Hash of the user, then key: a set of pairs takes a third of what a map to lists would.
    users: [Mutex<BTreeSet<(u64, StoreKey)>>; USER_SHARDS],
    /// Sessions whose key is no longer the one their id tells.
    renewed: Mutex<BTreeMap<PublicId, StoreKey>>,
    /// Sessions without a user, the longest idle first.
    evictable: Mutex<BTreeSet<(UnixTime, StoreKey)>>,
}

impl Default for Indexes {
    fn default() -> Self {
        Self {
            hasher: RandomState::default(),
            users: [const { Mutex::new(BTreeSet::new()) }; USER_SHARDS],
            renewed: Mutex::default(),
            evictable: Mutex::default(),
        }
    }
}

impl Indexes {
    /// A session under `key` has become another, has come or has gone.
    pub(super) fn account(&self, key: &StoreKey, before: Option<&Session>, after: Option<&Session>) {
        let user = |session: Option<&Session>| session.and_then(|session| session.user.clone());
        if user(before) != user(after) {
            if let Some(user) = user(before) {
                let hash = self.hash(&user);
                self.shard(hash).remove(&(hash, *key));
            }
            if let Some(user) = user(after) {
                let hash = self.hash(&user);
                self.shard(hash).insert((hash, *key));
            }
        }
        let idle = |session: Option<&Session>| session.filter(|session| session.user.is_none()).map(|s| s.last_seen);
        if idle(before) != idle(after) {
            let mut evictable = lock(&self.evictable);
            if let Some(seen) = idle(before) {
                evictable.remove(&(seen, *key));
            }
            if let Some(seen) = idle(after) {
                evictable.insert((seen, *key));
            }
        }
        let moved = |session: Option<&Session>| session.map(|session| session.id).filter(|id| id.first_key() != *key);
        if moved(before) != moved(after) {
            let mut renewed = lock(&self.renewed);
            if let Some(id) = moved(before)
                && renewed.get(&id) == Some(key)
            {
                renewed.remove(&id);
            }
            if let Some(id) = moved(after) {
                renewed.insert(id, *key);
            }
        }
    }

    /// A session was to move from `key` and did not: its id leads here again.
    pub(super) fn restore(&self, key: &StoreKey, session: &Session) {
        if session.id.first_key() != *key {
            lock(&self.renewed).insert(session.id, *key);
        }
    }

    /// Keys of a user's sessions; some may be another's with the same hash.
    pub(super) fn user(&self, user: &str) -> Vec<StoreKey> {
        let hash = self.hash(user);
        let from = (hash, StoreKey::FIRST);
        self.shard(hash).range(from..).take_while(|(of, _)| *of == hash).map(|(_, key)| *key).collect()
    }

    /// Where renewal moved the session with this id.
    pub(super) fn renewed(&self, id: &PublicId) -> Option<StoreKey> {
        lock(&self.renewed).get(id).copied()
    }

    /// The session without a user that nobody has asked for the longest.
    pub(super) fn longest_idle(&self) -> Option<(UnixTime, StoreKey)> {
        lock(&self.evictable).first().copied()
    }

    fn hash(&self, user: &str) -> u64 {
        self.hasher.hash_one(user)
    }

    fn shard(&self, hash: u64) -> MutexGuard<'_, BTreeSet<(u64, StoreKey)>> {
        let shard = usize::try_from(hash % USER_SHARDS as u64).expect("smaller than the number of shards");
        lock(&self.users[shard])
    }
}

/// No step under these locks can panic half way, so a poisoned one is as good as any.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl std::fmt::Debug for Indexes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Indexes(..)")
    }
}
