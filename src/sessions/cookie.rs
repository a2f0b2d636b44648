//! What becomes of the browser's cookie, and the periodic renewal that replaces it.

use std::sync::Arc;
use std::time::Duration;

use super::privilege::MOST_TRIES;
use super::{Found, Sessions, Step};
use crate::session::{Entry, Kind, Secret, Session, StoreKey, Ticket, UnixTime};
use crate::session::{entry::Renewed, lifetime, ticket::Signed};
use crate::store::{Replace, Replaced};

/// What becomes of the browser's cookie.
#[derive(Debug, PartialEq, Eq)]
pub enum Cookie {
    /// Nothing: no `Set-Cookie` of ours at all.
    Keep,
    /// It is set.
    Set {
        /// The cookie's value.
        ticket: Signed,
        /// Its `Max-Age`; it dies with the browser where there is none.
        max_age: Option<Duration>,
    },
    /// It is deleted.
    Clear,
}

/// What an answer may carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It goes to one browser, which sent the cookie that it has.
    Private,
    /// It goes to one browser, which may have a cookie that it did not send with this request: no guest's ticket may
    /// overwrite that.
    CookieWithheld,
    /// Shared caches may keep it: it may not carry a cookie that can wait.
    Shared,
}

/// Whether the browser needs a cookie.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// It has the right one.
    No,
    /// It has one that still works.
    WhenPrivate,
    /// The answer is worthless without it.
    Now,
}

impl Sessions {
    /// The cookie for a live session.
    pub(super) async fn cookie(
        &self,
        session: Arc<Session>,
        secret: Secret,
        key: StoreKey,
        due: Due,
        answer: Answer,
        now: UnixTime,
    ) -> Cookie {
        let shared = answer == Answer::Shared;
        if !shared && self.settings.lifetimes.renewal_due(&session, now) {
            return self.renew_if_due(session, secret, key, due, now).await;
        }
        let wanted = due == Due::Now || (due == Due::WhenPrivate && !shared);
        if wanted { self.session_cookie(&session, &secret, now) } else { Cookie::Keep }
    }

    /// Periodic renewal. The new secret follows from the old one, so that parallel requests, here and in other
    /// gateways, arrive at the same ticket, and one of them writes it.
    pub(super) async fn renew_if_due(
        &self,
        mut session: Arc<Session>,
        secret: Secret,
        key: StoreKey,
        due: Due,
        now: UnixTime,
    ) -> Cookie {
        for _ in 0..MOST_TRIES {
            let issued_at = session.issued_at;
            let next = self.ring.next_secret(&secret, issued_at);
            let to = next.store_key();
            let moved = Session {
                issued_at: now,
                renewed_from: Some(Box::new(key)),
                version: session.version.wrapping_add(1),
                ..Session::clone(&session)
            };
            let leave = Entry::Renewed(Box::new(Renewed { to, issued_at, until: now.after(lifetime::OLD_TICKET) }));
            let cookie = self.session_cookie(&moved, &next, now);
            let step = Replace { old: &key, seen: Some(session.version), leave, new: &to, session: moved };
            match self.store.replace(step, now).await {
                Ok(Replaced::Done) => {
                    self.counters.renewed.increment();
                    return cookie;
                }
                Ok(Replaced::Changed) => match self.find(secret.clone(), key, Step::Commit, now).await {
                    Ok(Found::Live { session, secret, moved: true, .. }) => {
                        return self.session_cookie(&session, &secret, now);
                    }
                    Ok(Found::Live { session: changed, .. }) => session = changed,
                    Ok(Found::Dead | Found::Nothing) => return Cookie::Keep,
                    Err(_) => break,
                },
                // Nobody has asked for it: a store that takes no changes costs nobody the answer.
                Ok(Replaced::Taken) | Err(_) => break,
            }
        }
        // It can wait for the next request; what was to be stored is stored.
        if due == Due::No { Cookie::Keep } else { self.session_cookie(&session, &secret, now) }
    }

    pub(super) fn session_cookie(&self, session: &Session, secret: &Secret, now: UnixTime) -> Cookie {
        let ticket = Ticket { kind: Kind::Session, issued_at: session.issued_at, secret: secret.clone() };
        let max_age = session.persistent.then(|| self.settings.lifetimes.end(session).since(now));
        Cookie::Set { ticket: ticket.sign(&self.ring), max_age }
    }

    pub(super) fn guest_cookie(&self, secret: &Secret, now: UnixTime) -> Cookie {
        let ticket = Ticket { kind: Kind::Guest, issued_at: now, secret: secret.clone() };
        Cookie::Set { ticket: ticket.sign(&self.ring), max_age: None }
    }
}
