//! What is being stored, whether or not anybody still waits for it.

use std::cell::Cell;
use std::rc::Rc;

use tokio::sync::Notify;

/// One worker's changes that are on their way to the store.
#[derive(Clone, Debug, Default)]
pub(super) struct Commits(Rc<State>);

#[derive(Debug, Default)]
struct State {
    count: Cell<usize>,
    none_left: Notify,
}

/// One of them, for as long as this lives.
#[derive(Debug)]
pub(super) struct Commit(Rc<State>);

impl Commits {
    pub(super) fn begin(&self) -> Commit {
        self.0.count.set(self.0.count.get() + 1);
        Commit(Rc::clone(&self.0))
    }

    /// Ends when there is none.
    pub(super) async fn done(&self) {
        while self.0.count.get() > 0 {
            self.0.none_left.notified().await;
        }
    }
}

impl Drop for Commit {
    fn drop(&mut self) {
        self.0.count.set(self.0.count.get() - 1);
        if self.0.count.get() == 0 {
            self.0.none_left.notify_one();
        }
    }
}
