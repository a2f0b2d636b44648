//! What a response asks of the session, and what becomes of the browser's cookie.

use std::sync::Arc;
use std::time::Duration;

use super::{Error, Found, MOST_RENEWALS, Sessions, Standing, Visit};
use crate::session::{Change, Edit, End, Entry, Kind, Secret, Session, StoreKey, Ticket, UnixTime};
use crate::session::{entry::Renewed, lifetime, ticket::Signed};
use crate::store::{EditRules, Edited, Ended, Replace, Replaced, edited};

/// How often a step over two keys is tried when others change the session meanwhile.
const MOST_TRIES: usize = 8;

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

/// Who may keep the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The browser alone.
    Private,
    /// Shared caches too: it may not carry a cookie that can wait.
    Shared,
}

/// What the session is once the change is made.
enum After {
    Live {
        session: Arc<Session>,
        secret: Secret,
        key: StoreKey,
        cookie: Due,
    },
    Emptied,
    /// Nothing is stored, as before.
    Nothing,
    /// Nothing is stored, and the old ticket is dead.
    Guest {
        secret: Secret,
    },
    /// The ticket is dead.
    Dropped,
}

/// Whether the browser needs a cookie.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Due {
    /// It has the right one.
    No,
    /// It has one that still works.
    WhenPrivate,
    /// The answer is worthless without it.
    Now,
}

impl Sessions {
    /// Makes `change`, and says what becomes of the cookie. An error means that nothing was stored.
    pub async fn commit(&self, visit: &Visit, change: &Change, answer: Answer, now: UnixTime) -> Result<Cookie, Error> {
        let committed = self.try_commit(visit, change, answer, now).await;
        if committed.is_err() {
            self.counters.failed.increment();
        }
        committed
    }

    async fn try_commit(&self, visit: &Visit, change: &Change, answer: Answer, now: UnixTime) -> Result<Cookie, Error> {
        if let Some(end @ (End::This | End::All)) = change.end {
            if !change.edit.is_empty() {
                // There will be no session to keep it in.
                self.counters.dropped.increment();
            }
            return self.end(visit, end, answer, now).await;
        }
        let after = if let Some(user) = &change.user {
            self.log_in(visit, user, &change.edit, now).await?
        } else if change.renew {
            self.renew(visit, &change.edit, now).await?
        } else if !change.edit.is_empty() {
            self.edit(visit, &change.edit, now).await?
        } else {
            After::Nothing
        };
        if change.end == Some(End::Others) {
            self.end_others(visit, &after, now).await?;
        }
        match after {
            After::Live { session, secret, key, cookie } => {
                self.cookie(session, secret, key, cookie, answer, now).await
            }
            After::Nothing => self.keep(visit, answer, now).await,
            After::Guest { secret } if self.settings.guest_cookie => Ok(self.guest_cookie(&secret, now)),
            After::Emptied | After::Guest { .. } => Ok(Cookie::Clear),
            After::Dropped => {
                self.counters.dropped.increment();
                Ok(Cookie::Keep)
            }
        }
    }

    /// Nothing changes. The store is asked only where a cookie would be set: what was true when the request came may
    /// not be any more, and a late answer must not overwrite the cookie of a login that came in between.
    async fn keep(&self, visit: &Visit, answer: Answer, now: UnixTime) -> Result<Cookie, Error> {
        if answer == Answer::Shared {
            return Ok(Cookie::Keep);
        }
        match &visit.standing {
            Standing::New { expired: Some(key) } => match self.store.load(key, now).await? {
                Some(_) => Ok(Cookie::Keep),
                None if self.settings.guest_cookie => Ok(self.guest_cookie(&visit.secret, now)),
                None => Ok(Cookie::Clear),
            },
            Standing::New { expired: None } if self.settings.guest_cookie => Ok(self.guest_cookie(&visit.secret, now)),
            Standing::Guest if visit.outdated => match self.store.load(&visit.key, now).await? {
                Some(_) => Ok(Cookie::Keep),
                None => Ok(self.guest_cookie(&visit.secret, now)),
            },
            Standing::Live(session) if visit.outdated => match self.store.load(&visit.key, now).await? {
                Some(Entry::Live(session)) => Ok(self.session_cookie(&session, &visit.secret, now)),
                Some(Entry::Renewed(_)) if self.settings.lifetimes.renewal_due(session, now) => {
                    self.renew_if_due(Arc::clone(session), visit.secret.clone(), visit.key, Due::No, now).await
                }
                _ => Ok(Cookie::Keep),
            },
            Standing::Live(session) if self.settings.lifetimes.renewal_due(session, now) => {
                self.renew_if_due(Arc::clone(session), visit.secret.clone(), visit.key, Due::No, now).await
            }
            Standing::New { expired: None } | Standing::Guest | Standing::Live(_) | Standing::Dead => Ok(Cookie::Keep),
        }
    }

