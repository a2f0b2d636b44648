//! The contract every session store keeps, and the enum of them.
//!
//! A miss is `Ok(None)` or a variant that says so; `Err` means that the store itself failed, which is never read as "no
//! session". Every operation on one key is one atomic step. The one step over two keys, [`Store::replace`], writes the
//! new entry first and flips the old one only if nobody changed it meanwhile: it may be repeated, and loses nothing.

pub mod file;
pub mod memory;

use std::sync::Arc;

use crate::session::{Data, Edit, Entry, PublicId, Session, StoreKey, UnixTime, entry::Renewed};

pub use memory::Memory;

/// Which store holds the sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settings {
    /// This process's memory, and the file that it is kept in, if it is.
    Memory(memory::Settings, Option<file::Settings>),
}

/// The sessions of every gateway that shares it.
#[derive(Debug)]
pub enum Store {
    /// This process's memory.
    Memory(Memory),
}

/// Why a store did not do what it was asked. Nothing has changed then.
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
}

/// What became of an edit.
#[derive(Debug)]
pub enum Edited {
    /// The session as it is now.
    Live(Arc<Session>),
    /// The session was born of it.
    Born(Arc<Session>),
    /// Nothing worth keeping is left; the entry is gone.
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
    /// The entry under a key as it stands at `now`.
    #[expect(clippy::unused_async, reason = "the contract of stores that ask over the network")]
    pub async fn load(&self, key: &StoreKey, now: UnixTime) -> Result<Option<Entry>, Error> {
        match self {
            Self::Memory(memory) => Ok(memory.load(key, now)),
        }
    }

    /// Writes that a live session was seen at `now`; `settled` also forgets which key it was renewed from.
    #[expect(clippy::unused_async, reason = "the contract of stores that ask over the network")]
    pub async fn touch(&self, key: &StoreKey, now: UnixTime) -> Result<(), Error> {
        match self {
            Self::Memory(memory) => memory.touch(key, now),
        }
        Ok(())
    }

    /// The new ticket of a renewed session has come back: the old key leads there until `until` at most.
    #[expect(clippy::unused_async, reason = "the contract of stores that ask over the network")]
    pub async fn settle(&self, key: &StoreKey, old: &StoreKey, until: UnixTime) -> Result<(), Error> {
        match self {
            Self::Memory(memory) => memory.settle(key, old, until),
        }
        Ok(())
    }

    /// Applies an edit to the session as it stands, or gives birth to it where `rules` allow.
    #[expect(clippy::unused_async, reason = "the contract of stores that ask over the network")]
    pub async fn edit(&self, key: &StoreKey, edit: &Edit, rules: EditRules, now: UnixTime) -> Result<Edited, Error> {
        match self {
            Self::Memory(memory) => memory.edit(key, edit, rules, now),
        }
    }

    /// Stores a session under a key that nobody has seen yet.
    #[expect(clippy::unused_async, reason = "the contract of stores that ask over the network")]
    pub async fn insert(&self, key: &StoreKey, session: Session) -> Result<Arc<Session>, Error> {
        match self {
            Self::Memory(memory) => memory.insert(key, session),
        }
    }

    /// Moves a session: stores `session` under `new`, and leaves `leave` under `old`, provided that `old` still holds
    /// what `seen` says: the live session of that version, or nothing.
    #[expect(clippy::unused_async, reason = "the contract of stores that ask over the network")]
    pub async fn replace(&self, step: Replace<'_>, now: UnixTime) -> Result<Replaced, Error> {
        match self {
            Self::Memory(memory) => memory.replace(step, now),
        }
    }

    /// Remembers a key under which nothing is stored as superseded, so that nothing will be.
    #[expect(clippy::unused_async, reason = "the contract of stores that ask over the network")]
    pub async fn bar(&self, key: &StoreKey, until: UnixTime, now: UnixTime) -> Result<Replaced, Error> {
        match self {
            Self::Memory(memory) => Ok(memory.bar(key, until, now)),
        }
    }

    /// Ends the session under a key and remembers that until `until`. Where there is no session, `mark` says whether
    /// the key is marked all the same (a guest's key, under which a slow first write may still arrive).
    #[expect(clippy::unused_async, reason = "the contract of stores that ask over the network")]
    pub async fn end(&self, key: &StoreKey, mark: bool, until: UnixTime, now: UnixTime) -> Result<Ended, Error> {
        match self {
            Self::Memory(memory) => Ok(memory.end(key, mark, until, now)),
        }
    }

    /// Every live session of a user, wherever renewal is just moving it.
    #[expect(clippy::unused_async, reason = "the contract of stores that ask over the network")]
    pub async fn by_user(&self, user: &str, now: UnixTime) -> Result<Vec<(StoreKey, Arc<Session>)>, Error> {
        match self {
            Self::Memory(memory) => Ok(memory.by_user(user, now)),
        }
    }

    /// The live session with a public id, wherever renewal is just moving it.
    #[expect(clippy::unused_async, reason = "the contract of stores that ask over the network")]
    pub async fn by_id(&self, id: &PublicId, now: UnixTime) -> Result<Option<(StoreKey, Arc<Session>)>, Error> {
        match self {
            Self::Memory(memory) => Ok(memory.by_id(id, now)),
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
    Ok(Session {
        data,
        persistent: edit.persist.unwrap_or(session.persistent),
        version: session.version.wrapping_add(1),
        ..session.clone()
    })
}

fn check(data: &Data, limit: usize) -> Result<(), Error> {
    if data.len() > limit { Err(Error::DataOverLimit { size: data.len(), limit }) } else { Ok(()) }
}
