//! What the file does not have yet: keys, not versions, so that it is bounded however long the disk takes.
//!
//! A request that changes an entry leaves its key here, under the entry's lock. The writer takes all keys at one moment
//! and then reads their entries at its leisure; an entry that changes before it was read is kept as it was at that
//! moment. So what the writer sees is the memory of one moment, and no lock is held for longer than it takes to look.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::sync::{Mutex, MutexGuard, PoisonError};

use foldhash::fast::RandomState;

use crate::session::{Entry, StoreKey};

/// Enough that workers rarely meet here.
const SHARDS: usize = 64;
/// Keys of a shard for which room is kept however few there are.
const KEPT: usize = 64;

/// Keys whose entries the file does not have as they are.
///
/// Every key that the file has is in the memory or in here, and no other key is for longer than it is in the memory.
#[derive(Debug)]
pub(in crate::store) struct Backlog {
    shards: [Mutex<Shard>; SHARDS],
}

#[derive(Debug, Default)]
struct Shard {
    /// What changed since the last moment that was taken.
    changed: Keys<Mark>,
    /// What is being written: changed before that moment.
    taken: Keys<Mark>,
    /// What was there at that moment, where it has changed again before it was read.
    was: Keys<Option<Entry>>,
}

type Keys<T> = HashMap<StoreKey, T, RandomState>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    /// The file has never heard of it: should it go before it is taken, there is nothing to write.
    Born,
    /// The file may have it as it was before.
    Changed,
    /// It was taken, and has been read, or stands in what was.
    Read,
}

impl Default for Backlog {
    fn default() -> Self {
        Self { shards: std::array::from_fn(|_| Mutex::default()) }
    }
}

impl Backlog {
    /// What is under `key` becomes other than `before`; `stays` says whether there is anything then. The entry is
    /// locked.
    pub(in crate::store) fn change(&self, key: &StoreKey, before: Option<&Entry>, stays: bool) {
        let mut shard = self.shard(key);
        let Shard { changed, taken, was } = &mut *shard;
        let mark = if taken.is_empty() { None } else { taken.get_mut(key) };
        let known = mark.is_some() || before.is_some();
        if let Some(mark @ (Mark::Born | Mark::Changed)) = mark {
            *mark = Mark::Read;
            was.insert(*key, before.cloned());
        }
        match changed.entry(*key) {
            Slot::Vacant(slot) => drop(slot.insert(if known { Mark::Changed } else { Mark::Born })),
            Slot::Occupied(slot) if !stays && *slot.get() == Mark::Born => drop(slot.remove()),
            Slot::Occupied(_) => {}
        }
    }

    /// `key` is to be written once more although nothing has changed under it, or removed from the file.
    pub(in crate::store) fn add(&self, key: &StoreKey) {
        self.shard(key).changed.entry(*key).or_insert(Mark::Changed);
    }

    /// Whether a key waits to be written.
    pub(super) fn contains(&self, key: &StoreKey) -> bool {
        self.shard(key).changed.contains_key(key)
    }

    /// How many keys wait to be written, those being written included.
    pub(in crate::store) fn len(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard)).map(|shard| shard.changed.len() + shard.taken.len()).sum()
    }

    /// Fixes the moment: what has changed so far is taken, all of it at once. What was taken before is done.
    pub(in crate::store) fn take(&self) {
        let mut shards: Vec<MutexGuard<'_, Shard>> = self.shards.iter().map(lock).collect();
        for shard in &mut shards {
            let Shard { changed, taken, .. } = &mut **shard;
            std::mem::swap(changed, taken);
        }
    }

    /// The keys that were taken, some at a time.
    pub(super) fn taken(&self) -> impl Iterator<Item = Vec<StoreKey>> {
        self.shards.iter().map(|shard| lock(shard).taken.keys().copied().collect())
    }

    /// What was under a taken key at that moment, where there is `now` this.
    pub(super) fn as_taken(&self, key: &StoreKey, now: Option<Entry>) -> Option<Entry> {
        let mut shard = self.shard(key);
        match shard.taken.insert(*key, Mark::Read) {
            Some(Mark::Read) => shard.was.remove(key).unwrap_or(now),
            _ => now,
        }
    }

    /// What was taken is in the file.
    pub(super) fn written(&self) {
        for shard in &self.shards {
            let Shard { taken, was, .. } = &mut *lock(shard);
            let enough = KEPT.max(4 * taken.len());
            taken.clear();
            // Room for the next turn, which is as busy as this one, and not for the busiest that there ever was.
            taken.shrink_to(enough);
            was.clear();
            was.shrink_to(KEPT);
        }
    }

    /// What was taken may be in the file or not: it is to be written again.
    pub(super) fn unwritten(&self) {
        for shard in &self.shards {
            let Shard { changed, taken, was } = &mut *lock(shard);
            changed.extend(taken.drain().map(|(key, _)| (key, Mark::Changed)));
            was.clear();
        }
    }

    /// Keys are hashes: their first byte is as good as any.
    fn shard(&self, key: &StoreKey) -> MutexGuard<'_, Shard> {
        lock(&self.shards[usize::from(key.as_bytes()[0]) % SHARDS])
    }
}

