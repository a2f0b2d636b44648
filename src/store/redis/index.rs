//! Ways to find sessions other than by key: by user, and by id.
//!
//! An index may lead to what is gone, and is put right when somebody reads it. It never misses a session that stands:
//! a session's key is entered before the session is stored, and leaves when it can never lead to a session again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use redis::Value;
use sha2::{Digest, Sha256};
use tokio::task::JoinSet;

use super::reply::INCOMPREHENSIBLE;
use super::{Redis, Verb};
use crate::session::{Entry, PublicId, Session, StoreKey, UnixTime};
use crate::store::record;
use crate::store::{Error, Outage};

/// How many renewals in a row an index may be behind.
const MOST_MOVES: usize = 8;
/// How often the index is read again because what it led to has moved meanwhile.
const MOST_LOOKS: usize = 8;
/// How many sessions are asked for at once.
const AT_ONCE: usize = 64;
/// How long after a session's end its id still leads to where it was.
const MARGIN: u64 = 60;

/// What a key from an index leads to.
enum Lead {
    Session(StoreKey, Arc<Session>),
    /// A session was there, and is not there any more.
    Dead,
    /// Nothing, or nothing yet.
    Nothing,
    /// Something that cannot be read. The user's other sessions are found all the same.
    Unreadable,
}

impl Redis {
    pub(in crate::store) async fn by_user(
        &self,
        user: &str,
        now: UnixTime,
    ) -> Result<Vec<(StoreKey, Arc<Session>)>, Error> {
        let mut found = BTreeMap::new();
        let mut looked_at = BTreeSet::new();
        // What is dead may have moved to a key that was not in the index yet when it was read.
        for _ in 0..MOST_LOOKS {
            let mut keys = self.keys_of(user).await?;
            keys.retain(|key| looked_at.insert(*key));
            let leads = self.follow_all(keys, now).await?;
            let is_settled = leads.iter().all(|(_, lead)| matches!(lead, Lead::Session(..)));
            for (key, lead) in leads {
                match lead {
                    Lead::Session(key, session) => drop(found.insert(key, session)),
                    Lead::Dead => self.drop_key(user, &key).await?,
                    Lead::Unreadable => {}
                    Lead::Nothing => {
                        self.drop_key(user, &key).await?;
                        // Had the session been stored just then, it would be missed from now on.
                        if let Lead::Session(at, session) = self.follow(key, now).await? {
                            self.enter(&key, &session, now).await?;
                            found.insert(at, session);
                        }
                    }
                }
            }
            if is_settled {
                break;
            }
        }
        found.retain(|_, session| session.user.as_deref() == Some(user));
        Ok(found.into_iter().collect())
    }

    pub(in crate::store) async fn by_id(
        &self,
        id: &PublicId,
        now: UnixTime,
    ) -> Result<Option<(StoreKey, Arc<Session>)>, Error> {
        let key = match self.command("GET", &self.id_key(id), &[]).await? {
            Value::Nil => id.first_key(),
            Value::BulkString(key) => record::read_key(&key).ok_or(INCOMPREHENSIBLE)?,
            _ => return Err(INCOMPREHENSIBLE),
        };
        Ok(match self.follow(key, now).await? {
            Lead::Session(key, session) if session.id == *id => Some((key, session)),
            _ => None,
        })
    }

    /// A user's session is entered under its key, for as long as it may live whatever happens.
    pub(super) async fn enter(&self, key: &StoreKey, session: &Session, now: UnixTime) -> Result<(), Error> {
        let Some(user) = &session.user else { return Ok(()) };
        let end = self.shared.lifetimes.load().lifetimes.end(session).0.to_string();
        let (index, now, key) = (self.user_key(user), now.0.to_string(), record::key(key));
        let arguments = [now.as_bytes(), end.as_bytes(), &key];
        self.ask(&index, Verb::Script(&self.shared.scripts.index), &arguments).await.map(drop)
    }

    /// A session has moved. If this fails, both indexes still lead there by the old key, while that is remembered.
    pub(super) async fn moved(&self, old: &StoreKey, new: &StoreKey, session: &Session, now: UnixTime) {
        if session.id.first_key() != *new {
            let left = self.shared.lifetimes.load().lifetimes.end(session).since(now).as_secs() + MARGIN;
            let (key, left) = (record::key(new), left.to_string());
            let _ = self.command("SET", &self.id_key(&session.id), &[&key, b"EX", left.as_bytes()]).await;
        }
        if let Some(user) = &session.user {
            let _ = self.drop_key(user, old).await;
        }
    }

    /// A session has ended. Nobody waits for this; where it fails, whoever reads the index finds a dead key.
    pub(super) fn forget(&self, key: StoreKey, session: Arc<Session>) {
        let this = self.clone();
        tokio::spawn(async move {
            if let Some(user) = &session.user {
                let _ = this.drop_key(user, &key).await;
            }
            if session.id.first_key() != key {
                let _ = this.command("DEL", &this.id_key(&session.id), &[]).await;
            }
        });
    }

    async fn keys_of(&self, user: &str) -> Result<Vec<StoreKey>, Error> {
        let Value::Array(members) = self.command("ZRANGE", &self.user_key(user), &[b"0", b"-1"]).await? else {
            return Err(INCOMPREHENSIBLE);
        };
        let read = |member| match member {
            Value::BulkString(member) => record::read_key(&member).ok_or(INCOMPREHENSIBLE),
            _ => Err(INCOMPREHENSIBLE),
        };
        members.into_iter().map(read).collect()
    }

    async fn drop_key(&self, user: &str, key: &StoreKey) -> Result<(), Error> {
        self.command("ZREM", &self.user_key(user), &[&record::key(key)]).await.map(drop)
    }

    /// Many at once, in one stream of commands.
    async fn follow_all(&self, keys: Vec<StoreKey>, now: UnixTime) -> Result<Vec<(StoreKey, Lead)>, Error> {
        let mut leads = Vec::with_capacity(keys.len());
        for keys in keys.chunks(AT_ONCE) {
            let mut asked = JoinSet::new();
            for key in keys.iter().copied() {
                let this = self.clone();
                asked.spawn(async move {
                    match this.follow(key, now).await {
                        Err(Error::Unreadable(_)) => Ok((key, Lead::Unreadable)),
                        lead => lead.map(|lead| (key, lead)),
                    }
                });
            }
            while let Some(lead) = asked.join_next().await {
                leads.push(lead.unwrap_or(Err(Error::Unavailable(Outage::Lost)))?);
            }
        }
        Ok(leads)
    }

    /// Where a key from an index leads. Renewal may have moved the session since the index was read.
    async fn follow(&self, mut key: StoreKey, now: UnixTime) -> Result<Lead, Error> {
        for _ in 0..MOST_MOVES {
            match self.load_anew(&key, now).await? {
                Some(Entry::Live(session)) => return Ok(Lead::Session(key, session)),
                Some(Entry::Renewed(renewed)) => key = renewed.to,
                Some(Entry::Superseded { .. } | Entry::Ended { .. }) => return Ok(Lead::Dead),
                None => return Ok(Lead::Nothing),
            }
        }
        Ok(Lead::Nothing)
    }

    /// Hashed, for a name may be long, and names of keys are shown wherever Redis is looked at.
    fn user_key(&self, user: &str) -> String {
        let hash = Sha256::digest(user);
        self.name("u", URL_SAFE_NO_PAD.encode(&hash[..16]).as_bytes())
    }

    fn id_key(&self, id: &PublicId) -> String {
        self.name("i", &id.text())
    }
}
