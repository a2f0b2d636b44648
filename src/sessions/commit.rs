//! What a response asks of the session, made so; whatever happened since the request came.

use std::sync::Arc;

use super::cookie::{Answer, Cookie, Due};
use super::{Error, Found, MOST_RENEWALS, Sessions, Standing, Step, Visit};
use crate::session::{Change, Edit, End, Entry, PublicId, Secret, Session, StoreKey, UnixTime};
use crate::store::{EditRules, Edited, Ended, Replace, Replaced, edited};

/// What the session is once the change is made.
pub(super) enum After {
    Live {
        session: Arc<Session>,
        secret: Secret,
        key: StoreKey,
        cookie: Due,
    },
    /// Nothing is left of it.
    Emptied,
    /// Nothing is stored, as before.
    Nothing,
    /// Nothing is stored, and the old ticket is dead.
    Guest {
        secret: Secret,
    },
    /// The ticket is dead: neither change nor cookie.
    Dropped,
}

impl Sessions {
    /// Makes `change`, and says what becomes of the cookie. An error means that no change was stored.
    pub async fn commit(&self, visit: &Visit, change: &Change, answer: Answer, now: UnixTime) -> Result<Cookie, Error> {
        if change.is_empty()
            && let Some(cookie) = self.keep_at_once(visit, answer, now)
        {
            return Ok(cookie);
        }
        // Boxed: it is large, and most requests do without it.
        let committed = Box::pin(self.try_commit(visit, change, answer, now)).await;
        if committed.is_err() {
            self.counters.failed.increment();
        }
        committed
    }

    async fn try_commit(&self, visit: &Visit, change: &Change, answer: Answer, now: UnixTime) -> Result<Cookie, Error> {
        if let Standing::Unknown(because) | Standing::Stale(_, because) = &visit.standing {
            return Err((*because).into());
        }
        match change.end {
            Some(end @ (End::This | End::All)) => return self.end(visit, change, end, answer, now).await,
            // Before the login that it may come with: where it fails, nobody is logged out here.
            Some(End::Others) => self.end_others(visit, change.user.as_deref(), now).await?,
            None => {}
        }
        let after = if let Some(user) = &change.user {
            self.log_in(visit, user, &change.edit, now).await?
        } else if change.renew {
            self.renew(visit, change, now).await?
        } else if !change.edit.is_empty() {
            self.edit(visit, &change.edit, now).await?
        } else {
            After::Nothing
        };
        match after {
            After::Live { session, secret, key, cookie } => {
                Ok(self.cookie(session, secret, key, cookie, answer, now).await)
            }
            After::Nothing => Ok(self.keep(visit, answer, now).await),
            After::Guest { secret } if self.settings.guest_cookie => Ok(self.guest_cookie(&secret, now)),
            After::Emptied | After::Guest { .. } => Ok(Cookie::Clear),
            After::Dropped => {
                self.counters.dropped.increment();
                Ok(Cookie::Keep)
            }
        }
    }

    /// Whether the visitor is in a session and has the right cookie, so that a response which asks for nothing has
    /// nothing to commit, as nearly every one.
    pub fn is_settled(&self, visit: &Visit, now: UnixTime) -> bool {
        visit.session().is_some_and(|session| !visit.outdated && !self.settings.lifetimes.renewal_due(session, now))
    }

    /// Nothing changes, and the store need not be asked.
    fn keep_at_once(&self, visit: &Visit, answer: Answer, now: UnixTime) -> Option<Cookie> {
        match &visit.standing {
            _ if answer == Answer::Shared => Some(Cookie::Keep),
            Standing::Live(_) => self.is_settled(visit, now).then_some(Cookie::Keep),
            Standing::Guest => (!visit.outdated).then_some(Cookie::Keep),
            Standing::Dead | Standing::Unknown(_) | Standing::Stale(..) => Some(Cookie::Keep),
            Standing::New { expired: Some(_) } => None,
            Standing::New { expired: None } => {
                let wanted = self.settings.guest_cookie && answer == Answer::Private && !self.is_late(visit, now);
                Some(if wanted { self.guest_cookie(&visit.secret, now) } else { Cookie::Keep })
            }
        }
    }

