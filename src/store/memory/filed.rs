//! The memory of which a file is kept: what it tells of its changes, and how it is filled again.

use std::sync::PoisonError;

use dashmap::mapref::entry::Entry as Slot;

use super::{Memory, Settings};
use crate::session::{Entry, Lifetimes, StoreKey, UnixTime};
use crate::store::SESSION_BYTES;
use crate::store::file::{Backlog, Progress, RECORD_BYTES, Stats};

/// What connects a memory with its file.
#[derive(Debug, Default)]
pub(in crate::store) struct Filed {
    /// What is still to be written.
    pub(in crate::store) backlog: Backlog,
    /// How writing goes.
    pub(in crate::store) progress: Progress,
}

/// What became of an entry that was read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Recalled {
    /// It is there again.
    Kept,
    /// Its time was up.
    Expired,
    /// There is no room for it.
    Dropped,
}

impl Memory {
    /// An empty store of which a file is kept.
    pub(in crate::store) fn with_file(settings: Settings, lifetimes: Lifetimes) -> Self {
        Self { filed: Some(Filed::default()), ..Self::new(settings, lifetimes) }
    }

    /// How its file is kept, where there is one.
    pub fn file_stats(&self) -> Option<Stats> {
        self.filed.as_ref().map(Filed::stats)
    }

    /// What connects it with its file, where there is one.
    pub(in crate::store) fn filed(&self) -> Option<&Filed> {
        self.filed.as_ref()
    }

    /// Fixes the moment that is written next. No step over two keys is half done in it.
    pub(in crate::store) fn take(&self, filed: &Filed) {
        let _alone = self.moves.lock().unwrap_or_else(PoisonError::into_inner);
        filed.backlog.take();
    }

    /// What stands under a key, expired or not.
    pub(in crate::store) fn entry(&self, key: &StoreKey) -> Option<Entry> {
        self.map.get(key).map(|entry| entry.clone())
    }

    /// Every key, for a file that has none.
    pub(in crate::store) fn add_everything(&self, filed: &Filed) {
        for entry in &self.map {
            filed.backlog.add(entry.key());
        }
    }

    /// About what a file of all entries takes.
    pub(in crate::store) fn file_bytes(&self) -> u64 {
        let stats = self.stats();
        let entries = (stats.entries * RECORD_BYTES) as u64;
        (stats.bytes + entries).saturating_sub((stats.live * SESSION_BYTES) as u64)
    }

    /// An entry comes back from the file. The bounds hold: what goes is what would have been evicted.
    pub(in crate::store) fn recall(&self, key: &StoreKey, entry: Entry, now: UnixTime) -> Recalled {
        if entry.at(now, &self.lifetimes.load()).is_none() {
            return Recalled::Expired;
        }
        // First in, and then the longest idle out, which may be this one.
        let room = matches!(entry, Entry::Live(_)).then(|| self.squeeze());
        self.place(self.map.entry(*key), entry, room);
        while self.is_over() {
            if self.evict().is_err() {
                if let Slot::Occupied(slot) = self.map.entry(*key) {
                    self.vacate(slot);
                }
                return Recalled::Dropped;
            }
        }
        Recalled::Kept
    }

    /// Tells the file that what is under a key becomes other than `before`; `stays` says whether there is anything
    /// then. The entry's lock is held.
    pub(super) fn note(&self, key: &StoreKey, before: Option<&Entry>, stays: bool) {
        if let Some(filed) = &self.filed {
            filed.backlog.change(key, before, stays);
        }
    }
}
