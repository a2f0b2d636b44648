//! Sessions in this process's memory.
//!
//! One map from key to entry. A change is applied under its entry's lock, and no guard ever leaves this file: a guard
//! held across an await would deadlock. Beside the map stand three small indexes (by user, by id, by idleness), which
//! change under the same entry's lock, always through [`Memory::account`], and are leaves in the order of locks.

mod filed;
mod index;
mod room;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use dashmap::DashMap;
use dashmap::mapref::entry::{Entry as Slot, OccupiedEntry};
use foldhash::fast::RandomState;

use super::{EditRules, Edited, Ended, Error, Replace, Replaced, bytes, edited};
use crate::session::{Edit, Entry, Lifetimes, PublicId, Session, StoreKey, UnixTime};
pub(super) use filed::{Filed, Recalled};
use index::Indexes;
use room::Room;

/// The bounds of the memory store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How many sessions may be live at once.
    pub max_sessions: usize,
    /// How many bytes all sessions together may hold, by the store's own estimate.
    pub max_bytes: u64,
}

/// Many, so that a sweep, which locks one shard at a time, keeps a request waiting for some microseconds at most.
const SHARDS: usize = 1024;
/// How many renewals in a row an index may be behind.
const MOST_MOVES: usize = 8;

/// The store.
#[derive(Debug)]
pub struct Memory {
    map: DashMap<StoreKey, Entry, RandomState>,
    indexes: Indexes,
    /// Serializes steps over two keys against each other. Requests that only read or edit never take it.
    moves: Mutex<()>,
    live: AtomicUsize,
    /// Entries that are no sessions: keys remembered as renewed, superseded or ended.
    dead: AtomicUsize,
    bytes: AtomicU64,
    evicted: AtomicU64,
    expired: AtomicU64,
    lifetimes: ArcSwap<Lifetimes>,
    settings: Settings,
    /// What a file has to be told, where there is one.
    filed: Option<Filed>,
}

/// How full it is, and what it did about it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Sessions live, as last swept.
    pub live: usize,
    /// Entries of any kind, tombstones included.
    pub entries: usize,
    /// Bytes of sessions, estimated.
    pub bytes: u64,
    /// Sessions evicted to make room, ever.
    pub evicted: u64,
    /// Sessions whose time was up, ever.
    pub expired: u64,
}

impl Memory {
    /// An empty store.
    pub fn new(settings: Settings, lifetimes: Lifetimes) -> Self {
        Self {
            map: DashMap::with_capacity_and_hasher_and_shard_amount(0, RandomState::default(), SHARDS),
            indexes: Indexes::default(),
            moves: Mutex::default(),
            live: AtomicUsize::new(0),
            dead: AtomicUsize::new(0),
            bytes: AtomicU64::new(0),
            evicted: AtomicU64::new(0),
            expired: AtomicU64::new(0),
            lifetimes: ArcSwap::from_pointee(lifetimes),
            settings,
            filed: None,
        }
    }

    /// How full it is.
    pub fn stats(&self) -> Stats {
        let live = self.live.load(Ordering::Relaxed);
        Stats {
            live,
            entries: live + self.dead.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            evicted: self.evicted.load(Ordering::Relaxed),
            expired: self.expired.load(Ordering::Relaxed),
        }
    }

    pub(super) fn live_by(&self, lifetimes: Arc<Lifetimes>) {
        self.lifetimes.store(lifetimes);
    }

    pub(super) fn load(&self, key: &StoreKey, now: UnixTime) -> Option<Entry> {
        self.map.get(key)?.at(now, &self.lifetimes.load())
    }

    pub(super) fn touch(&self, key: &StoreKey, now: UnixTime) {
        self.update(key, |session| {
            if session.last_seen < now && now < self.lifetimes.load().expiry(session) {
                session.last_seen = now;
            }
        });
    }

    pub(super) fn settle(&self, key: &StoreKey, old: &StoreKey, until: UnixTime) {
        self.update(key, |session| session.renewed_from = None);
        if let Some(mut entry) = self.map.get_mut(old)
            && let Entry::Renewed(renewed) = &mut *entry
            && renewed.to == *key
            && until < renewed.until
        {
            self.note(old, Some(&Entry::Renewed(renewed.clone())), true);
            renewed.until = until;
        }
    }

    pub(super) fn edit(&self, key: &StoreKey, edit: &Edit, rules: EditRules, now: UnixTime) -> Result<Edited, Error> {
        if edit.keeps_something() {
            self.fit()?;
        }
        match self.edit_in_place(key, edit, rules, now)? {
            Edited::Missing if rules.birth.is_some() && edit.keeps_something() => {}
            edited => return Ok(edited),
        }
        // Room is made before the entry is locked, since eviction locks other entries.
        let room = self.reserve()?;
        // One before the first, so that what is born has the version 0, and so have its cookies.
        let unborn = Session { version: u32::MAX, ..Session::new(*key, now) };
        let born = edited(&unborn, edit, rules.max_data)?;
        match self.map.entry(*key) {
            // Another first write of the same guest came in between: both are kept.
            Slot::Occupied(slot) if slot.get().at(now, &self.lifetimes.load()).is_some() => {
                drop(slot);
                self.edit_in_place(key, edit, rules, now)
            }
            slot => {
                let born = Arc::new(born);
                self.put(slot, Entry::Live(Arc::clone(&born)), Some(room));
                Ok(Edited::Born(born))
            }
        }
    }

