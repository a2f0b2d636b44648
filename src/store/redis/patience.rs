//! Waiting for answers, no longer than they may take.
//!
//! A timer of the runtime for each question would cost more than it seems: one that is due before all others makes
//! tokio wake itself, by a system call, and most questions would set such a one. Here a question leaves a note, and
//! while there are notes one task looks through them a few times per timeout.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use slab::Slab;
use tokio::task::AbortHandle;
use tokio::time::sleep;

use crate::deadline::Deadline;

/// How many times per timeout the notes are looked through: an answer may come so much of it later.
const LOOKS: u32 = 8;

/// The waits of one worker for one server.
pub(super) struct Patience(Arc<Waits>);

struct Waits {
    /// Between two looks.
    pause: Duration,
    notes: Mutex<Notes>,
}

#[derive(Default)]
struct Notes {
    /// Until when each may wait, and how it is told that it has.
    pending: Slab<(Deadline, Waker)>,
    watcher: Option<AbortHandle>,
}

/// One wait's note, from when it has to wait until it does no more.
struct Note<'a> {
    waits: &'a Arc<Waits>,
    key: Option<usize>,
}

impl Patience {
    /// For waits that last `timeout` at most.
    pub(super) fn new(timeout: Duration) -> Self {
        Self(Arc::new(Waits { pause: timeout / LOOKS, notes: Mutex::default() }))
    }

    /// What comes of `future`, or none if nothing did until `deadline`.
    pub(super) async fn wait_for<F: Future>(&self, mut future: Pin<&mut F>, deadline: Deadline) -> Option<F::Output> {
        let mut note = Note { waits: &self.0, key: None };
        poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            // Not at once, however late it is: who has been asked just now has had no time to answer.
            Poll::Pending if note.is_left() && deadline.left().is_zero() => Poll::Ready(None),
            Poll::Pending => {
                note.leave(deadline, cx);
                Poll::Pending
            }
        })
        .await
    }
}

impl Note<'_> {
    fn is_left(&self) -> bool {
        self.key.is_some()
    }

    fn leave(&mut self, deadline: Deadline, cx: &Context<'_>) {
        let mut notes = self.waits.notes();
        match self.key {
            Some(key) => notes.pending[key].1.clone_from(cx.waker()),
            None => self.key = Some(notes.pending.insert((deadline, cx.waker().clone()))),
        }
        // The end of its runtime takes it away, too.
        if notes.watcher.as_ref().is_none_or(AbortHandle::is_finished) {
            notes.watcher = Some(tokio::spawn(watch(Arc::downgrade(self.waits))).abort_handle());
        }
    }
}

impl Drop for Note<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            let note = self.waits.notes().pending.remove(key);
            // Without the lock: what becomes of a waker is its runtime's business.
            drop(note);
        }
    }
}

impl Waits {
    fn notes(&self) -> MutexGuard<'_, Notes> {
        // No step under it can panic half way.
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes those whose time is over; says whether there are any.
    fn look(&self) -> bool {
        let notes = self.notes();
        for (_, (deadline, waker)) in &notes.pending {
            if deadline.left().is_zero() {
                waker.wake_by_ref();
            }
        }
        !notes.pending.is_empty()
    }
}

/// Looks through the notes until there have been none for a while.
async fn watch(waits: Weak<Waits>) {
    let mut idle = 0;
    while let Some(pause) = waits.upgrade().map(|waits| waits.pause) {
        sleep(pause).await;
        let Some(waits) = waits.upgrade() else { return };
        idle = if waits.look() { 0 } else { idle + 1 };
        if idle > LOOKS {
            let mut notes = waits.notes();
            if notes.pending.is_empty() {
                notes.watcher = None;
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::pin::pin;
    use std::time::Instant;

    use super::*;

    const TIMEOUT: Duration = Duration::from_millis(200);

    fn new_runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime")
    }

    async fn assert_ends_in_time(patience: &Patience) {
        let began = Instant::now();
        let never = pin!(pending::<()>());
        let waited = patience.wait_for(never, Deadline::after(TIMEOUT));
        assert_eq!(tokio::time::timeout(TIMEOUT * 10, waited).await, Ok(None));
        assert!(began.elapsed() >= TIMEOUT, "{:?}", began.elapsed());
    }

    #[test]
    fn what_comes_in_time_is_had_and_what_does_not_is_not_waited_for() {
        let patience = Patience::new(TIMEOUT);
        new_runtime().block_on(async {
            let soon = Deadline::after(TIMEOUT);
            assert_eq!(patience.wait_for(pin!(async { 1 }), soon).await, Some(1));
            let late = async {
                sleep(TIMEOUT / 2).await;
                2
            };
            assert_eq!(patience.wait_for(pin!(late), soon).await, Some(2));
            assert_eq!(patience.wait_for(pin!(tokio::task::yield_now()), Deadline::PAST).await, Some(()));
            assert_ends_in_time(&patience).await;
        });
    }

    #[test]
    fn waits_end_in_the_order_of_their_deadlines_not_of_their_beginnings() {
        let patience = Patience::new(TIMEOUT);
        new_runtime().block_on(async {
            let now = Instant::now();
            let long = async {
                patience.wait_for(pin!(pending::<()>()), Deadline::after(TIMEOUT)).await;
                now.elapsed()
            };
            let short = async {
                patience.wait_for(pin!(pending::<()>()), Deadline::after(TIMEOUT / 4)).await;
                now.elapsed()
            };
            let (long, short) = tokio::join!(long, short);
            assert!(short < long, "{short:?} {long:?}");
        });
    }

    #[test]
    fn nothing_is_kept_of_waits_that_are_over_and_nobody_looks_when_there_are_none() {
        let patience = Patience::new(TIMEOUT);
        new_runtime().block_on(async {
            for _ in 0..100 {
                patience.wait_for(pin!(tokio::task::yield_now()), Deadline::after(TIMEOUT)).await;
                assert!(patience.0.notes().pending.is_empty() && patience.0.notes().watcher.is_some());
            }
            tokio::time::timeout(TIMEOUT * 20, async {
                while patience.0.notes().watcher.is_some() {
                    sleep(TIMEOUT / 8).await;
                }
            })
            .await
            .expect("it stops to look");
            assert_ends_in_time(&patience).await;
        });
    }

    #[test]
    fn the_end_of_a_runtime_ends_no_timeout_on_the_next_one() {
        let patience = Patience::new(TIMEOUT);
        for _ in 0..2 {
            new_runtime().block_on(assert_ends_in_time(&patience));
        }
    }
}
