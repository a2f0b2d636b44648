//! The log on standard error, and the access lines on standard output.

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use tracing_subscriber::EnvFilter;

use crate::proxy::access::{AccessLog, Form};

/// What is logged, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The least severe event logged, in `tracing`'s filter language, such as `info`.
    pub level: String,
    /// One line a request, on standard output.
    pub access: Access,
}

/// The access line's form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// None.
    Off,
    /// Words for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Begins to log. A level that is none has been refused with the configuration.
pub fn init(settings: &Settings) {
    let filter = EnvFilter::try_new(&settings.level).unwrap_or_else(|_| EnvFilter::new("info"));
    let stderr = std::io::stderr;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(stderr().is_terminal()).with_writer(stderr);
    // A second call, as from several gateways in one test process, changes nothing.
    let _ = log.try_init();
}

/// Batches of lines that may wait for a slow standard output; some megabytes.
const MOST_WAITING: usize = 64;

/// Where access lines go: one thread, so that no worker ever waits for a terminal, a pipe or a disk.
#[derive(Debug)]
pub struct AccessWriter {
    form: Form,
    lines: SyncSender<String>,
    dropped: Arc<AtomicU64>,
    thread: JoinHandle<()>,
}

impl AccessWriter {
    /// Starts it, where access lines are wanted.
    pub fn start(settings: &Settings, dropped: Arc<AtomicU64>) -> std::io::Result<Option<Self>> {
        let form = match settings.access {
            Access::Off => return Ok(None),
            Access::Text => Form::Text,
            Access::Json => Form::Json,
        };
        let (lines, waiting) = sync_channel(MOST_WAITING);
        let thread = std::thread::Builder::new().name("access-log".to_owned()).spawn(move || write(&waiting))?;
        Ok(Some(Self { form, lines, dropped, thread }))
    }

    /// One worker's end of it.
    pub fn handle(&self) -> AccessLog {
        AccessLog::new(self.form, self.lines.clone(), Arc::clone(&self.dropped))
    }

    /// Writes what is left. Every handle must be gone.
    pub fn finish(self) {
        drop(self.lines);
        let _ = self.thread.join();
    }
}

fn write(waiting: &Receiver<String>) {
    let mut out = std::io::stdout();
    for lines in waiting {
        // Nobody reads any more (a closed pipe): requests go on without their lines.
        if out.write_all(lines.as_bytes()).and_then(|()| out.flush()).is_err() {
            break;
        }
    }
}
