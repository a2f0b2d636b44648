//! A timeout that is set for every request and passes for hardly any.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

use crate::deadline::Deadline;

/// A deadline to wait for. To set it leaves the runtime's timer alone unless that would fire too late: where it fires
/// too early, it is set anew.
#[derive(Debug)]
pub(super) struct Timer {
    due: Deadline,
    sleep: Pin<Box<Sleep>>,
    /// Until when it sleeps.
    fires: Deadline,
}

impl Timer {
    /// One that has fired.
    pub(super) fn new() -> Self {
        Self { due: Deadline::PAST, sleep: Box::pin(sleep(Duration::ZERO)), fires: Deadline::PAST }
    }

    pub(super) fn set(&mut self, after: Duration) {
        self.due = Deadline::after(after);
        if self.fires > self.due {
            self.wind(self.due.left());
        }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.sleep.as_mut().poll(cx));
            let left = self.due.left();
            if left.is_zero() {
                return Poll::Ready(());
            }
            self.wind(left);
        }
    }

    fn wind(&mut self, left: Duration) {
        self.fires = self.due;
        self.sleep.as_mut().reset(Instant::now() + left);
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    async fn passes_after(timer: &mut Timer, least: Duration) {
        let began = Instant::now();
        tokio::time::timeout(Duration::from_secs(5), poll_fn(|cx| timer.poll(cx))).await.expect("it passes");
        assert!(began.elapsed() >= least, "{:?} instead of {least:?}", began.elapsed());
    }

    #[tokio::test]
    async fn it_passes_when_it_was_last_said_to_whatever_was_said_before() {
        let mut timer = Timer::new();
        let millis = Duration::from_millis;
        for (before, last) in [(50, 150), (150, 50), (3_600_000, 50), (0, 100), (100, 0)] {
            timer.set(millis(before));
            timer.set(millis(last));
            passes_after(&mut timer, millis(last)).await;
        }
    }
}
