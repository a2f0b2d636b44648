//! Where the time of a request comes from: the system, or a test that turns the hands itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::time::{ClockId, clock_gettime};

use crate::session::UnixTime;

/// A wall clock.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The system's.
    #[default]
    System,
    /// One that stands still until it is turned; shared by everything that was given it.
    Manual(Arc<AtomicU64>),
}

impl Clock {
    /// A clock that stands at `start` until [`Clock::advance`] turns it.
    pub fn manual(start: UnixTime) -> Self {
        Self::Manual(Arc::new(AtomicU64::new(start.0)))
    }

    /// The current time.
    pub fn now(&self) -> UnixTime {
        match self {
            // The kernel's last tick is near enough for seconds, and costs a fifth of asking the hardware. A clock
            // before 1970 reads as 1970: every ticket then is from the future, which is harmless.
            Self::System => UnixTime(u64::try_from(clock_gettime(ClockId::RealtimeCoarse).tv_sec).unwrap_or(0)),
            Self::Manual(seconds) => UnixTime(seconds.load(Ordering::Relaxed)),
        }
    }

    /// Turns a manual clock forward; the system's is not ours to turn.
    pub fn advance(&self, seconds: u64) {
        if let Self::Manual(hands) = self {
            hands.fetch_add(seconds, Ordering::Relaxed);
        }
    }
}
