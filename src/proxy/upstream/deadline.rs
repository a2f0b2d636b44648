//! A timeout that is set for every request and passes for hardly any.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::time::{Instant, Sleep, sleep};

/// A moment to wait for. To set it reads a coarse clock, and leaves the timer beneath alone unless that would fire too late:
/// one that fires too early is set anew. A deadline passes up to two ticks of the kernel late, and never early.
#[derive(Debug)]
pub(super) struct Deadline {
    /// When it has passed.
    due: Duration,
    timer: Pin<Box<Sleep>>,
    /// When the timer fires.
    fires: Duration,
}

impl Deadline {
    /// One that has passed.
    pub(super) fn new() -> Self {
        Self { due: Duration::ZERO, timer: Box::pin(sleep(Duration::ZERO)), fires: Duration::ZERO }
    }

    pub(super) fn set(&mut self, after: Duration) {
        let now = now();
        self.due = now.saturating_add(after).saturating_add(TICK);
        if self.fires > self.due {
            self.wind(now);
        }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.timer.as_mut().poll(cx));
            let now = now();
            if now >= self.due {
                return Poll::Ready(());
            }
            self.wind(now);
        }
    }

    fn wind(&mut self, now: Duration) {
        self.fires = self.due;
        self.timer.as_mut().reset(Instant::now() + self.due.saturating_sub(now));
    }
}

/// The most by which the coarse clock may be late.
const TICK: Duration = Duration::from_millis(10);

/// Since some moment in the past, by the clock that the timers go by.
fn now() -> Duration {
    let time = clock_gettime(ClockId::MonotonicCoarse);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    async fn passes_after(deadline: &mut Deadline, least: Duration) {
        let began = Instant::now();
        tokio::time::timeout(Duration::from_secs(5), poll_fn(|cx| deadline.poll(cx))).await.expect("it passes");
        assert!(began.elapsed() >= least, "{:?} instead of {least:?}", began.elapsed());
    }

    #[tokio::test]
    async fn it_passes_when_it_was_last_said_to_whatever_was_said_before() {
        let mut deadline = Deadline::new();
        let millis = Duration::from_millis;
        for (before, last) in [(50, 150), (150, 50), (3_600_000, 50), (0, 100), (100, 0)] {
            deadline.set(millis(before));
            deadline.set(millis(last));
            passes_after(&mut deadline, millis(last)).await;
        }
    }
}
