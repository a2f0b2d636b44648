//! Until when something is waited for, by a clock that costs little to read. Nothing but waits goes by it.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// The most by which the coarse clock may be late: a tick of the kernel.
const TICK: Duration = Duration::from_millis(10);

/// A moment to come, or one that has passed. It passes up to two ticks late, and never early.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Deadline(Duration);

impl Deadline {
    /// One that has always passed.
    pub(crate) const PAST: Self = Self(Duration::ZERO);

    /// So long from now.
    pub(crate) fn after(span: Duration) -> Self {
        Self(now().saturating_add(span).saturating_add(TICK))
    }

    /// As a number that threads can share; 0 is [`Deadline::PAST`].
    pub(crate) fn millis(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }

    /// What was such a number.
    pub(crate) fn of_millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    /// How long it is until then; nothing once it has passed.
    pub(crate) fn left(self) -> Duration {
        self.0.saturating_sub(now())
    }
}

/// Since some moment in the past, by the clock that the runtime's timers go by.
fn now() -> Duration {
    let time = clock_gettime(ClockId::MonotonicCoarse);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}