    fn edit_in_place(&self, key: &StoreKey, edit: &Edit, rules: EditRules, now: UnixTime) -> Result<Edited, Error> {
        let Slot::Occupied(mut slot) = self.map.entry(*key) else {
            return Ok(Edited::Missing);
        };
        match slot.get().at(now, &self.lifetimes.load()) {
            None => Ok(Edited::Missing),
            Some(Entry::Superseded { .. } | Entry::Ended { .. }) => Ok(Edited::Dead),
            Some(Entry::Renewed(renewed)) => Ok(Edited::Renewed(*renewed)),
            Some(Entry::Live(session)) if rules.birth.is_some_and(|since| session.created < since) => {
                Ok(Edited::NotTheirs)
            }
            Some(Entry::Live(session)) => {
                let next = Arc::new(edited(&session, edit, rules.max_data)?);
                if next.is_empty() && !next.jar.is_blank() {
                    // The backend has logged somebody out: no answer to an earlier request brings a cookie back.
                    let until = now.after(self.lifetimes.load().tombstone);
                    self.put(Slot::Occupied(slot), Entry::Ended { until }, None);
                    return Ok(Edited::Emptied);
                }
                self.note(key, Some(slot.get()), !next.is_empty());
                if next.is_empty() {
                    self.account(key, Some(&session), None);
                    slot.remove();
                    return Ok(Edited::Emptied);
                }
                self.account(key, Some(&session), Some(&next));
                slot.insert(Entry::Live(Arc::clone(&next)));
                Ok(Edited::Live(next))
            }
        }
    }

    pub(super) fn insert(&self, key: &StoreKey, session: Session) -> Result<Arc<Session>, Error> {
        let room = self.reserve()?;
        let session = Arc::new(session);
        self.put(self.map.entry(*key), Entry::Live(Arc::clone(&session)), Some(room));
        Ok(session)
    }

    pub(super) fn replace(&self, step: Replace<'_>, now: UnixTime) -> Result<Replaced, Error> {
        let _alone = self.moves.lock().unwrap_or_else(PoisonError::into_inner);
        let as_expected = |found: Option<Entry>| match (found, step.seen) {
            (Some(Entry::Live(session)), Some(version)) => session.version == version,
            (None, None) => true,
            _ => false,
        };
        // Asked first because another mover may have been here: what it wrote under the new key must stand.
        if !as_expected(self.load(step.old, now)) {
            return Ok(Replaced::Changed);
        }
        if self.load(step.new, now).is_some() {
            return Ok(Replaced::Taken);
        }
        // A session that only moves needs no room: for a moment it stands twice.
        let room = if step.seen.is_some() { self.squeeze() } else { self.reserve()? };
        self.put(self.map.entry(*step.new), Entry::Live(Arc::new(step.session)), Some(room));
        let slot = self.map.entry(*step.old);
        if as_expected(self.found(&slot, now)) {
            self.put(slot, step.leave, None);
            return Ok(Replaced::Done);
        }
        drop(slot);
        let revoked = match self.map.entry(*step.new) {
            Slot::Occupied(slot) if live(slot.get()).is_some() => {
                self.vacate(slot);
                None
            }
            Slot::Occupied(slot) => match slot.get() {
                Entry::Ended { until } => Some(*until),
                _ => None,
            },
            Slot::Vacant(_) => None,
        };
        // It was found and ended under its new key meanwhile: it does not live on under the old one.
        if let Some(until) = revoked {
            self.end(step.old, false, until, now);
            return Ok(Replaced::Changed);
        }
        if let Some(entry) = self.map.get(step.old)
            && let Some(session) = live(&entry)
        {
            self.indexes.restore(step.old, session);
        }
        Ok(Replaced::Changed)
    }

    pub(super) fn bar(&self, key: &StoreKey, until: UnixTime, now: UnixTime) -> Replaced {
        let slot = self.map.entry(*key);
        if self.found(&slot, now).is_some() {
            return Replaced::Changed;
        }
        if self.may_mark() {
            self.put(slot, Entry::Superseded { until }, None);
        }
        Replaced::Done
    }

    pub(super) fn end(&self, key: &StoreKey, mark: bool, until: UnixTime, now: UnixTime) -> Ended {
        let slot = self.map.entry(*key);
        match self.found(&slot, now) {
            Some(Entry::Live(session)) => {
                self.put(slot, Entry::Ended { until }, None);
                Ended::Session(session)
            }
            Some(Entry::Renewed(renewed)) => Ended::Renewed(*renewed),
            Some(Entry::Superseded { .. } | Entry::Ended { .. }) => Ended::Dead,
            None if mark => {
                if self.may_mark() {
                    self.put(slot, Entry::Ended { until }, None);
                }
                Ended::Marked
            }
            None => Ended::Nothing,
        }
    }

