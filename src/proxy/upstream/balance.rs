//! Which server a request goes to.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::pool::{Lease, Pool};
use super::shared::{Full, Place, Shared};
use super::{Error, Fresh, Upstream};

/// How many requests may wait for a place, over all workers. One more is refused at once.
const MOST_WAITING: usize = 1024;

/// How requests are spread over servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Balance {
    /// To each in turn; every worker has its own turn.
    RoundRobin,
    /// To the one with the fewest requests under way, over all workers; in turn where several have.
    LeastConnections,
}

/// The most servers of an upstream.
pub const MOST_SERVERS: usize = 256;

/// Servers that are not to be chosen again for a request.
#[derive(Clone, Copy, Debug, Default)]
struct Tried([u64; MOST_SERVERS / 64]);

impl Tried {
    fn has(&self, index: usize) -> bool {
        self.0[index / 64] & (1 << (index % 64)) != 0
    }

    fn add(&mut self, index: usize) {
        self.0[index / 64] |= 1 << (index % 64);
    }
}

enum Choice {
    Server(usize, Option<Place>),
    /// There are servers, and all of them have as many exchanges as they may have.
    Full,
    /// There is no other.
    None,
}

impl Upstream {
    /// A connection to the server that is chosen, or to the next that can be connected to.
    pub(super) async fn lease(&self, fresh: Fresh) -> Result<Lease, Error> {
        let leased = self.try_lease(fresh).await;
        if leased.is_err() {
            self.counters.failures.increment();
        }
        leased
    }

    async fn try_lease(&self, fresh: Fresh) -> Result<Lease, Error> {
        let (mut tried, mut failure) = (Tried::default(), None);
        loop {
            let (index, place) = match self.newcomer(&tried) {
                Choice::Server(index, place) => (index, place),
                Choice::None => return Err(failure.unwrap_or(Error::Unhealthy)),
                Choice::Full => match Box::pin(self.wait(&tried)).await {
                    Ok(found) => found,
                    Err(error) => return Err(failure.unwrap_or(error)),
                },
            };
            tried.add(index);
            let pool = &self.pools[index];
            if fresh == Fresh::No
                && let Some(mut lease) = Pool::idle(pool)
            {
                self.counters.reused.increment();
                lease.place = place;
                return Ok(lease);
            }
            match Box::pin(Pool::connect(pool, self.settings.connect_timeout)).await {
                Ok(mut lease) => {
                    // HTTP/2 may have found room on a connection that was made for another.
                    let counter = if lease.reused { &self.counters.reused } else { &self.counters.connects };
                    counter.increment();
                    lease.place = place;
                    return Ok(lease);
                }
                Err(error) => {
                    self.failed(index);
                    failure = Some(error);
                }
            }
        }
    }

    /// Whoever comes last does not pass those who wait.
    fn newcomer(&self, tried: &Tried) -> Choice {
        if self.shared.queue.waiting.load(Ordering::SeqCst) > 0 { Choice::Full } else { self.choose(tried) }
    }

    fn choose(&self, tried: &Tried) -> Choice {
        // A server that is alone is the last resort as well: it is never passed over.
        if let [only] = &*self.shared.standings {
            if tried.has(0) || !only.is_healthy() {
                return Choice::None;
            }
            return Shared::place(&self.shared, 0).map_or(Choice::Full, |place| Choice::Server(0, place));
        }
        // Those that have failed of late are for when there is no other.
        for last_resort in [false, true] {
            let (mut skipped, mut full) = (*tried, false);
            while let Some(index) = self.candidate(&skipped, last_resort) {
                skipped.add(index);
                match Shared::place(&self.shared, index) {
                    Err(Full) => full = true,
                    Ok(place) => {
                        if last_resort || self.shared.standings[index].admits(self.settings.tolerance) {
                            self.turn.set((index + 1) % self.pools.len());
                            return Choice::Server(index, place);
                        }
                    }
                }
            }
            if full {
                return Choice::Full;
            }
        }
        Choice::None
    }

    fn candidate(&self, skipped: &Tried, last_resort: bool) -> Option<usize> {
        let (count, first, standings) = (self.pools.len(), self.turn.get(), &self.shared.standings);
        let in_turn = (first..first + count).map(|index| if index < count { index } else { index - count });
        let mut candidates = in_turn.filter(|index| {
            let standing = &standings[*index];
            !skipped.has(*index) && standing.is_healthy() && (last_resort || !standing.is_passed_over())
        });
        match self.settings.balance {
            Balance::RoundRobin => candidates.next(),
            Balance::LeastConnections => {
                candidates.min_by_key(|index| standings[*index].under_way.load(Ordering::Relaxed))
            }
        }
    }

    /// Waits until a server has a place, for as long as a connection may take to be made.
    async fn wait(&self, tried: &Tried) -> Result<(usize, Option<Place>), Error> {
        let shared = &self.shared;
        let before = Waiting::enter(shared);
        if before.others >= MOST_WAITING {
            return Err(Error::Busy { waited: Duration::ZERO });
        }
        let limit = self.settings.connect_timeout;
        let until = Instant::now() + limit;
        let mut is_first = before.others == 0;
        loop {
            let mut freed = std::pin::pin!(shared.queue.freed.notified());
            // Before looking, so that what is freed in between is not missed.
            freed.as_mut().enable();
            if is_first {
                match self.choose(tried) {
                    Choice::Server(index, place) => return Ok((index, place)),
                    Choice::None => return Err(Error::Unhealthy),
                    Choice::Full => {}
                }
            }
            if timeout_at(until, freed).await.is_err() {
                return Err(Error::Busy { waited: limit });
            }
            is_first = true;
        }
    }

    /// Counts a failure of this server, unless there is no other.
    pub(super) fn failed(&self, index: usize) {
        if self.pools.len() > 1 {
            self.shared.standings[index].failed(self.settings.tolerance);
        }
    }
}

/// One that waits for a place, for as long as this lives.
struct Waiting<'a> {
    shared: &'a Shared,
    others: usize,
}

impl<'a> Waiting<'a> {
    fn enter(shared: &'a Shared) -> Self {
        Self { shared, others: shared.queue.waiting.fetch_add(1, Ordering::SeqCst) }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let others = self.shared.queue.waiting.fetch_sub(1, Ordering::SeqCst) - 1;
        // Of places that are freed while nobody sleeps one is told of, and this may have been woken for it. Whoever has
        // come since does not look for the others by itself.
        if others > 0 && self.shared.has_room() {
            self.shared.queue.freed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::Arc;

    use super::super::Settings;
    use super::super::pool::tests::settings;
    use super::*;

    #[test]
    fn who_stops_waiting_tells_the_next_of_a_place_that_is_free() {
        for (taken, is_told) in [(2, false), (1, true)] {
            let shared = Arc::new(Shared::new(&Settings { max_connections: Some(2), ..settings() }, None, None));
            let (first, _second) = (Waiting::enter(&shared), Waiting::enter(&shared));
            let mut freed = pin!(shared.queue.freed.notified());
            assert!(!freed.as_mut().enable());
            let places: Vec<_> = (0..taken).map(|_| Shared::place(&shared, 0).expect("a free place")).collect();
            drop(first);
            assert_eq!(freed.as_mut().enable(), is_told, "{taken} of 2 places are taken");
            drop(places);
        }
    }
}
