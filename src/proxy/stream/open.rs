//! The streams that are open in sessions, which end with them.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::session::UnixTime;
use crate::sessions::{Sessions, Watched};

/// How many sessions are looked at at once.
const AT_ONCE: usize = 64;

/// One worker's open streams.
#[derive(Debug, Default)]
pub struct Streams {
    open: RefCell<Vec<Open>>,
    /// Whether they are to end, for the gateway stops.
    leaving: Cell<bool>,
}

#[derive(Debug)]
struct Open {
    session: Option<Watched>,
    /// Whether it would go on for ever, and is ended when the gateway stops.
    leaves: bool,
    /// Dropped when the session has ended; closed when the stream has.
    lasts: oneshot::Sender<Why>,
}

/// Why a stream ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The session that it was opened in has ended.
    Session,
    /// The gateway stops.
    GoingAway,
}

/// Ends when a stream is to, with the reason.
#[derive(Debug)]
pub struct SessionEnd(oneshot::Receiver<Why>);

impl Future for SessionEnd {
    type Output = Why;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Why> {
        Pin::new(&mut self.0).poll(cx).map(|why| why.unwrap_or(Why::Session))
    }
}

/// What comes of something, unless the session ends before that it is asked for in.
pub async fn unless_ended<T>(
    mut end: Option<&mut SessionEnd>,
    mut asked: Pin<&mut impl Future<Output = T>>,
) -> Option<T> {
    poll_fn(|cx| {
        let ended = end.as_mut().is_some_and(|end| Pin::new(&mut **end).poll(cx).is_ready());
        if ended { Poll::Ready(None) } else { asked.as_mut().poll(cx).map(Some) }
    })
    .await
}

impl Streams {
    /// A call in a session, which ends with it, and for the rest when its server says so.
    pub fn enter(&self, session: Watched) -> SessionEnd {
        self.add(Some(session), false)
    }

    /// A stream that goes on for as long as both sides like, in a session or without one.
    pub fn stay(&self, session: Option<Watched>) -> SessionEnd {
        self.add(session, true)
    }

    /// For as long as what is returned is kept.
    fn add(&self, session: Option<Watched>, leaves: bool) -> SessionEnd {
        let (lasts, end) = oneshot::channel();
        self.keep(Open { session, leaves, lasts });
        SessionEnd(end)
    }

    fn keep(&self, open: Open) {
        if open.leaves && self.leaving.get() {
            // It may have ended by itself.
            let _ = open.lasts.send(Why::GoingAway);
        } else {
            self.open.borrow_mut().push(open);
        }
    }

    /// Ends those that would go on for ever, now and as they come: the gateway stops.
    pub fn leave(&self) {
        self.leaving.set(true);
        for open in self.open.take() {
            self.keep(open);
        }
    }

    /// Ends the streams whose session is there no more. Where the store cannot say, they go on.
    pub async fn look(&self, sessions: &Sessions, now: UnixTime) {
        let open = self.open.take().into_iter().filter(|open| !open.lasts.is_closed());
        let (mut left, others): (Vec<_>, Vec<_>) = open.partition(|open| open.session.is_some());
        for open in others {
            self.keep(open);
        }
        let mut left = left.drain(..);
        let mut looking = JoinSet::new();
        loop {
            for mut open in left.by_ref().take(AT_ONCE - looking.len()) {
                let sessions = sessions.clone();
                looking.spawn_local(async move {
                    let Some(session) = &mut open.session else { return Some(open) };
                    let stands = sessions.still_stands(session, now).await;
                    stands.unwrap_or(true).then_some(open)
                });
            }
            match looking.join_next().await {
                Some(Ok(Some(open))) => self.keep(open),
                // A look that panics ends its stream, and says why itself.
                Some(Ok(None) | Err(_)) => {}
                None => return,
            }
        }
    }
}