/// No step under these locks can panic half way, so a poisoned one is as good as any.
fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::UnixTime;

    const KEY: [u8; 16] = [7; 16];

    fn ended(at: u64) -> Entry {
        Entry::Ended { until: UnixTime(at) }
    }

    fn until(entry: Option<&Entry>) -> Option<u64> {
        entry.map(|entry| match entry {
            Entry::Ended { until } => until.0,
            other => panic!("{other:?}"),
        })
    }

    fn taken(backlog: &Backlog) -> Vec<StoreKey> {
        backlog.taken().flatten().collect()
    }

    #[test]
    fn a_key_waits_once_however_often_it_changes() {
        let (backlog, key) = (Backlog::default(), StoreKey::from(KEY));
        for at in 1..10 {
            backlog.change(&key, Some(&ended(at)), true);
        }
        assert_eq!(backlog.len(), 1);
        backlog.take();
        assert_eq!(taken(&backlog), [key]);
    }

    #[test]
    fn what_came_and_went_unwritten_leaves_nothing() {
        let (backlog, key) = (Backlog::default(), StoreKey::from(KEY));
        backlog.change(&key, None, true);
        backlog.change(&key, Some(&ended(1)), true);
        backlog.change(&key, Some(&ended(2)), false);
        assert_eq!(backlog.len(), 0);
        // The file has this one: that it went must be written.
        backlog.change(&key, Some(&ended(3)), true);
        backlog.change(&key, Some(&ended(4)), false);
        assert_eq!(backlog.len(), 1);
    }

    #[test]
    fn what_came_and_went_while_it_was_being_written_is_written_away() {
        let (backlog, key) = (Backlog::default(), StoreKey::from(KEY));
        backlog.change(&key, None, true);
        backlog.take();
        backlog.change(&key, Some(&ended(1)), false);
        assert_eq!(until(backlog.as_taken(&key, None).as_ref()), Some(1), "it was there when it was taken");
        backlog.change(&key, None, true);
        backlog.change(&key, Some(&ended(2)), false);
        backlog.written();
        assert_eq!(backlog.len(), 1, "the file has it now, and it is gone");
    }

    #[test]
    fn the_writer_sees_the_moment_that_it_took() {
        let (backlog, key) = (Backlog::default(), StoreKey::from(KEY));
        backlog.change(&key, Some(&ended(1)), true);
        backlog.take();
        backlog.change(&key, Some(&ended(2)), true);
        backlog.change(&key, Some(&ended(3)), true);
        assert_eq!(until(backlog.as_taken(&key, Some(ended(4))).as_ref()), Some(2));
        backlog.change(&key, Some(&ended(4)), true);
        assert_eq!(until(backlog.as_taken(&key, Some(ended(5))).as_ref()), Some(5), "once read, it is not kept again");
        backlog.written();
        backlog.take();
        assert_eq!(taken(&backlog), [key]);
        assert_eq!(until(backlog.as_taken(&key, Some(ended(5))).as_ref()), Some(5));
    }

    #[test]
    fn what_could_not_be_written_waits_for_the_next_turn() {
        let (backlog, key, other) = (Backlog::default(), StoreKey::from(KEY), StoreKey::from([8; 16]));
        backlog.change(&key, None, true);
        backlog.take();
        backlog.change(&other, None, true);
        backlog.unwritten();
        assert_eq!(backlog.len(), 2);
        backlog.change(&key, Some(&ended(1)), false);
        assert_eq!(backlog.len(), 2, "the file may have it");
        backlog.change(&other, Some(&ended(1)), false);
        assert_eq!(backlog.len(), 1, "the file cannot have it");
    }
}
