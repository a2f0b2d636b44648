//! The log on standard error, and the access lines on standard output.

use std::io::{IsTerminal, Write};
use std::rc::Rc;
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

/// Begins to log.
pub fn init(settings: &Settings) -> Level {
    let stderr = std::io::stderr;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter(settings))
        .with_ansi(stderr().is_terminal())
        .with_writer(stderr)
        .with_filter_reloading();
    let handle = log.reload_handle();
    // A second call, as from several gateways in one test process, changes nothing.
    let _ = log.try_init();
    let set = move |settings: &Settings| drop(handle.reload(filter(settings)));
    Level(Box::new(set))
}

/// A level that is none has been refused with the configuration.
fn filter(settings: &Settings) -> EnvFilter {
    EnvFilter::try_new(&settings.level).unwrap_or_else(|_| EnvFilter::new("info"))
}

/// What is logged, to be changed while it is.
pub struct Level(Box<dyn Fn(&Settings) + Send>);

impl Level {
    /// From now on, this.
    pub fn set(&self, settings: &Settings) {
        self.0(settings);
    }
}

impl std::fmt::Debug for Level {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Level(..)")
    }
}

/// Batches of lines that may wait for a slow standard output; some megabytes.
const MOST_WAITING: usize = 64;

/// Where access lines go: one thread, so that no worker ever waits for a terminal, a pipe or a disk.
#[derive(Debug)]
pub struct AccessWriter {
    lines: SyncSender<String>,
    dropped: Arc<AtomicU64>,
    thread: JoinHandle<()>,
}

impl AccessWriter {
    /// Starts it.
    pub fn start(dropped: Arc<AtomicU64>) -> std::io::Result<Self> {
        let (lines, waiting) = sync_channel(MOST_WAITING);
        let thread = std::thread::Builder::new().name("access-log".to_owned()).spawn(move || write(&waiting))?;
        Ok(Self { lines, dropped, thread })
    }

    /// Where workers' lines go.
    pub fn lines(&self) -> AccessLines {
        AccessLines { lines: self.lines.clone(), dropped: Arc::clone(&self.dropped) }
    }

    /// Writes what is left. Every handle must be gone.
    pub fn finish(self) {
        drop(self.lines);
        let _ = self.thread.join();
    }
}

/// The way to the writer, for whoever is to have an end of it.
#[derive(Clone, Debug)]
pub struct AccessLines {
    lines: SyncSender<String>,
    dropped: Arc<AtomicU64>,
}

impl AccessLines {
    /// One worker's end of it, where lines of this form are wanted: the one it has, if that will do.
    pub fn end(&self, access: Access, before: Option<&Rc<AccessLog>>) -> Option<Rc<AccessLog>> {
        let form = match access {
            Access::Off => return None,
            Access::Text => Form::Text,
            Access::Json => Form::Json,
        };
        let same = before.filter(|before| before.form() == form).cloned();
        Some(same.unwrap_or_else(|| Rc::new(AccessLog::new(form, self.lines.clone(), Arc::clone(&self.dropped)))))
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
