//! The streams that are open in sessions, which end with them.

use std::cell::RefCell;
use std::convert::Infallible;
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
pub struct Streams(RefCell<Vec<Open>>);

#[derive(Debug)]
struct Open {
    session: Watched,
    /// Dropped when the session has ended; closed when the stream has.
    lasts: oneshot::Sender<Infallible>,
}

/// Ends when the session of a stream has ended.
#[derive(Debug)]
pub struct SessionEnd(oneshot::Receiver<Infallible>);

impl Future for SessionEnd {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(cx).map(|_| ())
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
    /// One more, for as long as what is returned is kept.
    pub fn enter(&self, session: Watched) -> SessionEnd {
        let (lasts, end) = oneshot::channel();
        self.0.borrow_mut().push(Open { session, lasts });
        SessionEnd(end)
    }

    /// Ends the streams whose session is there no more. Where the store cannot say, they go on.
    pub async fn look(&self, sessions: &Sessions, now: UnixTime) {
        let mut left = self.0.take().into_iter().filter(|open| !open.lasts.is_closed());
        let mut looking = JoinSet::new();
        loop {
            for mut open in left.by_ref().take(AT_ONCE - looking.len()) {
                let sessions = sessions.clone();
                looking.spawn_local(async move {
                    let stands = sessions.still_stands(&mut open.session, now).await;
                    stands.unwrap_or(true).then_some(open)
                });
            }
            match looking.join_next().await {
                Some(Ok(Some(open))) => self.0.borrow_mut().push(open),
                // A look that panics ends its stream, and says why itself.
                Some(Ok(None) | Err(_)) => {}
                None => return,
            }
        }
    }
}
