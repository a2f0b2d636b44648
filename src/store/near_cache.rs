//! Live sessions as they were last read from Redis, kept in this process for all of its workers.
//!
//! A read may be answered from here while its connection is tracked: the server remembers which keys were read over it,
//! and tells it as soon as one of them changes. Whatever has changed is forgotten: what the server tells of, and what
//! this gateway writes itself, for nobody may find his own write undone. Three things keep an outdated session out:
//!
//! - What is forgotten while it is being read is not kept. A reading holds the key's place, forgetting takes it away, and
//!   a reading whose place is gone keeps nothing. The order in which a reply and a change of it arrive does not matter.
//! - What was read over a connection counts only while that connection is tracked. Once it is lost, or does not answer in
//!   time, nobody would hear of a change.
//! - Nothing counts for longer than some seconds, whatever went wrong.
//!
//! What does not count any more stays, until there is no room for it, for those who would rather have an old session
//! than none while Redis is away. What is known to have changed is gone for them, too.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use foldhash::fast::RandomState;
use quick_cache::sync::{Cache, DefaultLifecycle, EntryAction, EntryResult, PlaceholderGuard};
use quick_cache::{OptionsBuilder, Weighter};

use super::bytes;
use crate::session::{Entry, Lifetimes, Session, StoreKey, UnixTime};

/// The bounds of the near cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How many bytes its sessions together may hold, by the store's own estimate.
    pub max_bytes: u64,
    /// How old a session may be that is served where an old one is better than none, while Redis cannot be asked.
    pub max_stale: Duration,
}

/// How long a session counts after it was read, whatever is not heard of.
const MAX_AGE: Duration = Duration::from_secs(5);

/// What a session is taken for where the number of places is to be known in advance.
const TYPICAL_BYTES: u64 = 512;

/// The sessions.
pub(super) struct NearCache {
    sessions: Sessions,
    max_stale: Duration,
    lifetimes: ArcSwap<Lifetimes>,
}

type Sessions = Cache<StoreKey, Arc<Kept>, Bytes, RandomState>;
type Place<'a> = PlaceholderGuard<'a, StoreKey, Arc<Kept>, Bytes, RandomState, DefaultLifecycle<StoreKey, Arc<Kept>>>;

struct Kept {
    session: Arc<Session>,
    read_at: UnixTime,
    tracking: Arc<Tracking>,
}

/// Whether a connection's server tells it of every change of what was read over it. A connection that has stopped being
/// told never counts again; the one that replaces it has a tracking of its own.
#[derive(Debug, Default)]
pub(super) struct Tracking(AtomicBool);

