//! The network between a gateway and its Redis, in the hands of the test.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use super::PATIENCE;
use super::redis::server::free_port;

/// What becomes of what passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is wrong.
    None,
    /// Every byte is on its way for so long, in either direction.
    Latency(Duration),
    /// Connections are accepted and stay open, and nothing passes.
    Silence,
    /// Requests pass, and replies wait for the end of the fault. Those of a connection then come in one packet.
    HeldReplies,
    /// A client that asks to be told of changes is told that it will be, and never is.
    Untold,
    /// A connection ends after so many bytes of replies, counted from now on or from its beginning.
    CutAfter(usize),
    /// Connections are accepted and end at once.
    Hangup,
    /// Nobody listens.
    Refusal,
}

/// A port that leads to a server's.
pub struct Relay {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    to: u16,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    fault: Fault,
    /// Counts the faults, so that a connection knows when to count its bytes anew.
    number: usize,
    listening: bool,
    /// Both ends of every connection.
    open: Vec<TcpStream>,
    accepted: usize,
    replied: usize,
    over: bool,
}

impl Relay {
    /// One that leads to the server on port `to`, for now without fault.
    pub fn to(to: u16) -> Self {
        let port = free_port();
        let state = State {
            listening: false,
            fault: Fault::None,
            number: 0,
            open: Vec::new(),
            accepted: 0,
            replied: 0,
            over: false,
        };
        let shared = Arc::new(Shared { to, state: Mutex::new(state), changed: Condvar::new() });
        let relay = Self { port, shared: Arc::clone(&shared) };
        thread::spawn(move || shared.listen(port));
        relay.shared.wait("the relay listens", |state| state.listening);
        relay
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// How many connections were ever made through it.
    pub fn accepted(&self) -> usize {
        self.shared.state().accepted
    }

    /// How many bytes of replies have come from the server, whether or not they went further.
    pub fn replied(&self) -> usize {
        self.shared.state().replied
    }

    /// From now on, for connections that are open and for new ones.
    pub fn suffer(&self, fault: Fault) {
        let mut state = self.shared.state();
        state.fault = fault;
        state.number += 1;
        if matches!(fault, Fault::Hangup | Fault::Refusal) {
            state.end_all();
        }
        drop(state);
        self.shared.changed.notify_all();
        if fault == Fault::Refusal {
            // Who waits for a connection looks at the fault once one comes.
            let _ = TcpStream::connect(("127.0.0.1", self.port));
        }
        self.shared.wait("the relay listens, or does not", |state| state.listening == (fault != Fault::Refusal));
    }

    pub fn heal(&self) {
        self.suffer(Fault::None);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.over = true;
        state.end_all();
        drop(state);
        self.shared.changed.notify_all();
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

impl State {
    fn end_all(&mut self) {
        for stream in self.open.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder panics")
    }

    fn wait(&self, what: &str, condition: impl Fn(&State) -> bool) {
        let waited = self.changed.wait_timeout_while(self.state(), PATIENCE, |state| !condition(state));
        let (state, result) = waited.expect("no holder panics");
        drop(state);
        assert!(!result.timed_out(), "waited in vain until {what}");
    }

    /// Accepts, and while connections are refused closes the listener.
    fn listen(self: Arc<Self>, port: u16) {
        loop {
            let listener = TcpListener::bind(("127.0.0.1", port)).expect("the port is ours");
            self.state().listening = true;
            self.changed.notify_all();
            loop {
                let accepted = listener.accept();
                let state = self.state();
                if state.over {
                    return;
                }
                match (state.fault, accepted) {
                    (Fault::Refusal, _) => break,
                    (Fault::Hangup, _) | (_, Err(_)) => {}
                    (_, Ok((client, _))) => {
                        drop(state);
                        self.carry(client);
                    }
                }
            }
            drop(listener);
            let mut state = self.state();
            state.listening = false;
            self.changed.notify_all();
            while state.fault == Fault::Refusal && !state.over {
                state = self.changed.wait(state).expect("no holder panics");
            }
            if state.over {
                return;
            }
        }
    }

    fn carry(self: &Arc<Self>, client: TcpStream) {
        // Where the server is down, so is what leads to it.
        let Ok(server) = TcpStream::connect(("127.0.0.1", self.to)) else { return };
        let clone = |stream: &TcpStream| stream.try_clone().expect("a descriptor to spare");
        for stream in [&client, &server] {
            stream.set_nodelay(true).expect("a socket");
        }
        let mut state = self.state();
        state.accepted += 1;
        state.open.extend([clone(&client), clone(&server)]);
        drop(state);
        self.pump([clone(&client), clone(&server)], Direction::Request);
        self.pump([server, client], Direction::Reply);
    }

    /// Two threads: one reads and says when, the other writes then.
    fn pump(self: &Arc<Self>, [mut from, to]: [TcpStream; 2], direction: Direction) {
        let (sender, read): (SyncSender<(Instant, Vec<u8>)>, _) = sync_channel(1024);
        let shared = Arc::clone(self);
        thread::spawn(move || {
            let mut buffer = [0; 16 * 1024];
            while let Ok(length @ 1..) = from.read(&mut buffer) {
                if sender.send((Instant::now(), buffer[..length].to_vec())).is_err() {
                    return;
                }
                if direction == Direction::Reply {
                    shared.state().replied += length;
                }
            }
        });
        let shared = Arc::clone(self);
        thread::spawn(move || {
            shared.write(&read, &to, direction);
            let _ = to.shutdown(Shutdown::Both);
        });
    }

    fn write(&self, read: &Receiver<(Instant, Vec<u8>)>, mut to: &TcpStream, direction: Direction) {
        let (mut number, mut passed) = (usize::MAX, 0);
        while let Ok((at, mut bytes)) = read.recv() {
            let mut state = self.state();
            let is_held = state.fault.holds(direction);
            while state.fault.holds(direction) && !state.over {
                state = self.changed.wait(state).expect("no holder panics");
            }
            if is_held {
                bytes.extend(read.try_iter().flat_map(|(_, more)| more));
            }
            if number != state.number {
                (number, passed) = (state.number, 0);
            }
            let fault = state.fault;
            drop(state);
            if fault == Fault::Untold && direction == Direction::Request {
                bytes = replaced(&bytes, b"TRACKING\r\n$2\r\nON", b"TRACKING\r\n$3\r\nOFF");
            }
            let mut bytes = bytes.as_slice();
            let mut cut = false;
            match fault {
                Fault::Latency(span) => thread::sleep((at + span).saturating_duration_since(Instant::now())),
                Fault::CutAfter(limit) if direction == Direction::Reply => {
                    passed += bytes.len();
                    cut = passed >= limit;
                    bytes = &bytes[..bytes.len() - passed.saturating_sub(limit)];
                }
                _ => {}
            }
            if to.write_all(bytes).is_err() || cut {
                return;
            }
        }
    }
}

/// The same with `new` in the place of `old`, where that is in it.
fn replaced(bytes: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    match bytes.windows(old.len()).position(|part| part == old) {
        Some(at) => [&bytes[..at], new, &bytes[at + old.len()..]].concat(),
        None => bytes.to_vec(),
    }
}

impl Fault {
    fn holds(self, direction: Direction) -> bool {
        self == Self::Silence || self == Self::HeldReplies && direction == Direction::Reply
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    Request,
    Reply,
}
