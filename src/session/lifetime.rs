//! How long sessions live: idle and absolute limits by kind, touching, renewal, tombstones.

use std::time::Duration;

/// The two limits of one kind of session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How long a session lives without a request.
    pub idle: Duration,
    /// How long a session lives at all, counted from login (from birth where nobody logged in).
    pub lifetime: Duration,
}

/// Every duration that governs a session's life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    /// Sessions with a user.
    pub user: Limits,
    /// Sessions without one.
    pub anonymous: Limits,
    /// Sessions the backend asked to persist, with or without a user.
    pub persistent: Limits,
    /// The age at which a ticket is replaced while privilege stays the same.
    pub renew_after: Duration,
    /// How stale the stored last-seen time may grow before a request writes it again.
    pub touch_after: Duration,
    /// How long a superseded or ended ticket is remembered. At least the longest time a response head may take,
    /// so that no response begun under the ticket can outlive the memory of its end.
    pub tombstone: Duration,
}
