//! A backend that no test has to play: it does what the request says, and says what it was told.

use std::net::TcpListener;
use std::thread;

use super::browser::{Answer, Request};
use super::wire::{Head, Wire};

/// Answers `Ask-NAME: value` with `X-Session-NAME: value`, and repeats every `X-Session-NAME` it gets as `Saw-NAME`.
pub struct Mirror {
    server: String,
}

impl Mirror {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let server = format!("http://{}", listener.local_addr().expect("a bound address"));
        thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                let wire = Wire::new(stream.try_clone().expect("a descriptor to spare"), stream);
                thread::spawn(move || serve(wire));
            }
        });
        Self { server }
    }

    /// Its address as the configuration spells it.
    pub fn server(&self) -> &str {
        &self.server
    }
}

fn serve(mut wire: Wire) {
    while let Ok(Some(head)) = wire.head() {
        let Ok(_body) = wire.body(head.request_body()) else { return };
        if !wire.send(reflection(&head).as_bytes()) {
            return;
        }
    }
}

fn reflection(head: &Head) -> String {
    let mut reply = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n".to_owned();
    for (name, value) in &head.fields.0 {
        let name = name.to_ascii_lowercase();
        if let Some(name) = name.strip_prefix("ask-") {
            reply.extend(["X-Session-", name, ": ", value, "\r\n"]);
        } else if let Some(name) = name.strip_prefix("x-session-") {
            reply.extend(["Saw-", name, ": ", value, "\r\n"]);
        }
    }
    reply + "\r\n"
}

impl Request {
    /// Asks a mirror to say `X-Session-{name}`.
    pub fn ask(self, name: &str, value: &str) -> Self {
        self.with(&format!("Ask-{name}"), value)
    }
}

impl Answer {
    /// What a mirror was told in `X-Session-{name}`.
    pub fn saw(&self, name: &str) -> Option<&str> {
        self.header(&format!("Saw-{name}"))
    }
}