    /// Applies an edit to the session as it stands now, whatever it was when the request came.
    async fn edit(&self, visit: &Visit, edit: &Edit, now: UnixTime) -> Result<After, Error> {
        // A first write joins a session that a parallel one has just given birth to, and no older one: a guest's
        // ticket that somebody planted long ago is no way into the session that was born of it.
        let birth = match visit.standing {
            Standing::Dead => return Ok(After::Dropped),
            Standing::Live(_) => None,
            Standing::New { .. } | Standing::Guest => Some(self.joinable_since(now)),
        };
        let rules = EditRules { birth, max_data: self.settings.max_data };
        let (mut secret, mut key) = (visit.secret.clone(), visit.key);
        for _ in 0..MOST_RENEWALS {
            match self.store.edit(&key, edit, rules, now).await? {
                Edited::Live(session) => {
                    let cookie = due_after_edit(visit, &session, &key);
                    return Ok(After::Live { session, secret, key, cookie });
                }
                Edited::Born(session) => {
                    self.counters.born.increment();
                    return Ok(After::Live { session, secret, key, cookie: Due::Now });
                }
                Edited::Emptied => {
                    self.counters.emptied.increment();
                    return Ok(After::Emptied);
                }
                Edited::Renewed(renewed) => match self.follow(&secret, &renewed) {
                    Some(next) => (secret, key) = (next, renewed.to),
                    None => return Ok(After::Dropped),
                },
                Edited::Dead => return Ok(After::Dropped),
                Edited::Missing => return self.born_anew(edit, now).await,
            }
        }
        Ok(After::Dropped)
    }

    /// How long ago a session may have been born for a guest's write to count as parallel to its first.
    fn joinable_since(&self, now: UnixTime) -> UnixTime {
        UnixTime(now.0.saturating_sub(self.settings.lifetimes.tombstone.as_secs()))
    }

    fn not_the_guests(&self, visit: &Visit, session: &Session, now: UnixTime) -> bool {
        matches!(visit.standing, Standing::Guest) && session.created < self.joinable_since(now)
    }

    /// The session expired while the request was under way: what it keeps begins a new one. The old key stays dead.
    async fn born_anew(&self, edit: &Edit, now: UnixTime) -> Result<After, Error> {
        if !edit.keeps_something() {
            return Ok(After::Nothing);
        }
        let secret = Secret::random();
        let key = secret.store_key();
        let session = edited(&Session::new(key, now), edit, self.settings.max_data)?;
        let session = self.store.insert(&key, session).await?;
        self.counters.born.increment();
        Ok(After::Live { session, secret, key, cookie: Due::Now })
    }

    /// A login: always a new secret and a new id. It passes even with a dead ticket, for the request carried its proof.
    async fn log_in(&self, visit: &Visit, user: &str, edit: &Edit, now: UnixTime) -> Result<After, Error> {
        for _ in 0..MOST_TRIES {
            let (left, from) = self.to_be_left(visit, now).await?;
            let secret = Secret::random();
            let key = secret.store_key();
            let mut session = Session { user: Some(user.into()), ..Session::new(key, now) };
            if let Some(old) = &from {
                let same_user = old.user.as_deref() == Some(user);
                if same_user || old.user.is_none() {
                    session.data = old.data.clone();
                }
                session.persistent = same_user && old.persistent;
            }
            let session = edited(&session, edit, self.settings.max_data)?;
            if let Some(session) = self.supersede(left, from.as_deref(), key, session, now).await? {
                self.counters.logged_in.increment();
                return Ok(After::Live { session, secret, key, cookie: Due::Now });
            }
        }
        Err(Error::Contended)
    }

