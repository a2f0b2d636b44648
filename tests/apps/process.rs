//! A child process whose output is read line by line, and which dies with its owner.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

/// How long a process may take to say that it is ready, on a machine that is busy building something else.
const START_TIMEOUT: Duration = Duration::from_mins(1);

pub(crate) struct Process {
    name: &'static str,
    child: Child,
    lines: Receiver<String>,
    /// What was read while waiting.
    seen: Vec<String>,
}

impl Process {
    pub(crate) fn start(name: &'static str, command: &mut Command) -> Self {
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        let (sender, lines) = mpsc::channel();
        read(child.stdout.take().expect("stdout is piped"), sender.clone());
        read(child.stderr.take().expect("stderr is piped"), sender);
        Self { name, child, lines, seen: Vec::new() }
    }

    /// The port at the end of the first address that begins with `origin`, once the process has printed it.
    pub(crate) fn port_after(&mut self, origin: &str) -> u16 {
        self.wait(origin, |line| leading_digits(line.split_once(origin)?.1).parse().ok())
    }

    /// Waits until it prints a line with these words.
    #[allow(dead_code, reason = "not every test waits for one")]
    pub(crate) fn says(&mut self, words: &str) {
        self.wait(words, |line| line.contains(words).then_some(()));
    }

    fn wait<T>(&mut self, what: &str, find: impl Fn(&str) -> Option<T>) -> T {
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            // An error is the timeout, or the end of the process's output.
            let Ok(line) = self.lines.recv_timeout(left) else {
                panic!("{} has not printed {what}", self.name);
            };
            let found = find(&line);
            self.seen.push(line);
            if let Some(found) = found {
                return found;
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only when the process has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            let lines: Vec<String> = self.seen.drain(..).chain(self.lines.try_iter()).collect();
            eprintln!("--- {} printed\n{}", self.name, lines.join("\n"));
        }
    }
}

fn leading_digits(text: &str) -> &str {
    text.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default()
}

/// Reads to the end even when nobody listens, so that the process never blocks on a full pipe.
fn read(pipe: impl Read + Send + 'static, lines: Sender<String>) {
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            let _ = lines.send(line);
        }
    });
}
