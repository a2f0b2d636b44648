//! One exchange over HTTP/2: a stream of a connection that carries others beside it.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream};
use http::uri::Scheme;
use http_body::Frame;
use tokio::task::AbortHandle;
use tokio::task::coop::unconstrained;

use super::super::Error;
use super::super::answer::Head;
use super::super::incoming::{BodyError, Framing, owned};
use super::super::pool::Failed;
use super::super::sending::{Piece, SendError, Sending};
use super::super::timer::Timer;
use super::{Slot, head, io_error};
use crate::proxy::headers::{Asked, Names, strip_trailers};

/// One exchange, and how far it has got.
#[derive(Debug)]
pub(in crate::proxy::upstream) struct Exchange {
    slot: Slot,
    /// The request, until it is sent or a task has it that sends what is left of it.
    pub(in crate::proxy::upstream) sending: Sending,
    /// The head of its answer, once it has come.
    pub(in crate::proxy::upstream) head: Head,
    pub(in crate::proxy::upstream) timer: Timer,
    body: Option<RecvStream>,
    rest: Option<Rest>,
}

/// What is left of a request when its answer has begun. It is sent by a task of its own, since either of them may wait
/// for the client while the other moves.
#[derive(Debug)]
struct Rest {
    task: AbortHandle,
    moved: Rc<Cell<bool>>,
}

impl Drop for Rest {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Exchange {
    pub(in crate::proxy::upstream) fn new(slot: Slot) -> Self {
        let (sending, head, body, rest) = Default::default();
        Self { slot, sending, head, timer: Timer::new(), body, rest }
    }

    /// As over HTTP/1.1: sends the request, and waits for the head of its answer.
    pub(in crate::proxy::upstream) async fn run(
        &mut self,
        asked: Asked,
        timeout: Duration,
        scheme: Scheme,
        names: &Names,
    ) -> Result<(), Failed> {
        let goes_on = self.sending.has_more();
        let request =
            head::request(self.sending.begin(), asked, scheme, names).ok_or(Failed::for_good(Error::NotInHttp2))?;
        let (mut response, stream) = self.slot.send(request, !goes_on).map_err(unsent)?;
        let mut upload = Upload { stream, data: Bytes::new(), whole: !goes_on };
        let sending = &mut self.sending;
        self.timer.set(timeout);
        let mut before = sending.pieces();
        let (parts, body) = poll_fn(|cx| {
            if !upload.whole {
                match upload.poll(cx, sending) {
                    Poll::Ready(Err(SendError::Body(error))) => return failed(Error::RequestBody(error)),
                    // A server that takes no more has said why, or the answer is an error in its turn.
                    Poll::Ready(Err(SendError::Server(_))) => upload.whole = true,
                    Poll::Ready(Ok(())) | Poll::Pending => {}
                }
            }
            match Pin::new(&mut response).poll(cx) {
                Poll::Ready(Ok(answer)) => return Poll::Ready(Ok(answer.into_parts())),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(unanswered(error))),
                Poll::Pending => {}
            }
            loop {
                // Not for want of budget, as over HTTP/1.1.
                ready!(pin!(unconstrained(poll_fn(|cx| self.timer.poll(cx)))).poll(cx));
                if sending.pieces() == before && !upload.waits_for_the_client() {
                    self.slot.doubt();
                    return failed(Error::ResponseTimeout(timeout));
                }
                before = sending.pieces();
                self.timer.set(timeout);
            }
        })
        .await?;
        let answer = head::answer(parts, asked, names, body.is_end_stream());
        self.head = answer.map_err(|error| Failed::for_good(Error::Malformed(error)))?;
        if self.head.framing != Framing::Ended {
            self.body = Some(body);
            if !upload.whole {
                self.rest = Some(upload.go_on(std::mem::take(&mut self.sending)));
            }
        }
        Ok(())
    }

