//! What survives a restart: the memory's sessions in a file, written behind.
//!
//! A request changes the memory and leaves the entry's key in the [`Backlog`]; it never waits for the disk. One thread
//! calls [`File::write`] twice in every `sync`: it takes the backlog, reads the entries as they were at that moment,
//! and appends them to the file in one transaction. The memory is filled from the file before the first request.
//!
//! # What a crash leaves
//!
//! After a transaction the file holds the memory of one moment, the whole of it: what was taken then, and of everything
//! else what it had, which is still so. A transaction is there as a whole or not at all, and so a crash leaves the
//! memory of the moment that was written last. Hence:
//!
//! - What was acknowledged `sync` ago is there. It was changed before a moment that has been written since, unless the
//!   disk takes longer than half of `sync` for one transaction; `*_file_synced_timestamp_seconds` tells.
//! - No step over two keys is torn: a login or a renewal holds a lock that the moment is taken under. Either the new
//!   ticket is live and the old one dead, or the old one as live as it was, and the step lost as a whole. With the order
//!   of steps alone, and no moment, the new entry could be written and the old one's end not: two tickets for one
//!   session, of which a logout ends one. Or the other way round, and nobody has a session any more.
//! - A logout, once written, is not undone: the newest record of a key counts, older ones are removed before newer ones,
//!   and an entry that goes from the memory for whichever reason is written down as gone.
//!
//! The file has store keys and data, as the memory does, and no tickets: from a key nobody gets to one.

mod backlog;
mod error;
mod log;
pub(crate) mod record;

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use foldhash::fast::RandomState;

use super::Memory;
use super::memory::{self, Filed, Recalled};
use crate::session::{Lifetimes, StoreKey, UnixTime};
use log::{Failure, GROUP, Log, Opened};

pub(super) use backlog::Backlog;
pub use error::{Damage, Error, WriteError};
pub(super) use record::FRAME as RECORD_BYTES;

/// Where the file is, and how far it may be behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The file.
    pub path: PathBuf,
    /// What was acknowledged so long ago survives a crash.
    pub sync: Duration,
}

impl Settings {
    /// Whether it could be opened or made, as far as can be told without doing it: another gateway may be using it.
    pub fn check(&self) -> Result<(), Error> {
        log::check(&self.path).map_err(|source| Error::Unusable { path: self.path.clone(), source })
    }

    /// How long the writer rests between two turns: with half of it left for the turn itself, the promise is kept.
    pub fn rest(&self) -> Duration {
        self.sync / 2
    }
}

/// A file may be larger than what is in it by this much, before its oldest groups are worth reading again.
const SLACK: u64 = 4 << 20;
/// How much of the oldest groups is read in one turn beside as much as is written, so that a turn stays short.
const LEAST_READ: u64 = 256 << 10;

/// The file of one memory, for one thread to write.
#[derive(Debug)]
pub struct File {
    settings: Settings,
    /// None after a failure, until it can be opened again.
    log: Option<Log>,
}

/// How writing goes.
#[derive(Debug, Default)]
pub(super) struct Progress {
    synced_at: AtomicU64,
    records: AtomicU64,
    failures: AtomicU64,
    unreadable: AtomicU64,
    bytes: AtomicU64,
}

/// How far the file is behind, and what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Keys whose entries the file does not have as they are.
    pub waiting: usize,
    /// When the file last had everything.
    pub synced_at: UnixTime,
    /// Records written, ever.
    pub records: u64,
    /// Turns in which nothing could be written, ever.
    pub failures: u64,
    /// Records that could not be read at start.
    pub unreadable: u64,
    /// Bytes of the records in the file.
    pub bytes: u64,
}

/// A memory filled from its file.
#[derive(Debug)]
pub struct Filled {
    /// The memory.
    pub memory: Memory,
    /// What keeps its file.
    pub file: File,
    /// What was in the file.
    pub found: Found,
}

/// What a file held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Entries that are in the memory again: sessions, and tickets remembered as dead.
    pub kept: usize,
    /// Entries whose time was up.
    pub expired: usize,
    /// Sessions for which the store's bounds leave no room.
    pub dropped: usize,
    /// Entries that could not be read.
    pub unreadable: usize,
}

/// Opens the file and fills a memory from it.
pub fn open(
    settings: &Settings,
    bounds: &memory::Settings,
    lifetimes: &Lifetimes,
    now: UnixTime,
) -> Result<Filled, Error> {
    let empty = || Memory::with_file(bounds.clone(), lifetimes.clone());
    let file = |log| File { settings: settings.clone(), log: Some(log) };
    let log = match Log::open(&settings.path, now)? {
        Opened::New(log) => log,
        Opened::Old(mut log) => {
            let memory = empty();
            match fill(&memory, &mut log, now) {
                Ok(found) => return Ok(Filled { memory, file: file(log), found }),
                Err(Failure::Refused(error)) => return Err(error),
                Err(Failure::Damaged(damage)) => {
                    drop(log);
                    Log::instead(&settings.path, &damage, now)?
                }
            }
        }
    };
    Ok(Filled { memory: empty(), file: file(log), found: Found::default() })
}

impl File {
    /// Where it is, and how far it may be behind.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// One turn: everything that has changed is written. What cannot be written waits for the next turn.
    pub fn write(&mut self, memory: &Memory, now: UnixTime) -> Result<(), WriteError> {
        let filed = memory.filed().expect("it was opened with its file");
        // The one thread that writes must not die unnoticed.
        let turn =
            catch_unwind(AssertUnwindSafe(|| self.turn(memory, filed, now))).unwrap_or(Err(WriteError::Panicked));
        if turn.is_err() {
            // redb takes nothing more after an error; what it has may be more or less than it had.
            self.log = None;
            filed.backlog.unwritten();
            filed.progress.failures.fetch_add(1, Ordering::Relaxed);
        }
        turn
    }

