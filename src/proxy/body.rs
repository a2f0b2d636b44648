//! Bodies on their way through: never collected, never waited for without end, their trailers under the header rules.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Sleep, sleep};

use super::access::Exchange;
use super::headers::{Length, Names, strip_trailers};
use super::stream::{MaySwitch, SessionEnd, Tunnel};
use super::upstream::{self, BodyError};

/// Why a client's body ended early.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The client's connection failed, or what it sent is no body.
    #[error(transparent)]
    Client(#[from] hyper::Error),
    /// It is longer or shorter than the client had said.
    #[error("its length is not the one announced")]
    Length,
    /// It is longer than its route allows, in bytes.
    #[error("the body is longer than {0} bytes")]
    TooLong(u64),
    /// Nothing came for too long.
    #[error("the body stood still for {} s", .0.as_secs())]
    Stalled(Duration),
    /// So little came that a server would be held for nothing.
    #[error("the body came more slowly than {0} bytes a second")]
    Slow(u64),
}

/// Over how long a body's rate is looked at.
const WINDOW: Duration = Duration::from_secs(8);

/// What may be expected of a request's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    /// How long it may stand still.
    pub timeout: Duration,
    /// How many bytes a second it must bring, over any [`WINDOW`] in which it is waited for, until its answer begins.
    pub min_rate: u64,
    /// How many bytes it may have, where there is a limit.
    pub most: Option<u64>,
}

/// A request's body on its way upstream. It may not stand still, and its trailers carry no session header.
#[derive(Debug, Default)]
pub struct RequestBody(Option<Box<Uploading>>);

#[derive(Debug)]
struct Uploading {
    incoming: Incoming,
    names: Rc<Names>,
    /// How long it may stand still, if that is for it to know.
    timeout: Option<Duration>,
    /// How many bytes a second it must bring; zero where it may take its time.
    min_rate: u64,
    /// How many bytes it may have.
    most: u64,
    /// How many of them have not come yet.
    left: u64,
    /// Made when the body is first waited for, which a small one never is.
    timer: Option<Pin<Box<Sleep>>>,
    /// Whether anything came since the timer was set. It is set anew when it fires, not for every piece.
    moved: bool,
    /// For how long nothing has come, as far as the timer knows.
    still: Duration,
    /// How many bytes came within how much of the window that is looked at.
    came: u64,
    watched: Duration,
}

impl RequestBody {
    /// The client's.
    pub fn new(incoming: Incoming, names: &Rc<Names>, expected: Expected) -> Result<Self, Error> {
        let Expected { timeout, min_rate, most } = expected;
        if incoming.is_end_stream() {
            return Ok(Self(None));
        }
        let most = most.unwrap_or(u64::MAX);
        // Before a byte of it is asked for (RFC 9110 section 10.1.1).
        if incoming.size_hint().lower() > most {
            return Err(Error::TooLong(most));
        }
        let names = Rc::clone(names);
        let timeout = Some(timeout);
        Ok(Self(Some(Box::new(Uploading {
            incoming,
            names,
            timeout,
            min_rate,
            most,
            left: most,
            timer: None,
            moved: false,
            still: Duration::ZERO,
            came: 0,
            watched: Duration::ZERO,
        }))))
    }

    /// How long it is.
    pub fn length(&self) -> Length {
        match &self.0 {
            None => Length::Empty,
            Some(uploading) => uploading.incoming.size_hint().exact().map_or(Length::Unknown, Length::Known),
        }
    }

    /// Whether all of it has been taken, its trailers too.
    pub fn is_end(&self) -> bool {
        self.0.as_ref().is_none_or(|uploading| uploading.incoming.is_end_stream())
    }

    /// It may take its time from now on: what follows the beginning of its answer may be a conversation.
    pub fn take_time(&mut self) {
        if let Some(uploading) = &mut self.0 {
            uploading.min_rate = 0;
        }
    }

    /// It may stand still for as long as it likes from now on.
    pub fn wait_for_ever(&mut self) {
        if let Some(uploading) = &mut self.0 {
            uploading.timeout = None;
        }
    }

    /// The next piece.
    pub fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        self.0.as_mut().map_or(Poll::Ready(None), |uploading| uploading.poll_frame(cx))
    }
}

