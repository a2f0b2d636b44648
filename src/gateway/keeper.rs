//! The thread that keeps the session file.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::proxy::Clock;
use crate::session::Lifetimes;
use crate::store::file::{self, File, Found, WriteError};
use crate::store::{Memory, Store, memory};

/// How long a file that cannot be written is left alone: it is opened anew each time, and read as a whole for that.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// A running keeper. Everything is written when it has stopped.
#[derive(Debug)]
pub(super) struct Keeper {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

/// The memory store: empty, or as its file has it.
pub(super) fn memory(
    bounds: &memory::Settings,
    file: Option<&file::Settings>,
    lifetimes: &Lifetimes,
    clock: &Clock,
) -> anyhow::Result<(Memory, Option<File>)> {
    let Some(settings) = file else { return Ok((Memory::new(bounds.clone(), lifetimes.clone()), None)) };
    let begun = Instant::now();
    let filled = file::open(settings, bounds, lifetimes, clock.now())?;
    let (path, took) = (settings.path.display(), begun.elapsed());
    let Found { kept, expired, dropped, unreadable } = filled.found;
    tracing::info!(kept, expired, dropped, "read {path} in {took:.1?}");
    if unreadable > 0 {
        tracing::error!("{unreadable} entries of {path} cannot be read; whose sessions they were has to log in again");
    }
    Ok((filled.memory, Some(filled.file)))
}

impl Keeper {
    /// Starts it.
    pub(super) fn start(file: File, store: Arc<Store>, clock: Clock) -> std::io::Result<Self> {
        let (stop, stopped) = channel();
        let thread = std::thread::Builder::new().name("session-file".to_owned()).spawn(move || {
            let Store::Memory(memory) = &*store;
            let mut file = file;
            let rest = file.settings().rest();
            let mut state = State { path: file.settings().path.display().to_string(), failing_since: None };
            let mut due = Instant::now() + rest;
            while stopped.recv_timeout(due.saturating_duration_since(Instant::now())) == Err(RecvTimeoutError::Timeout)
            {
                let begun = Instant::now();
                let written = file.write(memory, clock.now());
                due = begun + if written.is_ok() { rest } else { rest.max(RETRY_AFTER) };
                state.tell(written);
            }
            let finished = file.finish(memory, clock.now());
            if finished.is_err() {
                let lost = memory.file_stats().map_or(0, |stats| stats.waiting);
                tracing::error!("what changed in {lost} sessions cannot be written, and ends with this process");
            }
            state.tell(finished);
        })?;
        Ok(Self { stop, thread })
    }

    /// Returns once everything is written. No request may be left that could change something.
    pub(super) fn stop(self) {
        drop(self.stop);
        let _ = self.thread.join();
    }
}

/// Whether it works, told once when that changes.
struct State {
    path: String,
    failing_since: Option<Instant>,
}

impl State {
    fn tell(&mut self, written: Result<(), WriteError>) {
        match (written.context("sessions live in memory alone, and it is tried again"), self.failing_since) {
            (Err(error), None) => {
                self.failing_since = Some(Instant::now());
                tracing::error!("the session file {} cannot be written: {error:#}", self.path);
            }
            (Ok(()), Some(since)) => {
                self.failing_since = None;
                tracing::info!("the session file {} is written again, after {:.0?}", self.path, since.elapsed());
            }
            (Err(_), Some(_)) | (Ok(()), None) => {}
        }
    }
}
