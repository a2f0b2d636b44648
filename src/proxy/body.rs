//! Bodies on their way through: never collected, never waited for without end, their trailers under the header rules.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Sleep, sleep};

use super::access::Exchange;
use super::headers::{Names, strip_trailers};
use super::upstream::Lease;

/// Why a body ended early.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The peer's connection failed, or what it sent is no body.
    #[error(transparent)]
    Peer(#[from] hyper::Error),
    /// Nothing came for too long.
    #[error("the body stood still for {} s", .0.as_secs())]
    Stalled(Duration),
}

/// An [`Incoming`] body that may not stand still, and whose trailers carry no session header.
#[derive(Debug)]
struct Watched {
    incoming: Incoming,
    names: Rc<Names>,
    timeout: Duration,
    /// Made when the body is first waited for, which a small one never is.
    timer: Option<Pin<Box<Sleep>>>,
    /// Whether anything came since the timer was set. It is set anew when it fires, not for every piece.
    moved: bool,
}

impl Watched {
    fn new(incoming: Incoming, names: Rc<Names>, timeout: Duration) -> Self {
        Self { incoming, names, timeout, timer: None, moved: false }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match Pin::new(&mut self.incoming).poll_frame(cx) {
            Poll::Ready(Some(Ok(mut frame))) => {
                self.moved = true;
                if let Some(trailers) = frame.trailers_mut() {
                    strip_trailers(trailers, &self.names);
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(error.into()))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => self.wait(cx),
        }
    }

    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        loop {
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(self.timeout)));
            ready!(timer.as_mut().poll(cx));
            if !std::mem::take(&mut self.moved) {
                return Poll::Ready(Some(Err(Error::Stalled(self.timeout))));
            }
            self.timer = None;
        }
    }
}

/// A request's body on its way upstream.
#[derive(Debug)]
pub struct RequestBody(Option<Sending>);

#[derive(Debug)]
struct Sending {
    body: Watched,
    sent: Rc<Sent>,
}

#[derive(Debug, Default)]
struct Sent {
    pieces: Cell<u64>,
    whole: Cell<bool>,
}

/// How far a request's body has got.
#[derive(Debug)]
pub struct Progress(Option<Rc<Sent>>);

impl Progress {
    /// A number that grows while the body is being sent.
    pub fn pieces(&self) -> u64 {
        self.0.as_ref().map_or(0, |sent| sent.pieces.get())
    }

    /// Whether the body was taken in whole.
    pub fn is_whole(&self) -> bool {
        self.0.as_ref().is_none_or(|sent| sent.whole.get())
    }
}

impl RequestBody {
    /// The client's, which may stand still for `timeout`.
    pub fn new(incoming: Incoming, names: Rc<Names>, timeout: Duration) -> Self {
        if incoming.is_end_stream() {
            return Self(None);
        }
        Self(Some(Sending { body: Watched::new(incoming, names, timeout), sent: Rc::default() }))
    }

    /// None at all.
    pub fn empty() -> Self {
        Self(None)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// What tells how far it has got, once it is on its way.
    pub fn progress(&self) -> Progress {
        Progress(self.0.as_ref().map(|sending| Rc::clone(&sending.sent)))
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let Some(Sending { body, sent }) = &mut self.0 else { return Poll::Ready(None) };
        let frame = ready!(body.poll(cx));
        sent.pieces.set(sent.pieces.get() + 1);
        if frame.is_none() || body.incoming.is_end_stream() {
            sent.whole.set(true);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(|sending| sending.body.incoming.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map_or(SizeHint::with_exact(0), |sending| sending.body.incoming.size_hint())
    }
}

/// A response's body on its way to the client. When it is dropped, its exchange is counted and logged.
#[derive(Debug)]
pub struct ResponseBody {
    source: Source,
    exchange: Exchange,
}

#[derive(Debug)]
enum Source {
    /// From the upstream, over a connection that is given back once the body has come whole.
    Upstream { body: Watched, lease: Option<Lease> },
    /// Our own, of one piece.
    Own(Option<Bytes>),
}

impl ResponseBody {
    /// The upstream's, which may stand still for `timeout`.
    pub fn upstream(incoming: Incoming, lease: Lease, names: Rc<Names>, timeout: Duration, exchange: Exchange) -> Self {
        let body = Watched::new(incoming, names, timeout);
        Self { source: Source::Upstream { body, lease: Some(lease) }, exchange }
    }

    /// One of our own.
    pub fn own(text: Bytes, exchange: Exchange) -> Self {
        Self { source: Source::Own((!text.is_empty()).then_some(text)), exchange }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        let frame = match &mut this.source {
            Source::Own(text) => text.take().map(|text| Ok(Frame::data(text))),
            Source::Upstream { body, lease } => match ready!(body.poll(cx)) {
                None => {
                    give_back(lease);
                    None
                }
                // The rest may never come; the connection is closed with it.
                Some(Err(error)) => {
                    drop(lease.take());
                    this.exchange.broken();
                    Some(Err(error))
                }
                frame => frame,
            },
        };
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            this.exchange.sent(data.len());
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Own(text) => text.is_none(),
            Source::Upstream { body, .. } => body.incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Own(text) => SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64)),
            Source::Upstream { body, .. } => body.incoming.size_hint(),
        }
    }
}

fn give_back(lease: &mut Option<Lease>) {
    if let Some(lease) = lease.take() {
        lease.release();
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        // A body of known length is not asked for its end: hyper drops it once the length is reached.
        if let Source::Upstream { body, lease } = &mut self.source
            && body.incoming.is_end_stream()
        {
            give_back(lease);
        }
    }
}
