//! A backend that keeps every byte it gets, and holds it against the strictest reading there is.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;

use super::strict::{self, Read, Request};
use super::support::PATIENCE;

/// The backend. It answers every request at once.
pub(crate) struct Recorder {
    server: String,
    seen: Receiver<Seen>,
    /// What it answers next, and then closes.
    answer: Arc<Mutex<Option<Vec<u8>>>>,
}

/// What it got.
#[derive(Debug)]
pub(crate) enum Seen {
    /// A whole request.
    Request(Box<Request>),
    /// Bytes that are none, nor the beginning of one, and why.
    Nonsense(String, Vec<u8>),
}

/// What it answers unless it is told otherwise.
pub(crate) const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

impl Recorder {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let server = format!("http://{}", listener.local_addr().expect("a bound address"));
        let (sender, seen) = channel();
        let answer = Arc::<Mutex<_>>::default();
        let to_say = Arc::clone(&answer);
        thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                let (sender, to_say) = (sender.clone(), Arc::clone(&to_say));
                thread::spawn(move || serve(stream, &sender, &to_say));
            }
        });
        Self { server, seen, answer }
    }

    pub(crate) fn server(&self) -> &str {
        &self.server
    }

    /// Answers the next request with these bytes, and closes.
    pub(crate) fn answer_once(&self, bytes: &[u8]) {
        *self.answer.lock().expect("no holder panics") = Some(bytes.to_vec());
    }

    /// Everything that it got before a request for this target, which is waited for.
    pub(crate) fn until(&self, target: &str) -> Vec<Request> {
        let mut before = Vec::new();
        loop {
            match self.seen.recv_timeout(PATIENCE).expect("the gateway should have sent this request by now") {
                Seen::Nonsense(why, bytes) => {
                    panic!("the backend got what is no request: {why}\n{}", String::from_utf8_lossy(&bytes))
                }
                Seen::Request(request) if request.start.split(' ').nth(1) == Some(target) => return before,
                Seen::Request(request) => before.push(*request),
            }
        }
    }
}

fn serve(mut stream: TcpStream, seen: &Sender<Seen>, answer: &Mutex<Option<Vec<u8>>>) {
    let mut bytes = Vec::new();
    let mut buffer = [0; 16 * 1024];
    loop {
        match strict::read(&bytes) {
            Ok(Read::Whole(request, length)) => {
                bytes.drain(..length);
                let once = answer.lock().expect("no holder panics").take();
                // Before the answer, so that who has that finds this.
                if seen.send(Seen::Request(request)).is_err()
                    || stream.write_all(once.as_deref().unwrap_or(OK)).is_err()
                {
                    return;
                }
                // Nothing more is read there: what the gateway has sent meanwhile, it sends again elsewhere.
                if once.is_some() {
                    return;
                }
            }
            Ok(Read::Begun) => match stream.read(&mut buffer) {
                // What has begun only will never be a request.
                Ok(0) | Err(_) => return,
                Ok(read) => bytes.extend_from_slice(&buffer[..read]),
            },
            Err(why) => {
                let _ = seen.send(Seen::Nonsense(why, bytes));
                return;
            }
        }
    }
}