    /// Nothing changes. The store is asked where a cookie would be set that can be told from no other: what was true
    /// when the request came may not be any more, and a late answer must not overwrite the cookie of a login that came
    /// in between. A store that does not answer leaves the cookie as it is: nobody has asked for anything.
    async fn keep(&self, visit: &Visit, answer: Answer, now: UnixTime) -> Cookie {
        if let Some(cookie) = self.keep_at_once(visit, answer, now) {
            return cookie;
        }
        match &visit.standing {
            Standing::Live(session) if visit.outdated => match self.store.load_anew(&visit.key, now).await {
                Ok(Some(Entry::Live(session))) => self.session_cookie(&session, &visit.secret, now),
                Ok(Some(Entry::Renewed(_))) => {
                    self.renew_if_due(Arc::clone(session), visit.secret.clone(), visit.key, Due::No, now).await
                }
                _ => Cookie::Keep,
            },
            Standing::Live(session) => {
                self.renew_if_due(Arc::clone(session), visit.secret.clone(), visit.key, Due::No, now).await
            }
            _ if self.is_late(visit, now) => Cookie::Keep,
            Standing::New { expired: Some(key) } => match self.store.load_anew(key, now).await {
                Ok(None) if self.settings.guest_cookie => self.guest_cookie(&visit.secret, now),
                Ok(None) => Cookie::Clear,
                Ok(Some(_)) | Err(_) => Cookie::Keep,
            },
            Standing::Guest => match self.store.load_anew(&visit.key, now).await {
                Ok(None) => self.guest_cookie(&visit.secret, now),
                Ok(Some(_)) | Err(_) => Cookie::Keep,
            },
            Standing::New { expired: None } | Standing::Dead | Standing::Unknown(_) | Standing::Stale(..) => {
                Cookie::Keep
            }
        }
    }

    /// Whether so long has passed since the request came that a ticket which died meanwhile may be forgotten again.
    /// That nothing is stored says nothing then, and nothing is born of it.
    pub(super) fn is_late(&self, visit: &Visit, now: UnixTime) -> bool {
        now.since(visit.opened_at) >= self.settings.lifetimes.tombstone
    }

