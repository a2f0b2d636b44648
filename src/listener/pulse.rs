//! Signs of life of one connection, and what its worker tells it.
//!
//! They replace hyper's own timers. Those cost a timer, an allocation and a reading of the clock for every request, and
//! HTTP/2 has none for a connection without streams. Here a request costs a few additions on its own thread, and one
//! sweep a worker (`Connections`) looks at all of them a few times per timeout.

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

mod bytes;
mod in_flight;
mod streams;

pub(super) use bytes::Io;
pub(super) use in_flight::{Request, Tracked};
pub(super) use streams::InStream;
use streams::Streams;

/// What a connection is told by its worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Order {
    /// Go on.
    Serve,
    /// Answer what is in flight, then close. Over HTTP/1.1, what is in flight includes the next request.
    Finish,
    /// Answer what is in flight now, then close.
    Leave,
    /// Close now.
    Cut,
}

/// What a connection is doing, as far as it can be waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doing {
    /// A request's head is waited for: the first, or one that has begun.
    Head,
    /// No request is in flight: it is between two.
    Nothing,
    /// Some request waits for its upstream.
    Work,
    /// All that is in flight waits for the client to take it.
    Waiting,
}

/// How much a client may spend on frames that ask for nothing, at once: some thousand pings, some hundred resets.
const ALLOWANCE: u32 = 128 * 1024;
/// How much of it is given back within a second.
pub(super) const EARNED_A_SECOND: u32 = 16 * 1024;

/// How much of it is given back for each part of an answer: what two `WINDOW_UPDATE` and a `PING` cost.
const PART: u32 = 64;

/// The state of one connection that others on its thread may look at.
#[derive(Debug)]
pub(super) struct Pulse {
    /// Changes with every sign of life. The clock is not read: the sweep compares.
    generation: Cell<u32>,
    /// Requests whose response is not yet handed over to hyper whole.
    active: Cell<u32>,
    /// Those of them that hold more than the client takes.
    stalled: Cell<u32>,
    /// The answers of an HTTP/2 connection.
    streams: Streams,
    /// Whether the socket took no more when it was last written to.
    blocked: Cell<bool>,
    /// Whether it is being closed, which has a deadline of its own.
    lingering: Cell<bool>,
    /// Whether no request has come yet.
    fresh: Cell<bool>,
    /// Whether a request's head has begun to come, and is not whole.
    in_head: Cell<bool>,
    /// The same of HTTP/2, where others may be in flight meanwhile.
    in_block: Cell<bool>,
    /// Tells the heads apart that have begun.
    head: Cell<u32>,
    /// How much of its allowance the client has spent on frames that ask for nothing, in bytes or what is worth them.
    spent: Cell<u32>,
    /// How much of that is given back if a request comes of it.
    advanced: Cell<u32>,
    /// Whether the system gave the client up: it took nothing of what was sent.
    timed_out: Cell<bool>,
    /// How many heads of HTTP/1.1 requests have come that everybody finds in the bytes, and has not yet been asked for.
    heads: Cell<u32>,
    /// Whether nothing but the next head can follow once no request is in flight.
    may_rest: Cell<bool>,
    told_to_rest: Cell<bool>,
    order: Cell<Order>,
    /// Whether no request was in flight when it was told to close, nor has come since.
    closes_idle: Cell<bool>,
    /// At which order it closes where nothing is in flight.
    ends_at: Cell<Order>,
    waker: RefCell<Option<Waker>>,
    /// Where `Connections` keeps it.
    pub(super) place: Cell<usize>,
    /// The generation that the last sweep saw.
    pub(super) seen: Cell<u32>,
    /// The head that the last sweep saw.
    pub(super) seen_head: Cell<u32>,
    /// What it was doing then.
    pub(super) seen_doing: Cell<Doing>,
    /// Whether it has been quiet for too long, and was told.
    pub(super) overdue: Cell<bool>,
    /// How long sweeps have seen no change.
    pub(super) quiet: Cell<Duration>,
}