    /// The next piece of the answer's body.
    pub(in crate::proxy::upstream) fn poll_piece(
        &mut self,
        cx: &mut Context<'_>,
        names: &Names,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        while let Some(data) = ready!(body.poll_data(cx)).transpose()? {
            let ends = body.is_end_stream();
            self.head.framing.pass(data.len());
            // It is on its way to the client; room for as much may be told.
            body.flow_control().release_capacity(data.len())?;
            if ends {
                self.end();
            } else if data.is_empty() {
                continue;
            }
            return Poll::Ready((!data.is_empty()).then(|| Ok(Frame::data(owned(data)))));
        }
        let trailers = ready!(body.poll_trailers(cx))?;
        self.end();
        Poll::Ready(trailers.and_then(|mut trailers| {
            strip_trailers(&mut trailers, names);
            (!trailers.is_empty()).then(|| Ok(Frame::trailers(trailers)))
        }))
    }

    /// Whether anything of the request was sent since this was last asked.
    pub(in crate::proxy::upstream) fn sends(&self) -> bool {
        self.rest.as_ref().is_some_and(|rest| rest.moved.take())
    }

    /// The body has stood still for too long.
    pub(in crate::proxy::upstream) fn doubt(&self) {
        self.slot.doubt();
    }

    /// The answer has come whole. Who answers before it has the whole request does not want the rest of it.
    fn end(&mut self) {
        (self.body, self.rest) = (None, None);
        self.head.framing = Framing::Ended;
    }
}

/// A request's body on its way.
struct Upload {
    stream: SendStream<Bytes>,
    /// What the server has no room for yet.
    data: Bytes,
    whole: bool,
}

impl Upload {
    /// Sends as much as the client has sent and the server has room for.
    fn poll(&mut self, cx: &mut Context<'_>, sending: &mut Sending) -> Poll<Result<(), SendError>> {
        while !self.whole {
            if self.data.is_empty() {
                match ready!(sending.next(cx)?) {
                    Piece::Data(data) => self.data = data,
                    Piece::End(None) => self.send(Bytes::new(), true)?,
                    Piece::End(Some(trailers)) => {
                        self.stream.send_trailers(trailers).map_err(server)?;
                        self.whole = true;
                    }
                }
                continue;
            }
            self.stream.reserve_capacity(self.data.len());
            let mut room = self.stream.capacity();
            while room == 0 {
                room = match ready!(self.stream.poll_capacity(cx)) {
                    Some(room) => room.map_err(server)?,
                    None => return Poll::Ready(Err(server(Reason::STREAM_CLOSED.into()))),
                };
            }
            let piece = self.data.split_to(room.min(self.data.len()));
            let ends = self.data.is_empty() && !sending.has_more();
            self.send(piece, ends)?;
            sending.count();
        }
        Poll::Ready(Ok(()))
    }

    fn send(&mut self, piece: Bytes, ends: bool) -> Result<(), SendError> {
        self.whole = ends;
        self.stream.send_data(piece, ends).map_err(server)
    }

    fn waits_for_the_client(&self) -> bool {
        !self.whole && self.data.is_empty()
    }

    /// Sends the rest beside the answer.
    fn go_on(mut self, mut sending: Sending) -> Rest {
        let moved = Rc::new(Cell::new(false));
        let told = Rc::clone(&moved);
        sending.wait_for_ever();
        let task = tokio::task::spawn_local(async move {
            let sent = poll_fn(|cx| {
                let before = sending.pieces();
                let sent = self.poll(cx, &mut sending);
                told.set(told.get() || sending.pieces() != before);
                sent
            });
            if let Err(SendError::Body(error)) = sent.await {
                tracing::debug!(%error, "a request that is being answered has broken off");
                self.stream.send_reset(Reason::CANCEL);
            }
        });
        Rest { task: task.abort_handle(), moved }
    }
}

fn server(error: h2::Error) -> SendError {
    SendError::Server(io_error(error))
}

/// A request that never left.
fn unsent(error: h2::Error) -> Failed {
    Failed { error: Error::Broken(io_error(error)), unanswered: false, unprocessed: true }
}

/// One that was refused before anything was done about it may be sent again (RFC 9113 section 8.7). h2 tells no stream
/// of a GOAWAY that the server has taken up.
fn unanswered(error: h2::Error) -> Failed {
    let refused = error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM);
    let unprocessed = error.is_remote() && (refused || error.is_go_away());
    Failed { unanswered: unprocessed || error.is_io(), unprocessed, error: Error::Broken(io_error(error)) }
}

fn failed<T>(error: Error) -> Poll<Result<T, Failed>> {
    Poll::Ready(Err(Failed::for_good(error)))
}
