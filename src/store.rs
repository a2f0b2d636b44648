//! The contract every session store keeps, and the enum of them.
//!
//! A miss is `Ok(None)` or a variant that says so; `Err` means that the store itself failed, which is never read as "no
//! session". Every operation on one key is one atomic step. The one step over two keys, [`Store::replace`], writes the
//! new entry first and flips the old one only if nobody changed it meanwhile: it may be repeated, and loses nothing.

pub mod file;
pub mod memory;
pub mod near_cache;
pub mod record;
pub mod redis;

use std::sync::Arc;

use crate::session::{Data, Edit, Entry, Lifetimes, PublicId, Session, StoreKey, UnixTime, entry::Renewed, jar};

pub use memory::Memory;
pub use redis::Redis;

/// Which store holds the sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settings {
    /// This process's memory, and the file that it is kept in, if it is.
    Memory(memory::Settings, Option<file::Settings>),
    /// A Redis.
    Redis(redis::Settings),
}

/// One worker's view of the sessions of every gateway that shares them.
#[derive(Clone, Debug)]
pub enum Store {
    /// This process's memory.
    Memory(Arc<Memory>),
    /// A Redis.
    Redis(Redis),
}

/// Why a store did not do what it was asked. Nothing has changed then, unless it is [`Outage::TimedOut`] or
/// [`Outage::Lost`]: a change that is on its way may still arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Every place is taken by a session that may not be evicted.
    #[error("the session store is full")]
    Full,
    /// The session's data would be larger than one session may hold.
    #[error("the session's data would have {size} bytes, of at most {limit}")]
    DataOverLimit {
        /// What it would be.
        size: usize,
        /// What it may be.
        limit: usize,
    },
    /// The session's cookies would be more, or larger, than one session may hold.
    #[error("the session's cookies would be more than {}, or more than {} bytes", jar::MOST_COOKIES, jar::MOST_BYTES)]
    JarOverLimit,
    /// The store cannot be asked now. Whether there is a session is unknown.
    #[error("the session store is not available: {0}")]
    Unavailable(Outage),
    /// What is stored cannot be read. Others' sessions are not affected, and this one is left as it is.
    #[error("a stored session cannot be read: {0}")]
    Unreadable(record::Flaw),
}

/// Why a store cannot be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Outage {
    /// No connection could be made in time.
    #[error("no connection could be made in time")]
    Unreachable,
    /// It failed a moment ago, and has not been reached since.
    #[error("it cannot be reached since an earlier failure")]
    Down,
    /// The connection broke before the answer.
    #[error("the connection broke")]
    Lost,
    /// The answer did not come in time.
    #[error("no answer came in time")]
    TimedOut,
    /// It takes no changes: a replica.
    #[error("it is a replica, and takes no changes")]
    ReadOnly,
    /// It takes no changes, for it cannot save them, or has too few replicas.
    #[error("it takes no changes, since it cannot save them")]
    Unsaved,
    /// It has just been started.
    #[error("it is still loading its data")]
    Loading,
    /// It has reached its memory limit.
    #[error("it has no memory left")]
    OutOfMemory,
    /// The user or the password is wrong, or may not do this.
    #[error("it does not let us in, or not do this")]
    Denied,
    /// It has no database of the number that is configured.
    #[error("it has no database of that number")]
    NoDatabase,
    /// A part of it has no master at present.
    #[error("it has no master at present")]
    NoMaster,
    /// What was asked for is on another server of a cluster, which is not configured as one.
    #[error("it is part of a cluster, and the session is on another server")]
    Elsewhere,
    /// It said something that no server of ours says.
    #[error("it gave an answer that makes no sense")]
    Incomprehensible,
}

/// What became of an edit.
#[derive(Debug, PartialEq, Eq)]
pub enum Edited {
    /// The session as it is now.
    Live(Arc<Session>),
    /// The session was born of it.
    Born(Arc<Session>),
    /// Nothing worth keeping is left; the entry is gone, or remembered as ended where its cookies were deleted.
    Emptied,
    /// The session lives under another key; ask again there.
    Renewed(Renewed),
    /// Superseded or ended: the edit is void.
    Dead,
    /// There is a session, and it is not this guest's.
    NotTheirs,
    /// There is no entry, and none was to be born.
    Missing,
}