impl Pulse {
    pub(super) fn new() -> Self {
        Self {
            // Unlike `seen`: the sweep may come right after the birth, which is a sign of life.
            generation: Cell::new(1),
            active: Cell::new(0),
            stalled: Cell::new(0),
            streams: Streams::default(),
            blocked: Cell::new(false),
            lingering: Cell::new(false),
            fresh: Cell::new(true),
            in_head: Cell::new(false),
            in_block: Cell::new(false),
            head: Cell::new(0),
            spent: Cell::new(0),
            advanced: Cell::new(0),
            timed_out: Cell::new(false),
            heads: Cell::new(0),
            may_rest: Cell::new(false),
            told_to_rest: Cell::new(false),
            order: Cell::new(Order::Serve),
            closes_idle: Cell::new(false),
            ends_at: Cell::new(Order::Leave),
            waker: RefCell::new(None),
            place: Cell::new(0),
            seen: Cell::new(0),
            seen_head: Cell::new(0),
            seen_doing: Cell::new(Doing::Work),
            overdue: Cell::new(false),
            quiet: Cell::new(Duration::ZERO),
        }
    }

    pub(super) fn generation(&self) -> u32 {
        self.generation.get()
    }

    pub(super) fn doing(&self) -> Doing {
        match self.active.get() {
            _ if self.lingering.get() => Doing::Work,
            _ if self.in_block.get() => Doing::Head,
            0 if self.blocked.get() => Doing::Waiting,
            0 if self.in_head.get() || self.fresh.get() => Doing::Head,
            0 => Doing::Nothing,
            active if active == self.stalled.get() => Doing::Waiting,
            _ => Doing::Work,
        }
    }

    /// Whether a request's head has begun to come, and is not whole.
    pub(super) fn set_in_head(&self, in_head: bool) {
        if in_head && !self.in_head.replace(in_head) {
            self.begin_head();
        }
        self.in_head.set(in_head);
    }

    /// A request's head has begun. The first has no more time for it than there is to begin it.
    pub(super) fn begin_head(&self) {
        if !self.fresh.get() {
            self.head.set(self.head.get().wrapping_add(1));
        }
    }

    /// Whether a header block of HTTP/2 has begun to come, and is not whole.
    pub(super) fn set_in_block(&self, in_block: bool) {
        self.in_block.set(in_block);
    }

    /// Which head is or was the last to come.
    pub(super) fn head(&self) -> u32 {
        self.head.get()
    }

    /// Whether the socket took no more when it was last written to.
    pub(super) fn is_blocked(&self) -> bool {
        self.blocked.get()
    }

    /// Whether it has been quiet for too long, and was told.
    pub(super) fn is_overdue(&self) -> bool {
        self.overdue.get()
    }

    /// Whether the system gave the client up.
    pub(super) fn has_timed_out(&self) -> bool {
        self.timed_out.get()
    }

    /// Takes note of the time that has passed since the last sweep. Gives up the answers of which the client has taken
    /// nothing for so long, if it goes on with others; how many that were.
    pub(super) fn give_up_untaken(&self, passed: Duration, most: Duration, goes_on: bool) -> usize {
        self.streams.look(passed, most, goes_on)
    }

    /// Takes from the client's allowance; whether it sufficed.
    pub(super) fn spend(&self, cost: u32) -> bool {
        let spent = self.spent.get().saturating_add(cost);
        self.spent.set(spent);
        spent <= ALLOWANCE
    }

    /// The same for what is given back if a request comes of it.
    pub(super) fn spend_on_request(&self, cost: u32) -> bool {
        self.advanced.set(self.advanced.get().saturating_add(cost));
        self.spend(cost)
    }

    /// Gives back what a client may well spend on a part of an answer that it takes: it opens both windows again, and
    /// may ask how long the way is.
    pub(super) fn earn_part(&self) {
        self.earn(PART);
    }