    /// Applies an edit to the session as it stands now, whatever it was when the request came.
    async fn edit(&self, visit: &Visit, edit: &Edit, now: UnixTime) -> Result<After, Error> {
        let late = self.is_late(visit, now);
        let mut birth = match &visit.standing {
            Standing::Dead | Standing::Unknown(_) | Standing::Stale(..) => return Ok(After::Dropped),
            Standing::New { expired: Some(_) } if late => return Ok(After::Dropped),
            Standing::New { expired } => return self.bear(visit.secret.clone(), *expired, edit, now).await,
            // A first write joins a session that a parallel one has just given birth to.
            Standing::Guest if !late => Some(self.joinable_since(now)),
            Standing::Guest | Standing::Live(_) => None,
        };
        let (mut secret, mut key) = (visit.secret.clone(), visit.key);
        for _ in 0..MOST_RENEWALS {
            let rules = EditRules { birth, max_data: self.settings.max_data };
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
                Edited::Renewed(renewed) => match self.ring.follow(&secret, &renewed) {
                    Some(next) => (secret, key, birth) = (next, renewed.to, None),
                    None => return Ok(After::Dropped),
                },
                Edited::Dead => return Ok(After::Dropped),
                // Somebody gave birth to it long ago with the same guest's ticket, perhaps the one who planted it.
                Edited::NotTheirs => return self.bear(Secret::random(), None, edit, now).await,
                Edited::Missing if late => return Ok(After::Dropped),
                Edited::Missing if matches!(visit.standing, Standing::Guest) => return Ok(After::Nothing),
                // The session expired while the request was under way.
                Edited::Missing => return self.bear(Secret::random(), Some(visit.key), edit, now).await,
            }
        }
        Ok(After::Dropped)
    }

    /// A session begins with what an edit keeps. The key of an expired ticket that led here, `left`, stays dead, and is
    /// marked so: of several such requests the first gives birth, and the others' answers do not overwrite its cookie.
    pub(super) async fn bear(
        &self,
        secret: Secret,
        left: Option<StoreKey>,
        edit: &Edit,
        now: UnixTime,
    ) -> Result<After, Error> {
        if !edit.keeps_something() {
            return Ok(After::Nothing);
        }
        let key = secret.store_key();
        let session = edited(&Session::new(key, now), edit, self.settings.max_data)?;
        let session = match left {
            None => self.store.insert(&key, session).await?,
            Some(old) => {
                let leave = Entry::Superseded { until: self.tombstone(now) };
                let step = Replace { old: &old, seen: None, leave, new: &key, session: session.clone() };
                match self.store.replace(step, now).await? {
                    Replaced::Done => Arc::new(session),
                    Replaced::Changed | Replaced::Taken => return Ok(After::Dropped),
                }
            }
        };
        self.counters.born.increment();
        Ok(After::Live { session, secret, key, cookie: Due::Now })
    }

    /// How long ago a session may have been born for a guest's write to count as parallel to its first.
    fn joinable_since(&self, now: UnixTime) -> UnixTime {
        UnixTime(now.0.saturating_sub(self.settings.lifetimes.tombstone.as_secs()))
    }

    /// Whether this session is older than any that the guest's own parallel request could have given birth to.
    pub(super) fn is_not_theirs(&self, visit: &Visit, session: &Session, now: UnixTime) -> bool {
        matches!(visit.standing, Standing::Guest) && session.created < self.joinable_since(now)
    }

    /// Logout: here, or everywhere.
    async fn end(
        &self,
        visit: &Visit,
        change: &Change,
        end: End,
        answer: Answer,
        now: UnixTime,
    ) -> Result<Cookie, Error> {
        if !change.edit.is_empty() {
            // There will be no session to keep it in.
            self.counters.dropped.increment();
        }
        match &visit.standing {
            Standing::Dead | Standing::Unknown(_) | Standing::Stale(..) => {
                self.counters.dropped.increment();
                Ok(Cookie::Keep)
            }
            Standing::New { .. } => Ok(self.keep(visit, answer, now).await),
            Standing::Guest | Standing::Live(_) => {
                // The others first: if they cannot be ended, this one can try again.
                if end == End::All {
                    self.end_others(visit, None, now).await?;
                }
                let mark = matches!(visit.standing, Standing::Guest);
                match self.end_one(visit.secret.clone(), visit.key, mark, now).await? {
                    Ended::Session(_) => {
                        self.counters.logged_out.increment();
                        Ok(Cookie::Clear)
                    }
                    // So late, somebody may have logged in with the ticket and that be forgotten.
                    Ended::Marked if !self.is_late(visit, now) => Ok(Cookie::Clear),
                    Ended::Dead => {
                        self.counters.dropped.increment();
                        Ok(Cookie::Keep)
                    }
                    Ended::Marked | Ended::Nothing | Ended::Renewed(_) => Ok(Cookie::Keep),
                }
            }
        }
    }

    async fn end_one(&self, mut secret: Secret, mut key: StoreKey, mark: bool, now: UnixTime) -> Result<Ended, Error> {
        for _ in 0..MOST_RENEWALS {
            match self.store.end(&key, mark, self.tombstone(now), now).await? {
                Ended::Renewed(renewed) => match self.ring.follow(&secret, &renewed) {
                    Some(next) => (secret, key) = (next, renewed.to),
                    None => break,
                },
                ended => return Ok(ended),
            }
        }
        Ok(Ended::Dead)
    }

    /// Ends a user's sessions but for the one at hand, wherever that is now: of `user`, or of who is logged in here.
    async fn end_others(&self, visit: &Visit, user: Option<&str>, now: UnixTime) -> Result<(), Error> {
        let here = match visit.standing {
            Standing::Live(_) => self.find(visit.secret.clone(), visit.key, Step::Commit, now).await?,
            Standing::New { .. } | Standing::Guest | Standing::Dead | Standing::Unknown(_) | Standing::Stale(..) => {
                Found::Nothing
            }
        };
        let (owner, this): (_, Option<PublicId>) = match here {
            Found::Live { session, .. } => (session.user.clone(), Some(session.id)),
            Found::Dead | Found::Nothing => (None, None),
        };
        match user.or(owner.as_deref()) {
            Some(user) => self.counters.logged_out.add(self.end_all_of(user, this, now).await?),
            None => self.counters.dropped.increment(),
        }
        Ok(())
    }
}

/// Whether the browser needs a cookie after an edit.
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
