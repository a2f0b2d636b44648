//! How often the configuration was read again, and what came of it.

use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// Counts the times that the configuration was read again.
#[derive(Debug)]
pub struct Reloads(Mutex<Told>);

/// What came of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    pub(super) succeeded: u64,
    pub(super) failed: u64,
    /// Whether the last one succeeded, the start included.
    pub(super) is_good: bool,
    /// When the configuration in use was read, in Unix seconds.
    pub(super) good_at: u64,
}

impl Reloads {
    /// One more.
    pub fn count(&self, is_good: bool) {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.is_good = is_good;
        if is_good {
            told.succeeded += 1;
            told.good_at = now();
        } else {
            told.failed += 1;
        }
    }

    pub(super) fn told(&self) -> Told {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Reloads {
    fn default() -> Self {
        Self(Mutex::new(Told { succeeded: 0, failed: 0, is_good: true, good_at: now() }))
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