impl Tracking {
    /// The server has said that it will.
    pub(super) fn begin(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// The connection is lost, or not to be trusted any more.
    pub(super) fn end(&self) {
        self.0.store(false, Ordering::Release);
    }

    pub(super) fn is_on(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// What there is under a key.
pub(super) enum Found<'a> {
    /// A session as good as a read.
    Session(Arc<Session>),
    /// Nothing of use: to be read.
    Nothing(Reading<'a>),
}

/// A read on its way.
pub(super) struct Reading<'a> {
    /// None where another read of the same key has it.
    place: Option<Place<'a>>,
    /// What stood there, for as long as nothing better is known.
    old: Option<Arc<Kept>>,
}

impl NearCache {
    /// An empty one.
    pub(super) fn new(settings: Settings, lifetimes: Lifetimes) -> Self {
        let places = usize::try_from(settings.max_bytes / TYPICAL_BYTES).unwrap_or(usize::MAX);
        let options = OptionsBuilder::new()
            .estimated_items_capacity(places)
            .weight_capacity(settings.max_bytes)
            .build()
            .expect("both capacities are given");
        let sessions = Cache::with_options(options, Bytes, RandomState::default(), DefaultLifecycle::default());
        Self { sessions, max_stale: settings.max_stale, lifetimes: ArcSwap::from_pointee(lifetimes) }
    }

    pub(super) fn live_by(&self, lifetimes: Arc<Lifetimes>) {
        self.lifetimes.store(lifetimes);
    }

    /// The session under a key, if a read would find no other.
    pub(super) fn find(&self, key: &StoreKey, now: UnixTime) -> Found<'_> {
        if let Some(kept) = self.sessions.get(key)
            && self.counts(&kept, now)
        {
            return Found::Session(Arc::clone(&kept.session));
        }
        // Nobody is waited for: a second read costs less than a wait that another's timeout would end.
        let place = self.sessions.entry(key, Some(Duration::ZERO), |_, kept| {
            if self.counts(kept, now) {
                EntryAction::Retain(Arc::clone(&kept.session))
            } else {
                EntryAction::ReplaceWithGuard
            }
        });
        match place {
            EntryResult::Retained(session) => Found::Session(session),
            EntryResult::Replaced(place, old) => Found::Nothing(Reading { place: Some(place), old: Some(old) }),
            EntryResult::Vacant(place) => Found::Nothing(Reading { place: Some(place), old: None }),
            EntryResult::Timeout | EntryResult::Removed(..) => Found::Nothing(Reading { place: None, old: None }),
        }
    }

    /// The session under a key as it was when it was last read, if that is not too long ago.
    pub(super) fn find_old(&self, key: &StoreKey, now: UnixTime) -> Option<Arc<Session>> {
        let kept = self.sessions.get(key)?;
        let is_young = kept.age(now).is_some_and(|age| age <= self.max_stale);
        (is_young && now < self.lifetimes.load().expiry(&kept.session)).then(|| Arc::clone(&kept.session))
    }

    /// How many sessions there are, whether or not they still count.
    pub(super) fn len(&self) -> usize {
        self.sessions.len()
    }

    /// How many bytes they take, estimated.
    pub(super) fn bytes(&self) -> u64 {
        self.sessions.weight()
    }

    /// Forgets the session under a key when the result is dropped, which is when a change of it is done, has failed, or
    /// is not waited for any more.
    pub(super) fn forget_later<'a>(&'a self, key: &'a StoreKey) -> impl Drop + 'a {
        Forgetting { near: self, key }
    }

    /// The session under a key has changed, or may have.
    pub(super) fn forget(&self, key: &StoreKey) {
        self.sessions.remove(key);
    }

    /// Everything has changed, or may have.
    pub(super) fn forget_all(&self) {
        self.sessions.clear();
    }

    fn counts(&self, kept: &Kept, now: UnixTime) -> bool {
        kept.tracking.is_on()
            && kept.age(now).is_some_and(|age| age < MAX_AGE)
            // Another gateway may have seen the visitor since: an expired session is looked at again.
            && now < self.lifetimes.load().expiry(&kept.session)
    }
}

impl Kept {
    /// None where the clock has been set back since.
    fn age(&self, now: UnixTime) -> Option<Duration> {
        (now >= self.read_at).then(|| now.since(self.read_at))
    }
}

impl Reading<'_> {
    /// The read has come to an end: `entry` is what stands under the key. It is kept if it is a live session that
    /// nobody has forgotten meanwhile.
    pub(super) fn done(mut self, entry: Option<&Entry>, tracking: &Arc<Tracking>, now: UnixTime) {
        self.old = None;
        if let (Some(place), Some(Entry::Live(session))) = (self.place.take(), entry)
            && tracking.is_on()
        {
            let kept = Kept { session: Arc::clone(session), read_at: now, tracking: Arc::clone(tracking) };
            // Refused where it was forgotten, and rightly so.
            let _ = place.insert(Arc::new(kept));
        }
    }
}

/// A read that came to nothing leaves what stood there.
impl Drop for Reading<'_> {
    fn drop(&mut self) {
        if let (Some(place), Some(old)) = (self.place.take(), self.old.take()) {
            let _ = place.insert(old);
        }
    }
}

struct Forgetting<'a> {
    near: &'a NearCache,
    key: &'a StoreKey,
}

impl Drop for Forgetting<'_> {
    fn drop(&mut self) {
        self.near.forget(self.key);
    }
}

#[derive(Clone)]
struct Bytes;

impl Weighter<StoreKey, Arc<Kept>> for Bytes {
    fn weight(&self, _: &StoreKey, kept: &Arc<Kept>) -> u64 {
        bytes(&kept.session)
    }
}

impl std::fmt::Debug for NearCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NearCache").field("sessions", &self.sessions.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
