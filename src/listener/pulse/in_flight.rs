//! Requests in flight, and what becomes of their answers.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::{Order, Pulse};

/// One request in flight: from its head to the last byte of its response, or to the moment it is given up.
#[derive(Debug)]
pub(in crate::listener) struct Request {
    pulse: Rc<Pulse>,
    stalled: bool,
}

impl Request {
    pub(in crate::listener) fn begin(pulse: &Rc<Pulse>) -> Self {
        pulse.active.set(pulse.active.get() + 1);
        pulse.fresh.set(false);
        pulse.closes_idle.set(false);
        pulse.earn(pulse.advanced.take());
        pulse.beat();
        Self { pulse: Rc::clone(pulse), stalled: false }
    }

    /// Whether no other is to follow.
    pub(in crate::listener) fn is_last(&self) -> bool {
        self.pulse.order.get() > Order::Serve
    }

    fn set_stalled(&mut self, stalled: bool) {
        if self.stalled == stalled {
            return;
        }
        self.stalled = stalled;
        let count = self.pulse.stalled.get();
        self.pulse.stalled.set(if stalled { count + 1 } else { count - 1 });
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        self.set_stalled(false);
        self.pulse.active.set(self.pulse.active.get() - 1);
        self.pulse.beat();
    }
}

/// A response body that keeps its request in flight.
///
/// hyper asks for the next frame as soon as it has room for it. So a body that gave a frame and is not asked again
/// waits for the client, and one that had nothing to give waits for its upstream, which has timeouts of its own.
#[derive(Debug)]
pub(in crate::listener) struct Tracked<B> {
    body: B,
    request: Request,
}

impl<B> Tracked<B> {
    pub(in crate::listener) fn new(body: B, request: Request) -> Self {
        Self { body, request }
    }

    /// Whether it waits for the client.
    pub(super) fn is_stalled(&self) -> bool {
        self.request.stalled
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Tracked<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let me = self.get_mut();
        let polled = Pin::new(&mut me.body).poll_frame(context);
        if matches!(polled, Poll::Ready(Some(Ok(_)))) {
            me.request.set_stalled(true);
            me.request.pulse.beat();
            me.request.pulse.earn_part();
        } else {
            me.request.set_stalled(false);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
