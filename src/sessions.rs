//! Open, commit, list, revoke: the only caller of a store.

use crate::session::Lifetimes;

/// What governs sessions, whatever store holds them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long sessions live.
    pub lifetimes: Lifetimes,
    /// Whether a visitor without a session is given a guest ticket before anything is stored.
    pub guest_cookie: bool,
    /// The most bytes of data (as JSON) one session may hold.
    pub max_data: usize,
}
