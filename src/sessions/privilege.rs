//! Login and requested renewal: a session moves to an unrelated secret, and its old ticket dies.

use std::sync::Arc;

use super::commit::After;
use super::cookie::Due;
use super::limit::Login;
use super::{Error, Found, Sessions, Standing, Step, Visit};
use crate::session::{Change, Edit, Entry, Secret, Session, StoreKey, UnixTime};
use crate::store::{Replace, Replaced, edited};

/// How often a step over two keys is tried when others change the session meanwhile.
pub(super) const MOST_TRIES: usize = 8;

/// What a change of privilege leaves behind.
enum Left {
    /// This session, under this key.
    Session(StoreKey, Arc<Session>),
    /// A ticket under whose key nothing is stored.
    Ticket(StoreKey),
    /// A ticket that is dead.
    Dead,
    /// No ticket, or a guest's that somebody else gave birth with.
    Nothing,
}

impl Sessions {
    /// A login: always a new secret and a new id. It passes even with a dead ticket, for the request carried its proof.
    pub(super) async fn log_in(&self, visit: &Visit, user: &str, edit: &Edit, now: UnixTime) -> Result<After, Error> {
        for _ in 0..MOST_TRIES {
            let left = self.left(visit, now).await?;
            let secret = Secret::random();
            let key = secret.store_key();
            let mut session = Session { user: Some(user.into()), ..Session::new(key, now) };
            if let Left::Session(_, old) = &left {
                let same_user = old.user.as_deref() == Some(user);
                if same_user || old.user.is_none() {
                    session.data = old.data.clone();
                    // With the version that its cookies are stamped with.
                    (session.jar, session.version) = (old.jar.clone(), old.version);
                }
                session.persistent = same_user && old.persistent;
            }
            let session = edited(&session, edit, self.settings.max_data)?;
            if let Some(session) = self.supersede(&left, key, session, now).await? {
                self.counters.logged_in.increment();
                if matches!(left, Left::Session(..)) {
                    self.counters.superseded.increment();
                }
                let Login { session, secret, key } = self.keep_to_limit(Login { session, secret, key }, now).await?;
                return Ok(After::Live { session, secret, key, cookie: Due::Now });
            }
        }
        Err(Error::Contended)
    }

    /// A new secret and id for the same session, at the backend's request. A guest has nothing to take along: the old
    /// ticket dies, and what is kept begins under the new one. A login of the backend's own passes with a dead ticket.
    pub(super) async fn renew(&self, visit: &Visit, change: &Change, now: UnixTime) -> Result<After, Error> {
        let edit = &change.edit;
        for _ in 0..MOST_TRIES {
            let left = self.left(visit, now).await?;
            let secret = Secret::random();
            let ticket = match &left {
                Left::Dead if change.is_login && edit.keeps_something() => None,
                Left::Dead => return Ok(After::Dropped),
                Left::Ticket(_) if self.is_late(visit, now) && !change.is_login => return Ok(After::Dropped),
                Left::Session(_, old) => {
                    let key = secret.store_key();
                    let session = Session { id: key.into(), issued_at: now, renewed_from: None, ..Session::clone(old) };
                    let session = edited(&session, edit, self.settings.max_data)?;
                    match self.supersede(&left, key, session, now).await? {
                        Some(session) => {
                            self.counters.renewed_on_request.increment();
                            return Ok(After::Live { session, secret, key, cookie: Due::Now });
                        }
                        None => continue,
                    }
                }
                Left::Ticket(key) => Some(*key),
                Left::Nothing => None,
            };
            if edit.keeps_something() {
                match self.bear(secret, ticket, edit, now).await? {
                    // Another login has just left the ticket dead, which this one passes.
                    After::Dropped if change.is_login => continue,
                    after => return Ok(after),
                }
            }
            match ticket {
                Some(old) if self.store.bar(&old, self.tombstone(now), now).await? != Replaced::Done => {}
                None if matches!(visit.standing, Standing::New { .. }) => return Ok(After::Nothing),
                _ => return Ok(After::Guest { secret }),
            }
        }
        Err(Error::Contended)
    }

    /// What the visitor's ticket leads to now.
    async fn left(&self, visit: &Visit, now: UnixTime) -> Result<Left, Error> {
        let found = match &visit.standing {
            Standing::Dead | Standing::Unknown(_) | Standing::Stale(..) => return Ok(Left::Dead),
            Standing::New { expired: None } => return Ok(Left::Nothing),
            Standing::New { expired: Some(key) } => {
                let free = self.store.load_anew(key, now).await?.is_none();
                return Ok(if free { Left::Ticket(*key) } else { Left::Dead });
            }
            Standing::Guest | Standing::Live(_) => {
                self.find(visit.secret.clone(), visit.key, Step::Commit, now).await?
            }
        };
        Ok(match found {
            Found::Live { session, .. } if self.is_not_theirs(visit, &session, now) => Left::Nothing,
            Found::Live { session, key, .. } => Left::Session(key, session),
            Found::Dead => Left::Dead,
            Found::Nothing => Left::Ticket(visit.key),
        })
    }

    /// Stores `session` under `key` and leaves the old ticket superseded. None where the old entry has changed
    /// meanwhile.
    async fn supersede(
        &self,
        left: &Left,
        key: StoreKey,
        session: Session,
        now: UnixTime,
    ) -> Result<Option<Arc<Session>>, Error> {
        let (old, seen) = match left {
            Left::Session(old, session) => (old, Some(session.version)),
            Left::Ticket(old) => (old, None),
            Left::Dead | Left::Nothing => return Ok(Some(self.store.insert(&key, session).await?)),
        };
        let leave = Entry::Superseded { until: self.tombstone(now) };
        let step = Replace { old, seen, leave, new: &key, session: session.clone() };
        Ok(match self.store.replace(step, now).await? {
            Replaced::Done => Some(Arc::new(session)),
            Replaced::Changed | Replaced::Taken => None,
        })
    }
}