    /// A new secret and id for the same session, at the backend's request.
    async fn renew(&self, visit: &Visit, edit: &Edit, now: UnixTime) -> Result<After, Error> {
        for _ in 0..MOST_TRIES {
            let (left, from) = match (self.to_be_left(visit, now).await?, &visit.standing) {
                (_, Standing::Dead) | ((None, None), Standing::Live(_) | Standing::Guest) => {
                    return Ok(After::Dropped);
                }
                (left_from, _) => left_from,
            };
            let secret = Secret::random();
            let key = secret.store_key();
            let Some(old) = from else {
                // A guest has nothing to take along: the old ticket dies, and what is kept begins under the new one.
                if let Some(left) = left {
                    self.store.end(&left, true, self.tombstone(now), now).await?;
                }
                let visit = Visit::fresh(Standing::New { expired: None });
                return match self.edit(&visit, edit, now).await? {
                    After::Nothing => Ok(After::Guest { secret: visit.secret }),
                    after => Ok(after),
                };
            };
            let session = Session { id: key.into(), issued_at: now, renewed_from: None, ..Session::clone(&old) };
            let session = edited(&session, edit, self.settings.max_data)?;
            if let Some(session) = self.supersede(left, Some(&old), key, session, now).await? {
                self.counters.renewed_on_request.increment();
                return Ok(After::Live { session, secret, key, cookie: Due::Now });
            }
        }
        Err(Error::Contended)
    }

    /// The key that a change of privilege leaves, and the session under it. Neither where the ticket is dead or was
    /// never issued.
    async fn to_be_left(
        &self,
        visit: &Visit,
        now: UnixTime,
    ) -> Result<(Option<StoreKey>, Option<Arc<Session>>), Error> {
        let expected = match &visit.standing {
            Standing::Dead | Standing::New { expired: None } => return Ok((None, None)),
            Standing::New { expired: Some(key) } => {
                let free = self.store.load(key, now).await?.is_none();
                return Ok((free.then_some(*key), None));
            }
            Standing::Guest | Standing::Live(_) => self.find(visit.secret.clone(), visit.key, now).await?,
        };
        match expected {
            Found::Live { session, .. } if self.not_the_guests(visit, &session, now) => Ok((None, None)),
            Found::Live { session, key, .. } => Ok((Some(key), Some(session))),
            Found::Dead => Ok((None, None)),
            Found::Nothing => Ok((Some(visit.key), None)),
        }
    }

    /// Stores `session` under `key` and leaves the old key superseded. None where the old entry has changed meanwhile.
    async fn supersede(
        &self,
        left: Option<StoreKey>,
        from: Option<&Session>,
        key: StoreKey,
        session: Session,
        now: UnixTime,
    ) -> Result<Option<Arc<Session>>, Error> {
        let Some(old) = left else {
            return Ok(Some(self.store.insert(&key, session).await?));
        };
        let leave = Entry::Superseded { until: self.tombstone(now) };
        let seen = from.map(|session| session.version);
        let step = Replace { old: &old, seen, leave, new: &key, session: session.clone() };
        match self.store.replace(step, now).await? {
            Replaced::Done => {
                if from.is_some() {
                    self.counters.superseded.increment();
                }
                Ok(Some(Arc::new(session)))
            }
            Replaced::Changed => Ok(None),
        }
    }

    /// Logout: here, or everywhere.
    async fn end(&self, visit: &Visit, end: End, answer: Answer, now: UnixTime) -> Result<Cookie, Error> {
        match &visit.standing {
            Standing::Dead => Ok(Cookie::Keep),
            Standing::New { .. } => self.keep(visit, answer, now).await,
            Standing::Guest | Standing::Live(_) => {
                let mark = matches!(visit.standing, Standing::Guest);
                let ended = self.end_one(visit.secret.clone(), visit.key, mark, now).await?;
                let user = ended.as_deref().or(visit.session()).and_then(|session| session.user.clone());
                if let (End::All, Some(user)) = (end, user) {
                    self.counters.logged_out.add(self.end_all_of(&user, None, now).await?);
                }
                if ended.is_some() {
                    self.counters.logged_out.increment();
                }
                Ok(if ended.is_some() || mark { Cookie::Clear } else { Cookie::Keep })
            }
        }
    }

    async fn end_one(
        &self,
        mut secret: Secret,
        mut key: StoreKey,
        mark: bool,
        now: UnixTime,
    ) -> Result<Option<Arc<Session>>, Error> {
        for _ in 0..MOST_RENEWALS {
            match self.store.end(&key, mark, self.tombstone(now), now).await? {
                Ended::Session(session) => return Ok(Some(session)),
                Ended::Renewed(renewed) => match self.follow(&secret, &renewed) {
                    Some(next) => (secret, key) = (next, renewed.to),
                    None => return Ok(None),
                },
                Ended::Nothing => return Ok(None),
            }
        }
        Ok(None)
    }

