//! Counters and histograms: plain values, resolved once, written by one worker each and summed when they are read.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Counts events. One thread writes it, any may read it: each worker has its own, so that no two cores write one cache
/// line, and counting takes no locked instruction.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub fn increment(&self) {
        self.add(1);
    }

    /// So many more.
    pub fn add(&self, events: u64) {
        self.0.store(self.get().wrapping_add(events), Ordering::Relaxed);
    }

    /// One less, where the counter tells how many there are at present.
    pub fn decrement(&self) {
        self.0.store(self.get().wrapping_sub(1), Ordering::Relaxed);
    }

    /// How many so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Upper bounds of the latency buckets, in microseconds; what takes longer falls into one more.
pub const BUCKETS: [u64; 14] = [
    250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 10_000_000,
];

/// How long things took.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [Counter; BUCKETS.len() + 1],
    microseconds: Counter,
}

impl Histogram {
    /// One more thing took so long.
    pub fn observe(&self, took: Duration) {
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = BUCKETS.iter().position(|bound| took <= *bound).unwrap_or(BUCKETS.len());
        self.buckets[bucket].increment();
        self.microseconds.add(took);
    }

    /// How many fell into each bucket; the last one has no upper bound.
    pub fn counts(&self) -> [u64; BUCKETS.len() + 1] {
        std::array::from_fn(|bucket| self.buckets[bucket].get())
    }

    /// How long all of them took together.
    pub fn sum(&self) -> Duration {
        Duration::from_micros(self.microseconds.get())
    }
}

/// When certificates expire: by the name of their file, in seconds since 1970. Set whenever they are read.
#[derive(Debug, Default)]
pub struct Expiries(Mutex<Vec<(String, i64)>>);

impl Expiries {
    /// These, and no others.
    pub fn set(&self, expiries: Vec<(String, i64)>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = expiries;
    }

    /// All of them.
    pub fn get(&self) -> Vec<(String, i64)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What happened to connections.
#[derive(Debug, Default)]
pub struct Connections {
    /// Accepted.
    pub accepted: Counter,
    /// Times that `accept` failed for want of something: descriptors, memory.
    pub accept_errors: Counter,
    /// Connections that had to wait since as many as allowed were open.
    pub at_limit: Counter,
    /// TLS handshakes that failed or took too long.
    pub handshakes_failed: Counter,
    /// Connections closed because they did not begin with a valid PROXY protocol header, or came from no trusted proxy.
    pub proxy_headers_refused: Counter,
    /// Open now.
    pub open: Counter,
    /// Times that an idle HTTP/1.1 connection gave up its buffers.
    pub rests: Counter,
    /// Ended by a timeout: handshake, no request, slow head, response not read.
    pub timeouts: Counter,
}
