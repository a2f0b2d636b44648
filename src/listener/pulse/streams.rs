//! The answers that share one HTTP/2 connection, each of which its client may leave untaken.
//!
//! hyper does not ask for more of an answer while its stream has no window, hence no timeout of the answer's own runs
//! then, and what its upstream has for it waits with it. So it is given up from outside. A connection that does nothing
//! else is ended as a whole.

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::{Pulse, Tracked};

/// Every answer under way on one connection.
#[derive(Default)]
pub(super) struct Streams(RefCell<Vec<Rc<dyn Untaken>>>);

/// An answer, as far as it may have to be given up.
trait Untaken {
    /// Takes note of the time since the last sweep; whether it has waited for its client for so long.
    fn is_overdue(&self, passed: Duration, most: Duration) -> bool;
    /// Lets its upstream go.
    fn give_up(&self);
    /// Where [`Streams`] keeps it.
    fn place(&self) -> &Cell<usize>;
}

impl Streams {
    fn push(&self, stream: Rc<dyn Untaken>) {
        let mut streams = self.0.borrow_mut();
        stream.place().set(streams.len());
        streams.push(stream);
    }

    fn remove(&self, place: usize) {
        let mut streams = self.0.borrow_mut();
        let removed = streams.swap_remove(place);
        if let Some(moved) = streams.get(place) {
            moved.place().set(place);
        }
        drop(streams);
        drop(removed);
    }

    /// Takes note of the time since the last sweep, and gives up what was left untaken for so long, if the client goes
    /// on with others; how many that were.
    pub(super) fn look(&self, passed: Duration, most: Duration, goes_on: bool) -> usize {
        let is_overdue = |stream: &&Rc<dyn Untaken>| stream.is_overdue(passed, most) && goes_on;
        let overdue: Vec<_> = self.0.borrow().iter().filter(is_overdue).cloned().collect();
        for stream in &overdue {
            stream.give_up();
        }
        overdue.len()
    }
}

impl fmt::Debug for Streams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Streams").field(&self.0.borrow().len()).finish()
    }
}

/// A client took nothing of an answer for too long.
#[derive(Debug, thiserror::Error)]
#[error("nothing of the answer was taken for too long")]
struct TookNothing;

/// The body of an answer in a stream of its own.
pub(in crate::listener) struct InStream<B> {
    held: Rc<Held<B>>,
    pulse: Rc<Pulse>,
}

struct Held<B> {
    /// None once it is given up.
    body: RefCell<Option<Tracked<B>>>,
    /// Whether it was asked for since the last sweep.
    asked: Cell<bool>,
    /// How long sweeps have found it waiting for its client.
    quiet: Cell<Duration>,
    place: Cell<usize>,
}

impl<B: 'static> InStream<B> {
    pub(in crate::listener) fn new(body: Tracked<B>, pulse: &Rc<Pulse>) -> Self {
        let (body, asked, quiet, place) = (RefCell::new(Some(body)), Cell::new(true), Cell::default(), Cell::default());
        let held = Rc::new(Held { body, asked, quiet, place });
        pulse.streams.push(Rc::clone(&held) as Rc<dyn Untaken>);
        Self { held, pulse: Rc::clone(pulse) }
    }
}

impl<B> Drop for InStream<B> {
    fn drop(&mut self) {
        self.pulse.streams.remove(self.held.place.get());
    }
}

impl<B> Untaken for Held<B> {
    fn is_overdue(&self, passed: Duration, most: Duration) -> bool {
        let waits = !self.asked.take() && self.body.borrow().as_ref().is_some_and(Tracked::is_stalled);
        self.quiet.set(if waits { self.quiet.get() + passed } else { Duration::ZERO });
        waits && self.quiet.get() >= most
    }

    fn give_up(&self) {
        let body = self.body.take();
        drop(body);
    }

    fn place(&self) -> &Cell<usize> {
        &self.place
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for InStream<B>
where
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let held = &self.held;
        held.asked.set(true);
        match held.body.borrow_mut().as_mut() {
            Some(body) => Pin::new(body).poll_frame(context).map(|frame| frame.map(|frame| frame.map_err(Into::into))),
            // The client's window is open again, too late: its stream is reset.
            None => Poll::Ready(Some(Err(TookNothing.into()))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.held.body.borrow().as_ref().is_some_and(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.held.body.borrow().as_ref().map_or_else(SizeHint::default, Body::size_hint)
    }
}
