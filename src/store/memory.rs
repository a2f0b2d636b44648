//! Sessions in this process's memory.

/// The bounds of the memory store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How many sessions may be live at once.
    pub max_sessions: usize,
    /// How many bytes all sessions together may hold, by the store's own estimate.
    pub max_bytes: u64,
}
