//! One exchange as it is counted and logged: a line a request, buffered by each worker.

use std::cell::{Cell, RefCell};
use std::fmt::Write as _;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;
use std::time::Instant;

use http::{Method, StatusCode, Uri, Version, request};

use super::request_id::RequestId;
use crate::metrics::{Counter, Histogram};
use crate::session::LogHash;

/// How long a worker's lines grow before they are handed to the writer.
const FULL: usize = 32 * 1024;

/// What one worker counts of one route.
#[derive(Debug)]
pub struct RouteCounters {
    statuses: Box<[Counter]>,
    /// How long exchanges took, from the request's head to the last byte of the answer.
    pub duration: Histogram,
}

/// RFC 9110 section 15 ends at 599; what an upstream makes up beyond is counted all the same.
const STATUSES: std::ops::Range<u16> = 100..1000;

impl Default for RouteCounters {
    fn default() -> Self {
        Self { statuses: STATUSES.map(|_| Counter::default()).collect(), duration: Histogram::default() }
    }
}

impl RouteCounters {
    /// One more answer of this status.
    pub fn count(&self, status: StatusCode) {
        if let Some(counter) = self.statuses.get(usize::from(status.as_u16() - STATUSES.start)) {
            counter.increment();
        }
    }

    /// How many answers had each status that occurred.
    pub fn statuses(&self) -> impl Iterator<Item = (u16, u64)> {
        STATUSES.zip(self.statuses.iter().map(Counter::get)).filter(|(_, count)| *count > 0)
    }
}

/// The access line's form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Words for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// One worker's end of the access log.
#[derive(Debug)]
pub struct AccessLog {
    form: Form,
    lines: RefCell<String>,
    writer: SyncSender<String>,
    /// Lines that were lost because the writer could not keep up; all workers count in one place, for it is rare.
    dropped: Arc<AtomicU64>,
    /// Text of the current second, which most lines share.
    second: RefCell<(u64, String)>,
}

impl AccessLog {
    /// Lines go to `writer` in batches; where it cannot keep up they are dropped and counted, and no request waits.
    pub fn new(form: Form, writer: SyncSender<String>, dropped: Arc<AtomicU64>) -> Self {
        Self { form, lines: RefCell::default(), writer, dropped, second: RefCell::default() }
    }

    /// How lines are written.
    pub fn form(&self) -> Form {
        self.form
    }

    /// Hands over what has gathered. Called now and then.
    pub fn flush(&self) {
        let lines = std::mem::take(&mut *self.lines.borrow_mut());
        if lines.is_empty() {
            return;
        }
        if let Err(std::sync::mpsc::TrySendError::Full(lines) | std::sync::mpsc::TrySendError::Disconnected(lines)) =
            self.writer.try_send(lines)
        {
            let lost = lines.bytes().filter(|byte| *byte == b'\n').count() as u64;
            self.dropped.fetch_add(lost, Ordering::Relaxed);
        }
    }

    fn write(&self, line: &Line, exchange: &Exchange, took: std::time::Duration) {
        self.stamp();
        {
            let second = self.second.borrow();
            let mut lines = self.lines.borrow_mut();
            let route = exchange.route.as_ref().map_or("-", |route| &route.name);
            let (method, path, version) = (&line.method, Quoted(line.uri.path()), version(line.version));
            let (status, bytes, micros) = (exchange.status.get().as_u16(), exchange.bytes, took.as_micros());
            let broken = if exchange.broken { " broken" } else { "" };
            let session = line.session.get();
            let written = match self.form {
                Form::Text => {
                    let session = session.map_or_else(|| "-".to_owned(), |hash| hash.to_string());
                    writeln!(
                        lines,
                        "{} {} \"{method} {path} {version}\" {status} {bytes} {micros}us route={route} session={session} request={}{broken}",
                        second.1, line.client, line.id
                    )
                }
                Form::Json => {
                    let session = session.map_or_else(|| "null".to_owned(), |hash| format!("\"{hash}\""));
                    writeln!(
                        lines,
                        "{{\"time\":\"{}\",\"client\":\"{}\",\"method\":\"{method}\",\"path\":\"{path}\",\"version\":\"{version}\",\
                         \"status\":{status},\"bytes\":{bytes},\"micros\":{micros},\"route\":\"{route}\",\"session\":{session},\
                         \"request\":\"{}\",\"broken\":{}}}",
                        second.1, line.client, line.id, exchange.broken
                    )
                }
            };
            written.expect("a String takes every write");
        }
        if self.lines.borrow().len() >= FULL {
            self.flush();
        }
    }