    /// Gives something back.
    pub(super) fn earn(&self, worth: u32) {
        self.spent.set(self.spent.get().saturating_sub(worth));
    }

    /// A request's head has come that everybody finds in the bytes.
    pub(super) fn add_head(&self) {
        self.heads.set(self.heads.get().saturating_add(1));
    }

    /// Whether a request that was found here is one that everybody finds.
    pub(super) fn take_head(&self) -> bool {
        let left = self.heads.get().checked_sub(1);
        self.heads.set(left.unwrap_or(0));
        left.is_some()
    }

    /// Tells the connection to close once nothing is in flight.
    pub(super) fn finish(&self) {
        self.tell(Order::Finish);
    }

    /// Tells the connection to close once nothing is in flight, and not to wait for a last request.
    pub(super) fn leave(&self) {
        self.tell(Order::Leave);
    }

    /// Tells the connection to close now.
    pub(super) fn cut(&self) {
        self.tell(Order::Cut);
    }

    /// Tells the connection to give up what it only needs for a request, if it still does nothing.
    pub(super) fn rest(&self) {
        if self.may_rest.get() {
            self.told_to_rest.set(true);
            self.wake();
        }
    }

    /// Says whether it may be told to rest from now on.
    pub(super) fn may_rest(&self, may: bool) {
        self.may_rest.set(may);
    }

    fn tell(&self, order: Order) {
        if order > self.order.get() {
            if self.order.get() < self.ends_at.get() && order >= self.ends_at.get() {
                self.closes_idle.set(self.active.get() == 0);
            }
            self.order.set(order);
            self.wake();
        }
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.borrow().as_ref() {
            waker.wake_by_ref();
        }
    }

    fn listen(&self, waker: &Waker) -> Order {
        let mut current = self.waker.borrow_mut();
        if !current.as_ref().is_some_and(|current| current.will_wake(waker)) {
            *current = Some(waker.clone());
        }
        self.order.get()
    }

    fn beat(&self) {
        self.generation.set(self.generation.get().wrapping_add(1));
    }

    /// Runs a connection to its end, which is told to finish at an order or a later one. `None`: it was cut, or could
    /// not be written to. `written` follows every turn of it.
    pub(super) async fn drive<C: Future>(
        &self,
        mut connection: Pin<&mut C>,
        (at, finish): (Order, impl Fn(Pin<&mut C>)),
        written: impl Fn(&mut Context<'_>) -> Poll<io::Result<()>>,
    ) -> Option<C::Output> {
        let mut finishing = false;
        self.ends_at.set(at);
        std::future::poll_fn(|context| {
            match self.listen(context.waker()) {
                Order::Cut => return Poll::Ready(None),
                order if order >= at && !finishing => {
                    finishing = true;
                    finish(connection.as_mut());
                }
                Order::Serve | Order::Finish | Order::Leave => {}
            }
            let turn = connection.as_mut().poll(context);
            match (turn, written(context)) {
                (Poll::Ready(ended), _) => Poll::Ready(Some(ended)),
                (Poll::Pending, Poll::Ready(Err(_))) => Poll::Ready(None),
                (Poll::Pending, _) => Poll::Pending,
            }
        })
        .await
    }

    /// Waits for something that is to end when the connection is told to rest, and does nothing. `None`: it was.
    pub(super) async fn until_rest<F: Future>(&self, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        std::future::poll_fn(|context| {
            let polled = future.as_mut().poll(context);
            if polled.is_pending() && self.told_to_rest.take() && self.may_rest.get() && self.doing() == Doing::Nothing
            {
                return Poll::Ready(None);
            }
            polled.map(Some)
        })
        .await
    }

    /// Waits for something that is to end when the connection is told this, or more. `None`: it was.
    pub(super) async fn unless_told<F: Future>(&self, order: Order, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        std::future::poll_fn(|context| {
            if self.listen(context.waker()) >= order {
                return Poll::Ready(None);
            }
            future.as_mut().poll(context).map(Some)
        })
        .await
    }
}
