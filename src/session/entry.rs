//! What the store has under one key.

use std::sync::Arc;

use super::{Lifetimes, Session, StoreKey, UnixTime};

/// One entry of a store.
#[derive(Clone, Debug)]
pub enum Entry {
    /// A session that requests see.
    Live(Arc<Session>),
    /// Periodic renewal moved the session, with the same privilege, to another key.
    Renewed(Box<Renewed>),
    /// A login, or another change of privilege, moved the session to an unrelated secret.
    Superseded {
        /// How long that is remembered.
        until: UnixTime,
    },
    /// Logged out or revoked.
    Ended {
        /// How long that is remembered.
        until: UnixTime,
    },
}

/// Where periodic renewal moved a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Renewed {
    /// Its new key.
    pub to: StoreKey,
    /// When the secret that was renewed had been issued; the new one is derived from both.
    pub issued_at: UnixTime,
    /// How long the old ticket still opens the session. What was opened before then may still be committed after it.
    pub until: UnixTime,
}

impl Entry {
    /// What it means at `now`; none where it has expired.
    pub fn at(&self, now: UnixTime, lifetimes: &Lifetimes) -> Option<Self> {
        match self {
            Self::Live(session) => (now < lifetimes.expiry(session)).then(|| self.clone()),
            // A response begun under the old ticket may still be on its way: a logout in it must find the session.
            Self::Renewed(renewed) => (now < renewed.until.after(lifetimes.tombstone)).then(|| self.clone()),
            Self::Superseded { until } | Self::Ended { until } => (now < *until).then(|| self.clone()),
        }
    }
}
