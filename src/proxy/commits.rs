//! What an answer asks of its session: taken, stored, whether or not anybody still waits for it, and told to the
//! browser.

use std::cell::Cell;
use std::rc::Rc;

use http::header::{HeaderMap, SET_COOKIE};
use http::request;
use tokio::sync::Notify;

use super::error::Error;
use super::upstream::{self, Trust, Upstream};
use super::{Proxy, headers};
use crate::session::{Change, UnixTime};
use crate::sessions::{Answer as MayCarry, Cookie, Error as SessionError, Visit};
use crate::store;

impl Proxy {
    /// Takes what the answer asks of the session out of it.
    pub(super) fn take_change(
        &self,
        upstream: &Upstream,
        visit: Option<&Visit>,
        answer: &mut upstream::Answer,
    ) -> Result<Change, Error> {
        let trust = if visit.is_some() { upstream.trust() } else { Trust::None };
        let status = answer.status();
        let taken = headers::take_change(answer.session(), &self.names, trust, status).map_err(|source| {
            self.counters.malformed.increment();
            Error::Change { upstream: upstream.name().to_owned(), source }
        })?;
        self.counters.untrusted.add(taken.untrusted as u64);
        self.counters.on_failure.add(taken.on_failure as u64);
        Ok(taken.change)
    }

    /// Stores what the answer asks, and puts our cookie into it. It is stored before the head leaves: the cookie is in
    /// the head, and a redirect must not overtake its own session.
    pub(super) async fn commit(
        &self,
        upstream: &Upstream,
        visit: Visit,
        change: Change,
        head: &request::Parts,
        answer: &mut upstream::Answer,
        now: UnixTime,
    ) -> Result<Cookie, Error> {
        let (status, otherwise) = (answer.status(), headers::unasked(head, self.same_site));
        let may_carry = headers::answer(answer.headers(), status, otherwise);
        let committed = self.store(visit, change, may_carry, now).await;
        let cookie = committed.map_err(|source| Error::session(upstream, source))?;
        self.tell_browser(&cookie, answer.headers());
        Ok(cookie)
    }

    /// Stores what was asked, whether or not the client is still there: its backend has answered, and takes a logout
    /// for done.
    async fn store(
        &self,
        visit: Visit,
        change: Change,
        may_carry: MayCarry,
        now: UnixTime,
    ) -> Result<Cookie, SessionError> {
        if change.is_empty() {
            return self.sessions.commit(&visit, &change, may_carry, now).await;
        }
        let sessions = self.sessions.clone();
        let storing = async move { sessions.commit(&visit, &change, may_carry, now).await };
        let under_way = self.commits.begin();
        let storing = async move {
            let _under_way = under_way;
            storing.await
        };
        match tokio::task::spawn_local(storing).await {
            Ok(committed) => committed,
            Err(ended) => match ended.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The worker has come to its end in the middle of it.
                Err(_) => Err(store::Error::Unavailable(store::Outage::Lost).into()),
            },
        }
    }

    fn tell_browser(&self, cookie: &Cookie, headers: &mut HeaderMap) {
        if let Some(set_cookie) = self.cookie.set_cookie(cookie) {
            headers.append(SET_COOKIE, set_cookie);
            headers::keep_from_caches(headers);
        }
    }
}

/// One worker's changes that are on their way to the store.
#[derive(Clone, Debug, Default)]
pub(super) struct Commits(Rc<State>);

#[derive(Debug, Default)]
struct State {
    count: Cell<usize>,
    none_left: Notify,
}

/// One of them, for as long as this lives.
#[derive(Debug)]
pub(super) struct Commit(Rc<State>);

impl Commits {
    pub(super) fn begin(&self) -> Commit {
        self.0.count.set(self.0.count.get() + 1);
        Commit(Rc::clone(&self.0))
    }

    /// Ends when there is none.
    pub(super) async fn done(&self) {
        while self.0.count.get() > 0 {
            self.0.none_left.notified().await;
        }
    }
}

impl Drop for Commit {
    fn drop(&mut self) {
        self.0.count.set(self.0.count.get() - 1);
        if self.0.count.get() == 0 {
            self.0.none_left.notify_one();
        }
    }
}