    fn stamp(&self) {
        let now = std::time::SystemTime::now();
        let seconds = now.duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let mut second = self.second.borrow_mut();
        if second.0 != seconds || second.1.is_empty() {
            let text = jiff::Timestamp::from_second(i64::try_from(seconds).unwrap_or(0))
                .map_or_else(|_| String::new(), |time| time.to_string());
            *second = (seconds, text);
        }
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        self.flush();
    }
}

/// Path characters that would end a quoted string are percent-encoded; a path never has them in the clear.
struct Quoted<'a>(&'a str);

impl std::fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for character in self.0.chars() {
            match character {
                '"' => f.write_str("%22")?,
                '\\' => f.write_str("%5C")?,
                character if character.is_control() => write!(f, "%{:02X}", u32::from(character))?,
                character => f.write_char(character)?,
            }
        }
        Ok(())
    }
}

fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2",
        _ => "HTTP/1.1",
    }
}

/// A route as exchanges on it are counted.
#[derive(Debug)]
pub struct RouteLabel {
    /// Host and path as configured.
    pub name: String,
    /// This worker's counters for it.
    pub counters: Arc<RouteCounters>,
}

/// What of a request the access line tells. Neither its query, nor its cookies, nor its user: those are secrets.
#[derive(Debug)]
struct Line {
    log: Rc<AccessLog>,
    client: IpAddr,
    method: Method,
    uri: Uri,
    version: Version,
    id: RequestId,
    session: Cell<Option<LogHash>>,
}

/// One request and its answer. Counted and logged when dropped, which is when the answer's last byte is handed over, or
/// when the client has gone.
#[derive(Debug)]
pub struct Exchange {
    started: Instant,
    route: Option<Rc<RouteLabel>>,
    /// 499 until there is an answer: a client that leaves before is counted under the status nginx gives it.
    status: Cell<StatusCode>,
    bytes: u64,
    broken: bool,
    line: Option<Box<Line>>,
}

impl Exchange {
    /// Begins with a request's head.
    pub fn begin(log: Option<&Rc<AccessLog>>, client: IpAddr, head: &request::Parts, id: &RequestId) -> Self {
        let line = log.map(|log| {
            Box::new(Line {
                log: Rc::clone(log),
                client,
                method: head.method.clone(),
                uri: head.uri.clone(),
                version: head.version,
                id: id.clone(),
                session: Cell::new(None),
            })
        });
        let gone = StatusCode::from_u16(499).expect("499 is a status");
        Self { started: Instant::now(), route: None, status: Cell::new(gone), bytes: 0, broken: false, line }
    }

    /// It is on this route.
    pub fn on(&mut self, route: &Rc<RouteLabel>) {
        self.route = Some(Rc::clone(route));
    }

    /// It is in this session; the hash is made only where it is logged.
    pub fn in_session(&self, hash: impl FnOnce() -> LogHash) {
        if let Some(line) = &self.line {
            line.session.set(Some(hash()));
        }
    }

    /// It was answered.
    pub fn answered(&self, status: StatusCode) {
        self.status.set(status);
    }

    /// So many bytes of the answer's body were handed over.
    pub fn sent(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }

    /// The answer's body ended early.
    pub fn broken(&mut self) {
        self.broken = true;
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let took = self.started.elapsed();
        if let Some(route) = &self.route {
            route.counters.count(self.status.get());
            // How long a WebSocket was open says nothing of how long anybody waited.
            if self.status.get() != StatusCode::SWITCHING_PROTOCOLS {
                route.counters.duration.observe(took);
            }
        }
        if let Some(line) = self.line.take() {
            line.log.write(&line, self, took);
        }
    }
}
