//! A way to Redis on which every question waits until the test lets it pass: what happens in between is up to the test.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use super::support::PATIENCE;

/// One connection at a time asks one question after the other through it.
pub(crate) struct Gate {
    pub(crate) port: u16,
    door: Arc<Door>,
}

#[derive(Default)]
struct Door {
    state: Mutex<State>,
    moved: Condvar,
}

#[derive(Default)]
struct State {
    is_shut: bool,
    /// How many may pass although it is shut.
    tickets: usize,
    waiting: usize,
}

impl Gate {
    /// An open one.
    pub(crate) fn to(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let door = Arc::<Door>::default();
        let keeper = Arc::clone(&door);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else { return };
                let (from, to) = (client.try_clone().expect("a socket"), server.try_clone().expect("a socket"));
                let door = Arc::clone(&keeper);
                std::thread::spawn(move || carry(from, to, || door.pass()));
                std::thread::spawn(move || carry(server, client, || ()));
            }
        });
        Self { port, door }
    }

    pub(crate) fn shut(&self) {
        self.door.state().is_shut = true;
    }

    pub(crate) fn open(&self) {
        self.door.state().is_shut = false;
        self.door.moved.notify_all();
    }

    /// Lets so many questions pass; returns once another one waits behind them.
    pub(crate) fn let_pass(&self, questions: usize) {
        self.door.state().tickets += questions;
        self.door.moved.notify_all();
        let until = |state: &mut State| state.tickets > 0 || state.waiting == 0;
        let waited = self.door.moved.wait_timeout_while(self.door.state(), PATIENCE, until);
        assert!(!waited.expect("no holder panics").1.timed_out(), "waited in vain for another question");
    }
}

impl Door {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder panics")
    }

    fn pass(&self) {
        self.state().waiting += 1;
        self.moved.notify_all();
        let mut state =
            self.moved.wait_while(self.state(), |state| state.is_shut && state.tickets == 0).expect("no panic");
        state.tickets = state.tickets.saturating_sub(1);
        state.waiting -= 1;
        self.moved.notify_all();
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream, before: impl Fn()) {
    let mut bytes = vec![0; 1 << 16];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        before();
        if to.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}