    async fn end_others(&self, visit: &Visit, after: &After, now: UnixTime) -> Result<(), Error> {
        let (user, this) = match after {
            After::Live { session, key, .. } => (session.user.clone(), *key),
            // Where this session is now, or it would count among the others.
            After::Nothing => match self.find(visit.secret.clone(), visit.key, now).await? {
                Found::Live { session, key, .. } => (session.user.clone(), key),
                Found::Dead | Found::Nothing => (None, visit.key),
            },
            After::Emptied | After::Guest { .. } | After::Dropped => (None, visit.key),
        };
        if let Some(user) = user {
            self.counters.logged_out.add(self.end_all_of(&user, Some(this), now).await?);
        }
        Ok(())
    }

    async fn cookie(
        &self,
        session: Arc<Session>,
        secret: Secret,
        key: StoreKey,
        due: Due,
        answer: Answer,
        now: UnixTime,
    ) -> Result<Cookie, Error> {
        let wanted = match due {
            Due::Now => true,
            Due::WhenPrivate => answer == Answer::Private,
            Due::No => false,
        };
        if answer == Answer::Private && self.settings.lifetimes.renewal_due(&session, now) {
            return self.renew_if_due(session, secret, key, due, now).await;
        }
        Ok(if wanted { self.session_cookie(&session, &secret, now) } else { Cookie::Keep })
    }

    /// Periodic renewal. The new secret follows from the old one, so that parallel requests, here and in other gateways,
    /// arrive at the same ticket, and one of them writes it.
    async fn renew_if_due(
        &self,
        mut session: Arc<Session>,
        secret: Secret,
        key: StoreKey,
        due: Due,
        now: UnixTime,
    ) -> Result<Cookie, Error> {
        let next = self.ring.next_secret(&secret);
        let to = next.store_key();
        for _ in 0..MOST_TRIES {
            let moved = Session {
                issued_at: now,
                renewed_from: Some(Box::new(key)),
                version: session.version.wrapping_add(1),
                ..Session::clone(&session)
            };
            let leave = Entry::Renewed(Box::new(Renewed { to, until: now.after(lifetime::OLD_TICKET) }));
            let cookie = self.session_cookie(&moved, &next, now);
            let step = Replace { old: &key, seen: Some(session.version), leave, new: &to, session: moved };
            match self.store.replace(step, now).await? {
                Replaced::Done => {
                    self.counters.renewed.increment();
                    return Ok(cookie);
                }
                Replaced::Changed => match self.find(secret.clone(), key, now).await? {
                    Found::Live { session, secret, moved: true, .. } => {
                        return Ok(self.session_cookie(&session, &secret, now));
                    }
                    Found::Live { session: changed, .. } => session = changed,
                    Found::Dead | Found::Nothing => return Ok(Cookie::Keep),
                },
            }
        }
        // It can wait for the next request; what was to be stored is stored.
        Ok(if due == Due::Now { self.session_cookie(&session, &secret, now) } else { Cookie::Keep })
    }

    fn session_cookie(&self, session: &Session, secret: &Secret, now: UnixTime) -> Cookie {
        let ticket = Ticket { kind: Kind::Session, issued_at: session.issued_at, secret: secret.clone() };
        let max_age = session.persistent.then(|| self.settings.lifetimes.end(session).since(now));
        Cookie::Set { ticket: ticket.sign(&self.ring), max_age }
    }

    fn guest_cookie(&self, secret: &Secret, now: UnixTime) -> Cookie {
        let ticket = Ticket { kind: Kind::Guest, issued_at: now, secret: secret.clone() };
        Cookie::Set { ticket: ticket.sign(&self.ring), max_age: None }
    }
}

fn due_after_edit(visit: &Visit, session: &Session, key: &StoreKey) -> Due {
    match visit.session() {
        Some(opened) if opened.persistent == session.persistent => {
            if visit.outdated || *key != visit.key {
                Due::WhenPrivate
            } else {
                Due::No
            }
        }
        // Born by a parallel first write, or its cookie's lifetime has changed.
        _ => Due::Now,
    }
}
