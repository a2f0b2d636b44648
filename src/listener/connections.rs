//! All open connections of one listening socket: looked over for timeouts, told to stop, waited for.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::pulse::{Doing, EARNED_A_SECOND, Pulse};
use super::{Counters, Limits};

/// How often a connection is looked at within the shortest timeout, at least: it is ended at most a thirty-second part
/// too late, and never too early. It has another such part to close by itself.
const SWEEPS: u32 = 32;
/// How many periods a sweep counts for at most, however late it comes: who was not let run has heard nobody, either.
const MOST: u32 = 2;
/// How seldom, however long they are.
const SELDOM: Duration = Duration::from_millis(250);
/// How long a client may seem to take nothing where what it is sent fills its socket. The system knows better, and is
/// told to end it much sooner; this is for systems that do not.
const BLOCKED: Duration = Duration::from_mins(1);

/// How long a connection is between two requests until it gives up what it only needs for one, at most.
const REST: Duration = Duration::from_secs(1);

/// How long a connection may be quiet, by what it is doing.
#[derive(Clone, Copy, Debug, Default)]
struct Patience {
    /// Waiting for a request's head.
    head: Duration,
    /// Between two requests.
    idle: Duration,
    /// The same, until it gives up what it only needs for one.
    rest: Duration,
    /// Waiting for the client to take a response.
    stalled: Duration,
    /// The same where its socket is full.
    blocked: Duration,
}

/// The open connections of one listening socket.
#[derive(Debug)]
pub(super) struct Connections {
    open: RefCell<Vec<Rc<Pulse>>>,
    period: Cell<Duration>,
    patience: Cell<Patience>,
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
            patience: Cell::default(),
            changed: Notify::new(),
            counters,
            none_left: Notify::new(),
        };
        this.keep_to(limits);
        this
    }

    /// From now on, these hold: for connections that are open, too.
    pub(super) fn keep_to(&self, limits: &Limits) {
        let shortest = limits.header_timeout.min(limits.keepalive).min(limits.write_timeout);
        let period = (shortest / SWEEPS).clamp(Duration::from_millis(1), SELDOM);
        self.patience.set(Patience {
            head: limits.header_timeout,
            idle: limits.keepalive,
            rest: (shortest / 8).min(REST),
            stalled: limits.write_timeout,
            blocked: limits.write_timeout.max(BLOCKED),
        });
        if self.period.replace(period) != period {
            self.changed.notify_one();
        }
    }

    /// Ends connections that do nothing for too long. One timer for all of them.
    pub(super) async fn sweep(&self) -> Infallible {
        let mut last = Instant::now();
        loop {
            let period = self.period.get();
            tokio::select! {
                () = tokio::time::sleep_until(last + period) => {}
                () = self.changed.notified() => continue,
            }
            // Timers are late where there is much to do, and that adds up.
            let now = Instant::now();
            let passed = now.duration_since(last).min(period * MOST);
            last = now;
            self.look(passed);
        }
    }

    /// So much time has passed since the last look.
    fn look(&self, passed: Duration) {
        for pulse in self.open.borrow().iter() {
            self.look_at(pulse, passed);
        }
    }

    fn look_at(&self, pulse: &Pulse, passed: Duration) {
        let earned = passed.as_micros() * u128::from(EARNED_A_SECOND) / 1_000_000;
        pulse.earn(u32::try_from(earned).unwrap_or(u32::MAX));
        let (doing, patience) = (pulse.doing(), self.patience.get());
        let beat = pulse.seen.replace(pulse.generation()) != pulse.generation();
        let began = pulse.seen_head.replace(pulse.head()) != pulse.head();
        let moved = if doing == Doing::Head { began } else { beat };
        // Where nothing else goes on, the whole connection is ended, below.
        let given_up = pulse.give_up_untaken(passed, patience.stalled, beat || doing == Doing::Work);
        self.counters.timeouts.add(given_up as u64);
        if pulse.seen_doing.replace(doing) != doing || moved || doing == Doing::Work {
            pulse.quiet.set(Duration::ZERO);
            pulse.overdue.set(false);
            return;
        }
        let before = pulse.quiet.get();
        let quiet = before + passed;
        pulse.quiet.set(quiet);
        if doing == Doing::Nothing && (before..quiet).contains(&patience.rest) {
            pulse.rest();
        }
        let most = match doing {
            Doing::Head => patience.head,
            Doing::Nothing => patience.idle,
            Doing::Waiting if pulse.is_blocked() => patience.blocked,
            Doing::Waiting => patience.stalled,
            Doing::Work => return,
        };
        if quiet < most {
            return;
        }
        // Once: its patience may have become shorter meanwhile.
        let overdue = pulse.overdue.replace(true);
        if !overdue {
            self.counters.timeouts.increment();
        }
        // It has one period to close by itself; half a head does not, nor a client that answers no GOAWAY. What takes
        // nothing takes no farewell either.
        if overdue || doing == Doing::Waiting {
            pulse.cut();
        } else {
            pulse.leave();
        }
    }

    /// Tells every connection to close once nothing is in flight.
    pub(super) fn finish(&self) {
        self.open.borrow().iter().for_each(|pulse| pulse.finish());
    }

    /// Tells every connection to close once nothing is in flight, and not to wait for a last request.
    pub(super) fn leave(&self) {
        self.open.borrow().iter().for_each(|pulse| pulse.leave());
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
        if self.pulse.has_timed_out() {
            self.connections.counters.timeouts.increment();
        }
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

#[cfg(test)]
mod tests {
    use super::super::Settings;
    use super::*;

    const TIMEOUT: Duration = Duration::from_millis(3200);

    fn connections() -> Rc<Connections> {
        let settings = Settings {
            http: None,
            https: None,
            redirect: false,
            workers: 1,
            max_connections: 1,
            handshake_timeout: TIMEOUT,
            proxy_protocol: None,
            header_timeout: TIMEOUT,
            keepalive: TIMEOUT,
            write_timeout: TIMEOUT,
            max_header_size: 1,
            max_headers: 1,
            max_requests: 1,
            half_close: false,
            drain_delay: TIMEOUT,
            drain_timeout: TIMEOUT,
        };
        Rc::new(Connections::new(&Limits::new(&settings), Arc::default()))
    }

    #[test]
    fn how_late_sweeps_come_does_not_matter() {
        // A head that never begins: the first look finds it, so that it is never ended too early.
        for (every, looks) in [(100, 33), (150, 23), (200, 17)] {
            let connections = connections();
            let entry = Entry::new(&connections);
            let taken = (1..100).find(|_| {
                connections.look(Duration::from_millis(every));
                entry.pulse.is_overdue()
            });
            assert_eq!(taken, Some(looks), "looked at every {every} ms");
        }
    }
}