    pub(super) fn by_user(&self, user: &str, now: UnixTime) -> Vec<(StoreKey, Arc<Session>)> {
        let keys = self.indexes.user(user);
        let mut found: Vec<_> = keys.into_iter().filter_map(|key| self.settled(key, now)).collect();
        found.retain(|(_, session)| session.user.as_deref() == Some(user));
        // One that was just moved stands in the index under both of its keys.
        found.sort_by_key(|(key, _)| *key);
        found.dedup_by_key(|(key, _)| *key);
        found
    }

    pub(super) fn by_id(&self, id: &PublicId, now: UnixTime) -> Option<(StoreKey, Arc<Session>)> {
        let key = self.indexes.renewed(id).unwrap_or_else(|| id.first_key());
        self.settled(key, now).filter(|(_, session)| session.id == *id)
    }

    /// The live session that a key from an index leads to. Renewal may have moved it since the index was read.
    fn settled(&self, mut key: StoreKey, now: UnixTime) -> Option<(StoreKey, Arc<Session>)> {
        for _ in 0..MOST_MOVES {
            match self.load(&key, now)? {
                Entry::Live(session) => return Some((key, session)),
                Entry::Renewed(renewed) => key = renewed.to,
                Entry::Superseded { .. } | Entry::Ended { .. } => return None,
            }
        }
        None
    }

    /// Drops what has expired. Locks one shard at a time; meant for a thread of its own.
    pub fn sweep(&self, now: UnixTime) {
        let lifetimes = self.lifetimes.load_full();
        let expired = |entry: &Entry| entry.at(now, &lifetimes).is_none();
        let keys: Vec<StoreKey> =
            self.map.iter().filter(|item| expired(item.value())).map(|item| *item.key()).collect();
        for key in keys {
            if let Slot::Occupied(slot) = self.map.entry(key)
                && expired(slot.get())
                && self.vacate(slot)
            {
                self.expired.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn found(&self, slot: &Slot<'_, StoreKey, Entry>, now: UnixTime) -> Option<Entry> {
        match slot {
            Slot::Occupied(slot) => slot.get().at(now, &self.lifetimes.load()),
            Slot::Vacant(_) => None,
        }
    }

    /// Changes a live session in place, without a new version.
    fn update(&self, key: &StoreKey, change: impl FnOnce(&mut Session)) {
        if let Some(mut entry) = self.map.get_mut(key)
            && let Entry::Live(session) = &mut *entry
        {
            let before = Arc::clone(session);
            let mut next = Session::clone(session);
            change(&mut next);
            if next == *before {
                return;
            }
            *session = Arc::new(next);
            self.account(key, Some(&before), Some(session));
            self.note(key, Some(&Entry::Live(before)), true);
        }
    }

    /// Writes an entry; a session that comes where none was takes `room`.
    fn put(&self, slot: Slot<'_, StoreKey, Entry>, entry: Entry, room: Option<Room<'_>>) {
        let before = if let Slot::Occupied(slot) = &slot { Some(slot.get()) } else { None };
        self.note(slot.key(), before, true);
        self.place(slot, entry, room);
    }

    fn place(&self, slot: Slot<'_, StoreKey, Entry>, entry: Entry, room: Option<Room<'_>>) {
        let key = *slot.key();
        let before = match &slot {
            Slot::Occupied(slot) => live(slot.get()).cloned(),
            Slot::Vacant(_) => None,
        };
        let after = live(&entry).cloned();
        let dead = (matches!(&slot, Slot::Occupied(_)) && before.is_none(), after.is_none());
        let _ = match dead {
            (true, false) => self.dead.fetch_sub(1, Ordering::Relaxed),
            (false, true) => self.dead.fetch_add(1, Ordering::Relaxed),
            _ => 0,
        };
        self.account(&key, before.as_deref(), after.as_deref());
        if let (None, Some(_), Some(room)) = (&before, &after, room) {
            room.take();
        }
        // Written while the guard is held, hence after the indexes: an entry and its places in them change together.
        slot.insert(entry);
    }

    /// Removes an entry; says whether it was a session.
    fn vacate(&self, slot: OccupiedEntry<'_, StoreKey, Entry>) -> bool {
        self.note(slot.key(), Some(slot.get()), false);
        let session = live(slot.get()).cloned();
        if session.is_some() {
            self.account(slot.key(), session.as_deref(), None);
        } else {
            self.dead.fetch_sub(1, Ordering::Relaxed);
        }
        slot.remove();
        session.is_some()
    }

    /// Keeps indexes and counts in step with an entry. The entry's lock is held.
    fn account(&self, key: &StoreKey, before: Option<&Session>, after: Option<&Session>) {
        self.indexes.account(key, before, after);
        self.bytes.fetch_add(after.map_or(0, bytes), Ordering::Relaxed);
        self.bytes.fetch_sub(before.map_or(0, bytes), Ordering::Relaxed);
        if before.is_some() && after.is_none() {
            self.live.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

fn live(entry: &Entry) -> Option<&Arc<Session>> {
    if let Entry::Live(session) = entry { Some(session) } else { None }
}