/// What became of a step over two keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replaced {
    /// It is done.
    Done,
    /// The old entry was not as expected; nothing has changed. Read it again.
    Changed,
    /// There is something under the new key already; nothing has changed.
    Taken,
}

/// What ended.
#[derive(Debug)]
pub enum Ended {
    /// This session.
    Session(Arc<Session>),
    /// Nothing: the session lives under another key; ask again there.
    Renewed(Renewed),
    /// Nothing: there was no session, and none will be born under the key.
    Marked,
    /// Nothing: the ticket was superseded or ended before.
    Dead,
    /// Nothing: there was no session.
    Nothing,
}

/// What an edit is told besides the edit.
#[derive(Clone, Copy, Debug)]
pub struct EditRules {
    /// Present where a session may be born, as for a guest. Where one is there already, it is joined if it was born at
    /// that time or later, by a parallel first write; an older one is not the guest's to write to.
    pub birth: Option<UnixTime>,
    /// The most bytes of data it may hold afterwards.
    pub max_data: usize,
}

impl Store {
    /// Another worker's view: the same sessions, over a connection of its own where one is needed.
    #[must_use]
    pub fn for_worker(&self) -> Self {
        match self {
            Self::Memory(memory) => Self::Memory(Arc::clone(memory)),
            Self::Redis(redis) => Self::Redis(redis.for_worker()),
        }
    }

    /// From now on sessions live so long, in every worker's view. What is stored stays.
    pub fn live_by(&self, lifetimes: &Lifetimes) {
        let lifetimes = Arc::new(lifetimes.clone());
        match self {
            Self::Memory(memory) => memory.live_by(lifetimes),
            Self::Redis(redis) => redis.live_by(&lifetimes),
        }
    }

    /// The entry under a key as it stands at `now`. What another gateway has changed a moment ago may not be known here
    /// yet.
    pub async fn load(&self, key: &StoreKey, now: UnixTime) -> Result<Option<Entry>, Error> {
        match self {
            Self::Memory(memory) => Ok(memory.load(key, now)),
            Self::Redis(redis) => redis.load(key, now).await,
        }
    }

    /// The same, whoever changed it and however short ago: for what depends on it and is not tried in one step with it.
    pub async fn load_anew(&self, key: &StoreKey, now: UnixTime) -> Result<Option<Entry>, Error> {
        match self {
            Self::Memory(memory) => Ok(memory.load(key, now)),
            Self::Redis(redis) => redis.load_anew(key, now).await,
        }
    }

    /// The session under a key as it was when it was last read, for those who would rather have an old one than none
    /// while the store cannot be asked. None where nothing is kept, or it is known to have changed since, or it is too
    /// old.
    pub fn load_old(&self, key: &StoreKey, now: UnixTime) -> Option<Arc<Session>> {
        match self {
            Self::Memory(_) => None,
            Self::Redis(redis) => redis.load_old(key, now),
        }
    }

    /// Writes that a live session was seen at `now`; `settled` also forgets which key it was renewed from.
    pub async fn touch(&self, key: &StoreKey, now: UnixTime) -> Result<(), Error> {
        match self {
            Self::Memory(memory) => {
                memory.touch(key, now);
                Ok(())
            }
            Self::Redis(redis) => redis.touch(key, now).await,
        }
    }

    /// The new ticket of a renewed session has come back: the old key leads there until `until` at most.
    pub async fn settle(&self, key: &StoreKey, old: &StoreKey, until: UnixTime) -> Result<(), Error> {
        match self {
            Self::Memory(memory) => {
                memory.settle(key, old, until);
                Ok(())
            }
            Self::Redis(redis) => redis.settle(key, old, until).await,
        }
    }

    /// Applies an edit to the session as it stands, or gives birth to it where `rules` allow.
    pub async fn edit(&self, key: &StoreKey, edit: &Edit, rules: EditRules, now: UnixTime) -> Result<Edited, Error> {
        match self {
            Self::Memory(memory) => memory.edit(key, edit, rules, now),
            Self::Redis(redis) => redis.edit(key, edit, rules, now).await,
        }
    }

