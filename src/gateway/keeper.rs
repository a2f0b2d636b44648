//! The thread that keeps the session file.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::proxy::Clock;
use crate::session::Lifetimes;
use crate::store::file::{self, File, Filled, Found, WriteError};
use crate::store::{Memory, memory};

/// How long a file that cannot be written is left alone: it is opened anew each time, and read as a whole for that.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// A running keeper. Everything is written when it has stopped.
#[derive(Debug)]
pub(super) struct Keeper {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Keeper {
    /// Fills a memory from its file, and keeps that from then on.
    pub(super) fn start(
        settings: &file::Settings,
        bounds: &memory::Settings,
        lifetimes: &Lifetimes,
        clock: Clock,
    ) -> anyhow::Result<(Arc<Memory>, Self)> {
        let begun = Instant::now();
        let Filled { memory, file, found } = file::open(settings, bounds, lifetimes, clock.now())?;
        let Found { kept, expired, dropped, unreadable } = found;
        let path = settings.path.display();
        tracing::info!(kept, expired, dropped, "read {path} in {:.1?}", begun.elapsed());
        if unreadable > 0 {
            tracing::error!(
                "{unreadable} entries of {path} cannot be read; whose sessions they were has to log in again"
            );
        }
        let memory = Arc::new(memory);
        let (stop, stopped) = channel();
        let kept = Arc::clone(&memory);
        let thread = std::thread::Builder::new()
            .name("session-file".to_owned())
            .spawn(move || keep(file, &kept, &clock, &stopped))
            .context("cannot start what keeps the session file")?;
        Ok((memory, Self { stop, thread }))
    }

    /// Returns once everything is written. No request may be left that could change something.
    pub(super) fn stop(self) {
        drop(self.stop);
        let _ = self.thread.join();
    }
}

/// Writes in turns, until it is to stop, and once more then.
fn keep(mut file: File, memory: &Memory, clock: &Clock, stopped: &Receiver<()>) {
    let rest = file.settings().rest();
    let mut state = State { path: file.settings().path.display().to_string(), failing_since: None };
    let mut due = Instant::now() + rest;
    while stopped.recv_timeout(due.saturating_duration_since(Instant::now())) == Err(RecvTimeoutError::Timeout) {
        let (begun, as_of) = (Instant::now(), jiff::Timestamp::now());
        let written = file.write(memory, clock.now());
        due = begun + if written.is_ok() { rest } else { rest.max(RETRY_AFTER) };
        if written.is_ok() {
            tracing::debug!(took = begun.elapsed().as_micros(), %as_of, "the session file has everything");
        }
        state.tell(written);
    }
    let finished = file.finish(memory, clock.now());
    if finished.is_err() {
        let lost = memory.file_stats().map_or(0, |stats| stats.waiting);
        tracing::error!("what changed in {lost} sessions cannot be written, and ends with this process");
    }
    state.tell(finished);
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