    /// The last turn, after the last change.
    pub fn finish(mut self, memory: &Memory, now: UnixTime) -> Result<(), WriteError> {
        self.write(memory, now).or_else(|_| self.write(memory, now))?;
        match self.log {
            Some(log) => Ok(log.close()?),
            None => Ok(()),
        }
    }

    fn turn(&mut self, memory: &Memory, filed: &Filed, now: UnixTime) -> Result<(), WriteError> {
        let Filed { backlog, progress } = filed;
        let log = match &mut self.log {
            Some(log) if !log.is_in_place() => return Err(WriteError::Gone),
            Some(log) => log,
            log => log.insert(open_again(&self.settings, memory, filed, now)?),
        };
        let waiting = backlog.len();
        if waiting > 0 {
            let oldest = settle_oldest(log, waiting, memory, backlog)?;
            memory.take(filed);
            let mut records = 0;
            let mut keys = backlog.taken().flatten();
            log.append(
                |group| {
                    while group.len() < GROUP
                        && let Some(key) = keys.next()
                    {
                        let entry = backlog.as_taken(&key, memory.entry(&key));
                        record::push(group, &key, entry.as_ref());
                        records += 1;
                    }
                },
                oldest,
            )?;
            drop(keys);
            backlog.written();
            progress.records.fetch_add(records, Ordering::Relaxed);
            progress.bytes.store(log.bytes, Ordering::Relaxed);
        }
        progress.synced_at.store(now.0, Ordering::Relaxed);
        Ok(())
    }
}

/// Opens the file after a failure. If it has gone, or was moved aside, the new one is to have everything.
fn open_again(settings: &Settings, memory: &Memory, filed: &Filed, now: UnixTime) -> Result<Log, Error> {
    match Log::open(&settings.path, now)? {
        Opened::Old(mut log) => {
            log.bytes = filed.progress.bytes.load(Ordering::Relaxed);
            Ok(log)
        }
        Opened::New(log) => {
            memory.add_everything(filed);
            Ok(log)
        }
    }
}

/// Where the file is much larger than what is in it: has what is still true in its oldest groups written again. How
/// many of them may go in the same transaction.
///
/// What one of them says of a key that is not so any more needs no care: the key has changed since that was written,
/// and therefore stands in a newer group, or in the backlog and will in a moment.
fn settle_oldest(log: &Log, waiting: usize, memory: &Memory, backlog: &Backlog) -> Result<usize, WriteError> {
    let live = memory.file_bytes();
    if log.bytes <= 2 * live + SLACK {
        return Ok(0);
    }
    // So many that the file shrinks however much of them is still true, unless all of it is.
    let mean = live / (memory.stats().entries.max(1) as u64) + 1;
    let most = LEAST_READ.max(4 * mean * waiting as u64);
    let mut current = Vec::new();
    let oldest = log.read_oldest(most, |group| {
        for (key, bytes) in record::each(group).flatten() {
            current.clear();
            if let Some(entry) = memory.entry(&key) {
                record::write(&mut current, &entry);
            }
            if current == bytes && !bytes.is_empty() {
                backlog.add(&key);
            }
        }
    })?;
    Ok(oldest)
}

/// Fills an empty memory. What is newest comes first, and what is older of the same key is not so any more.
fn fill(memory: &Memory, log: &mut Log, now: UnixTime) -> Result<Found, Failure> {
    let filed = memory.filed().expect("it was made with a file");
    let mut found = Found::default();
    // Keys of which the newest record puts nothing into the memory or the backlog.
    let mut settled: HashSet<StoreKey, RandomState> = HashSet::default();
    log.read_back(|group| {
        for entry in record::each(group) {
            let (key, bytes) = entry.map_err(|record::Broken| Damage::Group)?;
            if memory.entry(&key).is_some() || filed.backlog.contains(&key) || settled.contains(&key) {
                continue;
            }
            let Some(entry) = record::read(bytes) else {
                found.unreadable += usize::from(!bytes.is_empty());
                settled.insert(key);
                continue;
            };
            let recalled = memory.recall(&key, entry, now);
            if recalled != Recalled::Kept {
                // What is not in the memory cannot be ended there: it must not come back either.
                filed.backlog.add(&key);
            }
            match recalled {
                Recalled::Kept => found.kept += 1,
                Recalled::Expired => found.expired += 1,
                Recalled::Dropped => found.dropped += 1,
            }
        }
        Ok(())
    })?;
    // Those that made room for others were kept at first.
    let evicted = usize::try_from(memory.stats().evicted).unwrap_or(usize::MAX);
    found.kept = found.kept.saturating_sub(evicted);
    found.dropped += evicted;
    filed.progress.unreadable.store(found.unreadable as u64, Ordering::Relaxed);
    filed.progress.bytes.store(log.bytes, Ordering::Relaxed);
    filed.progress.synced_at.store(now.0, Ordering::Relaxed);
    Ok(found)
}

impl Filed {
    /// How far the file is behind, and what was written.
    pub(super) fn stats(&self) -> Stats {
        let Progress { synced_at, records, failures, unreadable, bytes } = &self.progress;
        Stats {
            waiting: self.backlog.len(),
            synced_at: UnixTime(synced_at.load(Ordering::Relaxed)),
            records: records.load(Ordering::Relaxed),
            failures: failures.load(Ordering::Relaxed),
            unreadable: unreadable.load(Ordering::Relaxed),
            bytes: bytes.load(Ordering::Relaxed),
        }
    }
}
