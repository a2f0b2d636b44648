//! A session, as a plain value: who it belongs to, what it holds, how long it lives.
//!
//! Nothing on this floor does I/O or knows the time; `now` is an argument.

pub mod change;
pub mod data;
pub mod entry;
pub mod jar;
pub mod keys;
pub mod lifetime;
pub mod ticket;
pub mod time;

pub use change::{Change, Edit, End, Malformed, Patch};
pub use data::Data;
pub use entry::Entry;
pub use jar::Jar;
pub use keys::{KeyRing, LogHash};
pub use lifetime::Lifetimes;
pub use ticket::{Kind, PublicId, Secret, StoreKey, Ticket};
pub use time::UnixTime;

/// A stored session.
#[derive(Clone, PartialEq, Eq)]
pub struct Session {
    /// What backends and operators call it.
    pub id: PublicId,
    /// Who is logged in.
    pub user: Option<Box<str>>,
    /// What the backend keeps in it.
    pub data: Data,
    /// The backends' own cookies, where they are kept from the browser.
    pub jar: Jar,
    /// When its lifetime began: at login, or at birth where nobody logged in. Renewals do not move it.
    pub created: UnixTime,
    /// The last request that counted as activity, as last written.
    pub last_seen: UnixTime,
    /// When its current secret was issued. Every ticket of it says so, which makes parallel answers alike.
    pub issued_at: UnixTime,
    /// Counts changes, so that a step over two keys notices a change in between. Touching is no change.
    pub version: u32,
    /// Whether the cookie outlives the browser.
    pub persistent: bool,
    /// The key it had before its last periodic renewal, until its new ticket has come back once.
    pub renewed_from: Option<Box<StoreKey>>,
}

impl Session {
    /// A session that nobody is logged into and that holds nothing yet.
    pub fn new(key: StoreKey, now: UnixTime) -> Self {
        Self {
            id: PublicId::from(key),
            user: None,
            data: Data::default(),
            jar: Jar::default(),
            created: now,
            last_seen: now,
            issued_at: now,
            version: 0,
            persistent: false,
            renewed_from: None,
        }
    }

    /// Whether it is not worth keeping.
    pub fn is_empty(&self) -> bool {
        self.user.is_none() && self.data.is_empty() && self.jar.is_empty()
    }
}

/// Neither the id, nor the user, nor the data, nor a cookie's value: a log may show this.
impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("has_user", &self.user.is_some())
            .field("data_bytes", &self.data.len())
            .field("jar", &self.jar)
            .field("created", &self.created)
            .field("last_seen", &self.last_seen)
            .field("issued_at", &self.issued_at)
            .field("version", &self.version)
            .field("persistent", &self.persistent)
            .finish_non_exhaustive()
    }
}
