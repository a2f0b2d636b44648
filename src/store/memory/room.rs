//! Room for sessions: how many there may be, and which one goes for another.

use std::sync::atomic::{AtomicUsize, Ordering};

use dashmap::mapref::entry::Entry as Slot;

use super::{Memory, live};
use crate::store::Error;

impl Memory {
    /// A place for one more session, made by evicting another if need be. No entry may be locked by the caller.
    pub(super) fn reserve(&self) -> Result<Room<'_>, Error> {
        self.fit()?;
        loop {
            let live = self.live.load(Ordering::Relaxed);
            if live >= self.settings.max_sessions {
                self.evict()?;
            } else if self.live.compare_exchange_weak(live, live + 1, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
                return Ok(Room(&self.live));
            }
        }
    }

    /// Evicts until what is kept is within its bytes.
    pub(super) fn fit(&self) -> Result<(), Error> {
        while self.bytes.load(Ordering::Relaxed) >= self.settings.max_bytes {
            self.evict()?;
        }
        Ok(())
    }

    /// The longest idle session without a user goes; sessions with one never do.
    pub(super) fn evict(&self) -> Result<(), Error> {
        let (seen, key) = self.indexes.longest_idle().ok_or(Error::Full)?;
        if let Slot::Occupied(slot) = self.map.entry(key)
            && live(slot.get()).is_some_and(|session| session.user.is_none() && session.last_seen == seen)
            && self.vacate(slot)
        {
            self.evicted.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Whether there is more than there may be.
    pub(super) fn is_over(&self) -> bool {
        self.live.load(Ordering::Relaxed) > self.settings.max_sessions
            || self.bytes.load(Ordering::Relaxed) > self.settings.max_bytes
    }

    pub(super) fn squeeze(&self) -> Room<'_> {
        self.live.fetch_add(1, Ordering::Relaxed);
        Room(&self.live)
    }

    /// Whether a key under which nothing is stored may be remembered as dead. A guest's ticket costs nothing to have,
    /// so that a flood of logouts must not fill the memory; what is not marked then is a first write that overtakes it.
    pub(super) fn may_mark(&self) -> bool {
        self.dead.load(Ordering::Relaxed) < self.settings.max_sessions
    }
}

/// A place among the live sessions, given back when dropped.
pub(super) struct Room<'a>(&'a AtomicUsize);

impl Room<'_> {
    /// The place is taken by a session.
    pub(super) fn take(self) {
        std::mem::forget(self);
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
