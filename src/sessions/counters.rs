//! What one worker's sessions count.

use crate::metrics::Counter;

/// One worker's counters; the admin address sums them over workers.
#[derive(Debug)]
pub struct Counters {
    /// Valid tickets, by the place of their key in the ring.
    pub valid: Box<[Counter]>,
    /// Cookie values of wrong length, alphabet or version.
    pub malformed: Counter,
    /// Tickets signed by a key that is not configured.
    pub unknown_key: Counter,
    /// Tickets whose signature does not hold.
    pub forged: Counter,
    /// Tickets older than any session could be.
    pub outlived: Counter,
    /// Sessions born of a first write.
    pub born: Counter,
    /// Sessions that began by a login.
    pub logged_in: Counter,
    /// Tickets renewed because of their age.
    pub renewed: Counter,
    /// Tickets renewed because the backend asked.
    pub renewed_on_request: Counter,
    /// Sessions ended by `X-Session-End`.
    pub logged_out: Counter,
    /// Sessions revoked through the API.
    pub revoked: Counter,
    /// Sessions ended because a login made their user's too many.
    pub over_limit: Counter,
    /// Sessions deleted because nothing was left in them.
    pub emptied: Counter,
    /// Sessions that a login replaced.
    pub superseded: Counter,
    /// Changes dropped because their ticket was dead.
    pub dropped: Counter,
    /// Changes that could not be stored.
    pub failed: Counter,
}

impl Counters {
    /// All zero, for a ring of so many keys.
    pub fn new(keys: usize) -> Self {
        Self {
            valid: (0..keys).map(|_| Counter::default()).collect(),
            malformed: Counter::default(),
            unknown_key: Counter::default(),
            forged: Counter::default(),
            outlived: Counter::default(),
            born: Counter::default(),
            logged_in: Counter::default(),
            renewed: Counter::default(),
            renewed_on_request: Counter::default(),
            logged_out: Counter::default(),
            revoked: Counter::default(),
            over_limit: Counter::default(),
            emptied: Counter::default(),
            superseded: Counter::default(),
            dropped: Counter::default(),
            failed: Counter::default(),
        }
    }
}
