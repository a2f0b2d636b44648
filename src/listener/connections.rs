//! All open connections of one listening socket: looked over for timeouts, told to stop, waited for.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::pulse::{Doing, Pulse};
use super::{Counters, Limits};

/// How often a connection is looked at within its timeout: it is ended at most a quarter too late, and never too early.
const SWEEPS: u32 = 4;

/// The open connections of one listening socket.
#[derive(Debug)]
pub(super) struct Connections {
    open: RefCell<Vec<Rc<Pulse>>>,
    period: Cell<Duration>,
    /// How many quiet sweeps a client may leave its response untaken.
    stalled_sweeps: Cell<u32>,
    /// Rung when the period is another.
    changed: Notify,
    counters: Arc<Counters>,
    none_left: Notify,
}

impl Connections {
    pub(super) fn new(limits: &Limits, counters: Arc<Counters>) -> Self {
        let this = Self {
            open: RefCell::default(),
            period: Cell::default(),
            stalled_sweeps: Cell::default(),
            changed: Notify::new(),
            counters,
            none_left: Notify::new(),
        };
        this.keep_to(limits);
        this
    }

    /// From now on, these hold: for connections that are open, too.
    pub(super) fn keep_to(&self, limits: &Limits) {
        let period = (limits.header_timeout / SWEEPS).max(Duration::from_millis(1));
        let stalled_sweeps = limits.write_timeout.as_nanos().div_ceil(period.as_nanos());
        self.stalled_sweeps.set(u32::try_from(stalled_sweeps).unwrap_or(u32::MAX));
        if self.period.replace(period) != period {
            self.changed.notify_one();
        }
    }

    /// Ends connections that do nothing for too long. One timer for all of them.
    pub(super) async fn sweep(&self) -> Infallible {
        loop {
            tokio::select! {
                () = tokio::time::sleep(self.period.get()) => {}
                () = self.changed.notified() => continue,
            }
            for pulse in self.open.borrow().iter() {
                self.look_at(pulse);
            }
        }
    }

    fn look_at(&self, pulse: &Pulse) {
        let doing = pulse.doing();
        if pulse.seen.replace(pulse.generation()) != pulse.generation() || doing == Doing::Work {
            pulse.quiet.set(0);
            return;
        }
        let quiet = pulse.quiet.get().saturating_add(1);
        pulse.quiet.set(quiet);
        match doing {
            // What began right after a sweep is first missed one period later, hence one more.
            Doing::Nothing if quiet == SWEEPS + 1 => {
                self.counters.timeouts.increment();
                pulse.finish();
            }
            // It did not close within a period: half a head, or a client that answers no GOAWAY.
            Doing::Nothing if quiet > SWEEPS + 1 => pulse.cut(),
            Doing::Waiting if quiet > self.stalled_sweeps.get() => {
                self.counters.timeouts.increment();
                pulse.cut();
            }
            Doing::Nothing | Doing::Waiting | Doing::Work => {}
        }
    }

    /// Tells every connection to close once nothing is in flight.
    pub(super) fn finish(&self) {
        self.open.borrow().iter().for_each(|pulse| pulse.finish());
    }

    /// Tells every connection to close now.
    pub(super) fn cut(&self) {
        self.open.borrow().iter().for_each(|pulse| pulse.cut());
    }

    /// Ends when no connection is open.
    pub(super) async fn ended(&self) {
        while !self.open.borrow().is_empty() {
            self.none_left.notified().await;
        }
    }
}

/// An open connection's entry among the others, for as long as it is open.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) pulse: Rc<Pulse>,
    /// How many requests it has carried.
    requests: Cell<usize>,
    connections: Rc<Connections>,
}

impl Entry {
    pub(super) fn new(connections: &Rc<Connections>) -> Self {
        let pulse = Rc::new(Pulse::new());
        let mut open = connections.open.borrow_mut();
        pulse.place.set(open.len());
        open.push(Rc::clone(&pulse));
        connections.counters.open.increment();
        Self { pulse, requests: Cell::new(0), connections: Rc::clone(connections) }
    }

    /// Counts one more request; whether it is the last of so many.
    pub(super) fn is_last_of(&self, most: usize) -> bool {
        self.requests.set(self.requests.get() + 1);
        self.requests.get() == most
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut open = self.connections.open.borrow_mut();
        let place = self.pulse.place.get();
        open.swap_remove(place);
        if let Some(moved) = open.get(place) {
            moved.place.set(place);
        }
        self.connections.counters.open.decrement();
        if open.is_empty() {
            self.connections.none_left.notify_one();
        }
    }
}
