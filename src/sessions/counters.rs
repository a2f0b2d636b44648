//! What one worker's sessions count.

use crate::metrics::Counter;

/// One counter for each id that a key may have.
#[derive(Debug)]
pub struct PerKey(Box<[Counter]>);

impl PerKey {
    /// That of the keys with this id.
    pub fn of(&self, id: u8) -> &Counter {
        &self.0[usize::from(id)]
    }
}

impl Default for PerKey {
    fn default() -> Self {
        Self((0..=u8::MAX).map(|_| Counter::default()).collect())
    }
}

/// One worker's counters; the admin address sums them over workers.
#[derive(Debug, Default)]
pub struct Counters {
    /// Valid tickets, by the id of their key: places in the ring change while this counts.
    pub valid: PerKey,
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
