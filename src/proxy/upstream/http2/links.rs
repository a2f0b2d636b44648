//! One worker's HTTP/2 connections to one server.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;

use tokio::sync::Notify;

use super::{Link, Slot};

/// One worker's HTTP/2 connections to one server. There are several only where one cannot carry all exchanges.
#[derive(Debug, Default)]
pub(in crate::proxy::upstream) struct Links {
    /// The oldest first: what is there in addition is idle before it, and closed.
    open: RefCell<Vec<Rc<Link>>>,
    /// Whether one more is being made. All who need it wait for that one.
    opening: Cell<bool>,
    opened: Notify,
}

impl Links {
    /// A place on one that is open.
    pub(in crate::proxy::upstream) fn slot(&self) -> Option<Slot> {
        self.open.borrow().iter().find_map(Link::slot)
    }

    /// The right to make one more, unless that is being done.
    pub(in crate::proxy::upstream) fn begin(&self) -> Option<Opening<'_>> {
        (!self.opening.replace(true)).then(|| Opening(self))
    }

    /// Waits until the one that is being made is there, or will never be.
    pub(in crate::proxy::upstream) async fn opened(&self) {
        self.opened.notified().await;
    }

    /// Lets go of those that will carry nothing more, of all that have been idle since before `oldest`, and of those
    /// that are idle beyond the first `max_idle`.
    pub(in crate::proxy::upstream) fn age(&self, now: u64, oldest: u64, max_idle: usize) {
        let mut idle = 0;
        self.open.borrow_mut().retain(|link| {
            if link.is_closing() {
                return false;
            }
            if !link.is_idle() {
                return true;
            }
            let since = link.idle_since.get().unwrap_or(now);
            link.idle_since.set(Some(since));
            idle += 1;
            since >= oldest && idle <= max_idle
        });
    }

    /// Keeps those whose server still is where they lead; the others finish what they carry.
    pub(in crate::proxy::upstream) fn follow(&self, is_there: impl Fn(Option<SocketAddr>) -> bool) {
        self.open.borrow_mut().retain(|link| is_there(link.peer()));
    }
}

/// The right to make one more connection. Whoever gives it up wakes those who wait for it.
pub(in crate::proxy::upstream) struct Opening<'a>(&'a Links);

impl Opening<'_> {
    /// It is made; the place of whoever made it.
    pub(in crate::proxy::upstream) fn made(self, link: &Rc<Link>) -> Option<Slot> {
        self.0.open.borrow_mut().push(Rc::clone(link));
        Link::slot(link)
    }
}

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        self.0.opening.set(false);
        self.0.opened.notify_waiters();
    }
}