    /// Stores a session under a key that nobody has seen yet.
    pub async fn insert(&self, key: &StoreKey, session: Session) -> Result<Arc<Session>, Error> {
        match self {
            Self::Memory(memory) => memory.insert(key, session),
            Self::Redis(redis) => redis.insert(key, session).await,
        }
    }

    /// Moves a session: stores `session` under `new`, and leaves `leave` under `old`, provided that `old` still holds
    /// what `seen` says: the live session of that version, or nothing.
    pub async fn replace(&self, step: Replace<'_>, now: UnixTime) -> Result<Replaced, Error> {
        match self {
            Self::Memory(memory) => memory.replace(step, now),
            Self::Redis(redis) => redis.replace(step, now).await,
        }
    }

    /// Remembers a key under which nothing is stored as superseded, so that nothing will be.
    pub async fn bar(&self, key: &StoreKey, until: UnixTime, now: UnixTime) -> Result<Replaced, Error> {
        match self {
            Self::Memory(memory) => Ok(memory.bar(key, until, now)),
            Self::Redis(redis) => redis.bar(key, until, now).await,
        }
    }

    /// Ends the session under a key and remembers that until `until`. Where there is no session, `mark` says whether
    /// the key is marked all the same (a guest's key, under which a slow first write may still arrive).
    pub async fn end(&self, key: &StoreKey, mark: bool, until: UnixTime, now: UnixTime) -> Result<Ended, Error> {
        match self {
            Self::Memory(memory) => Ok(memory.end(key, mark, until, now)),
            Self::Redis(redis) => redis.end(key, mark, until, now).await,
        }
    }

    /// Every live session of a user, wherever renewal is just moving it.
    pub async fn by_user(&self, user: &str, now: UnixTime) -> Result<Vec<(StoreKey, Arc<Session>)>, Error> {
        match self {
            Self::Memory(memory) => Ok(memory.by_user(user, now)),
            Self::Redis(redis) => redis.by_user(user, now).await,
        }
    }

    /// The live session with a public id, wherever renewal is just moving it.
    pub async fn by_id(&self, id: &PublicId, now: UnixTime) -> Result<Option<(StoreKey, Arc<Session>)>, Error> {
        match self {
            Self::Memory(memory) => Ok(memory.by_id(id, now)),
            Self::Redis(redis) => redis.by_id(id, now).await,
        }
    }
}

/// One step over two keys.
#[derive(Clone, Debug)]
pub struct Replace<'a> {
    /// The key that is left.
    pub old: &'a StoreKey,
    /// The version of the live session expected there; none where nothing is expected.
    pub seen: Option<u32>,
    /// What is left there.
    pub leave: Entry,
    /// The key that is moved to.
    pub new: &'a StoreKey,
    /// What is stored there.
    pub session: Session,
}

/// The session after an edit, or why it cannot be.
pub(crate) fn edited(session: &Session, edit: &Edit, max_data: usize) -> Result<Session, Error> {
    let data = edit.patch.as_ref().map_or_else(|| session.data.clone(), |patch| session.data.patched(patch));
    check(&data, max_data)?;
    let version = session.version.wrapping_add(1);
    let jar = match &edit.jar {
        Some(changes) => session.jar.changed(changes, version).map_err(|jar::OverLimit| Error::JarOverLimit)?,
        None => session.jar.clone(),
    };
    Ok(Session { data, jar, persistent: edit.persist.unwrap_or(session.persistent), version, ..session.clone() })
}

fn check(data: &Data, limit: usize) -> Result<(), Error> {
    if data.len() > limit { Err(Error::DataOverLimit { size: data.len(), limit }) } else { Ok(()) }
}

/// What a session takes beside its user and data: its record, its slot in a map, its places in indexes.
const SESSION_BYTES: usize = 288;

/// What a session takes, near enough to bound them by.
fn bytes(session: &Session) -> u64 {
    let user = session.user.as_ref().map_or(0, |user| user.len());
    (SESSION_BYTES + user + session.data.len() + session.jar.size()) as u64
}
