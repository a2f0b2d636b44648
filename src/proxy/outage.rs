//! What a session's ticket gets while the store cannot be asked.

use super::Proxy;
use super::route::OnStoreFailure;
use crate::session::{Ticket, UnixTime};
use crate::sessions::{Error as SessionError, Sessions, Visit};
use crate::store;

impl Proxy {
    /// What becomes of a request whose session could not be opened. Whoever has no session is served without a
    /// question.
    pub(super) fn without_store(
        &self,
        error: SessionError,
        policy: OnStoreFailure,
        ticket: Option<Ticket>,
        now: UnixTime,
    ) -> Result<Visit, SessionError> {
        let SessionError::Store(because @ store::Error::Unavailable(_)) = error else { return Err(error) };
        let (visit, counter) = match policy {
            OnStoreFailure::Anonymous => (Some(Sessions::stranger(because, now)), &self.counters.served_anonymous),
            OnStoreFailure::Stale => {
                let visit = ticket.and_then(|ticket| self.sessions.open_old(&ticket, because, now));
                (visit, &self.counters.served_stale)
            }
            OnStoreFailure::Reject => (None, &self.counters.rejected),
        };
        let counter = if visit.is_some() { counter } else { &self.counters.rejected };
        counter.increment();
        visit.ok_or(error)
    }
}