impl Uploading {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match Pin::new(&mut self.incoming).poll_frame(cx) {
            Poll::Ready(Some(Ok(mut frame))) => {
                self.moved = true;
                let length = frame.data_ref().map_or(0, |data| data.len() as u64);
                let Some(left) = self.left.checked_sub(length) else {
                    return Poll::Ready(Some(Err(Error::TooLong(self.most))));
                };
                self.left = left;
                self.came += length;
                if let Some(trailers) = frame.trailers_mut() {
                    strip_trailers(trailers, &self.names);
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(error.into()))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => self.stand_still(cx),
        }
    }

    fn stand_still(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let Some(timeout) = self.timeout else { return Poll::Pending };
        let period = timeout.min(WINDOW);
        loop {
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(period)));
            ready!(timer.as_mut().poll(cx));
            self.timer = None;
            self.still = if std::mem::take(&mut self.moved) { Duration::ZERO } else { self.still + period };
            if self.still >= timeout {
                return Poll::Ready(Some(Err(Error::Stalled(timeout))));
            }
            self.watched += period;
            if self.watched >= WINDOW {
                let (came, watched) = (std::mem::take(&mut self.came), std::mem::take(&mut self.watched));
                if came < self.min_rate.saturating_mul(watched.as_secs()) {
                    return Poll::Ready(Some(Err(Error::Slow(self.min_rate))));
                }
            }
        }
    }
}

/// A response's body on its way to the client. When it is dropped, its exchange is counted and logged.
#[derive(Debug)]
pub struct ResponseBody {
    source: Source,
    /// None where what takes the body's place has it.
    exchange: Option<Exchange>,
    /// Comes when the session has ended, and the body with it.
    session_end: Option<SessionEnd>,
    /// The trailers that it has then.
    farewell: Option<Box<HeaderMap>>,
}

#[derive(Debug)]
enum Source {
    Upstream(upstream::Incoming),
    /// Our own, of one piece.
    Own(Option<Bytes>),
    /// None: what follows the head is another protocol.
    Switched(Option<Box<Tunnel>>),
}

impl ResponseBody {
    /// The upstream's, which ends with its session where one is given, by this `farewell`.
    pub fn upstream(
        incoming: upstream::Incoming,
        session_end: Option<SessionEnd>,
        farewell: Option<HeaderMap>,
        exchange: Exchange,
    ) -> Self {
        let farewell = farewell.map(Box::new);
        Self { source: Source::Upstream(incoming), exchange: Some(exchange), session_end, farewell }
    }

    /// One of our own.
    pub fn own(text: Bytes, exchange: Exchange) -> Self {
        let source = Source::Own((!text.is_empty()).then_some(text));
        Self { source, exchange: Some(exchange), session_end: None, farewell: None }
    }

    /// None, for an answer that nobody counts here.
    pub fn none() -> Self {
        Self { source: Source::Own(None), exchange: None, session_end: None, farewell: None }
    }

    /// None, for what follows the head is another protocol.
    pub fn switched(tunnel: Tunnel) -> Self {
        let source = Source::Switched(Some(Box::new(tunnel)));
        Self { source, exchange: None, session_end: None, farewell: None }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        if let Some(end) = &mut this.session_end
            && Pin::new(end).poll(cx).is_ready()
        {
            // The upstream's connection is closed, and the client has a whole answer.
            (this.source, this.session_end) = (Source::Own(None), None);
            if let Some(trailers) = this.farewell.take() {
                return Poll::Ready(Some(Ok(Frame::trailers(*trailers))));
            }
        }
        let next = match &mut this.source {
            Source::Own(text) => text.take().map(|text| Ok(Frame::data(text))),
            Source::Upstream(incoming) => ready!(incoming.poll_next(cx)),
            Source::Switched(_) => None,
        };
        match (&next, &mut this.exchange) {
            (Some(Ok(frame)), Some(exchange)) => exchange.sent(frame.data_ref().map_or(0, Bytes::len)),
            (Some(Err(_)), Some(exchange)) => exchange.broken(),
            (None, _) | (_, None) => {}
        }
        Poll::Ready(next)
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Own(text) => text.is_none(),
            Source::Switched(_) => true,
            Source::Upstream(incoming) => incoming.is_end(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Own(text) => SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64)),
            Source::Switched(_) => SizeHint::with_exact(0),
            Source::Upstream(incoming) => incoming.left().map_or_else(SizeHint::default, SizeHint::with_exact),
        }
    }
}

impl MaySwitch for ResponseBody {
    fn switched(&mut self) -> Option<Box<Tunnel>> {
        match &mut self.source {
            Source::Switched(tunnel) => tunnel.take(),
            Source::Upstream(_) | Source::Own(_) => None,
        }
    }
}
