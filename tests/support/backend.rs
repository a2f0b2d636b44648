//! The upstream, played by the test: it sees every byte of a request and answers when, and what, it is told.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustls::ServerConfig;

use super::PATIENCE;
use super::authority::{Handshake, Secured};
use super::wire::{Body, Fields, Framing, Head, Wire};

/// What the backend itself asks for, to see that everything before has been read.
const MARKER: &str = "/nothing-before-this";
/// How long it takes at most to read what has come.
const STILL: Duration = Duration::from_millis(30);

/// A backend server on a port of its own.
pub struct Backend {
    server: String,
    exchanges: Receiver<Exchange>,
    connections: Arc<AtomicUsize>,
    handshakes: Arc<Mutex<Vec<Handshake>>>,
}

impl Backend {
    /// One on a free TCP port.
    pub fn start() -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").expect("a free port"))
    }

    /// One on this socket.
    pub fn on(listener: TcpListener) -> Self {
        let server = format!("http://{}", listener.local_addr().expect("a bound address"));
        Self::accept(server, None, move || listener.accept().map(|(stream, _)| stream))
    }

    /// One on a free TCP port that speaks TLS, and is known as `localhost`.
    pub fn secure(config: ServerConfig) -> Self {
        Self::secure_on(TcpListener::bind("127.0.0.1:0").expect("a free port"), config)
    }

    /// The same on this socket.
    pub fn secure_on(listener: TcpListener, config: ServerConfig) -> Self {
        let server = format!("https://localhost:{}", listener.local_addr().expect("a bound address").port());
        Self::accept(server, Some(Arc::new(config)), move || listener.accept().map(|(stream, _)| stream))
    }

    /// One on a Unix socket.
    pub fn unix(path: &Path) -> Self {
        let listener = UnixListener::bind(path).expect("a fresh path");
        // Every call this makes on the stream is the socket's, whatever its family.
        let server = format!("unix:{}", path.display());
        Self::accept(server, None, move || listener.accept().map(|(stream, _)| TcpStream::from(OwnedFd::from(stream))))
    }

    fn accept(
        server: String,
        tls: Option<Arc<ServerConfig>>,
        next: impl Fn() -> std::io::Result<TcpStream> + Send + 'static,
    ) -> Self {
        let (sender, exchanges) = channel();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        let handshakes = Arc::default();
        let taken_down = Arc::clone(&handshakes);
        thread::spawn(move || {
            while let Ok(stream) = next() {
                let number = count.fetch_add(1, Ordering::SeqCst);
                let socket = stream.try_clone().expect("a descriptor to spare");
                let wire = match &tls {
                    None => Wire::new(stream, socket),
                    Some(tls) => Wire::new(Secured::new(stream, tls, &taken_down), socket),
                };
                Connection { wire, number, exchanges: sender.clone() }.listen();
            }
        });
        Self { server, exchanges, connections, handshakes }
    }

    /// Its address as the configuration spells it.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// The next request, in order of arrival.
    pub fn next(&self) -> Exchange {
        self.exchanges.recv_timeout(PATIENCE).expect("the gateway should have sent the backend a request by now")
    }

    /// Like [`Backend::next`], where it is not sure that this backend is asked at all.
    pub fn next_within(&self, wait: Duration) -> Option<Exchange> {
        self.exchanges.recv_timeout(wait).ok()
    }

    /// Fails if a request has reached this backend that the test did not ask for. To be called once the client has its
    /// answer, for then nothing is on its way: what has been sent is accepted before a request of the backend's own,
    /// and read soon after it.
    pub fn saw_nothing(&self) {
        let own = self.marker();
        let mut quiet = false;
        while let Some(exchange) = self.next_within(if own.is_some() && !quiet { PATIENCE } else { STILL }) {
            quiet = exchange.target() == MARKER;
            assert!(quiet, "the backend got a request that should not have reached it: {}", exchange.text());
        }
        if own.is_some() {
            assert!(quiet, "the backend hears nothing at all");
            self.connections.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// A request that has not come through a gateway, on a connection of its own; none where TLS is spoken.
    fn marker(&self) -> Option<Box<dyn Write>> {
        let mut stream: Box<dyn Write> = if let Some(address) = self.server.strip_prefix("http://") {
            Box::new(TcpStream::connect(address).expect("a backend that listens"))
        } else {
            Box::new(UnixStream::connect(self.server.strip_prefix("unix:")?).expect("a backend that listens"))
        };
        stream.write_all(format!("GET {MARKER} HTTP/1.1\r\n\r\n").as_bytes()).expect("a backend that reads");
        Some(stream)
    }

    /// The TLS handshakes that came to a good end, in order.
    pub fn handshakes(&self) -> Vec<Handshake> {
        self.handshakes.lock().expect("no writer panics").clone()
    }

    /// How many connections were ever made to it.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

struct Connection {
    wire: Wire,
    number: usize,
    exchanges: Sender<Exchange>,
}

impl Connection {
    /// Waits on a thread of its own for the next request on this connection.
    fn listen(mut self) {
        thread::spawn(move || {
            // A pooled connection may be idle for as long as the test likes.
            self.wire.set_patience(None);
            let Ok(Some(head)) = self.wire.head() else { return };
            self.wire.set_patience(Some(PATIENCE));
            let exchanges = self.exchanges.clone();
            // The test may have ended.
            let _ = exchanges.send(Exchange { head, connection: self, body: None });
        });
    }
}

/// A request that waits for its answer. Dropped without one, its connection closes.
pub struct Exchange {
    pub head: Head,
    connection: Connection,
    body: Option<Body>,
}

impl Exchange {
    /// The bytes of the request's head.
    pub fn raw(&self) -> &[u8] {
        &self.head.raw
    }

    /// The request's head as text, for messages and for looking into.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.head.raw).into_owned()
    }

    pub fn method(&self) -> &str {
        self.head.start.split(' ').next().unwrap_or_default()
    }

    /// The request target as sent.
    pub fn target(&self) -> &str {
        self.head.start.split(' ').nth(1).unwrap_or_default()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.fields.one(name)
    }

    pub fn headers_all(&self, name: &str) -> Vec<&str> {
        self.head.fields.all(name)
    }

    /// The value of `X-Session-{name}`.
    pub fn session(&self, name: &str) -> Option<&str> {
        self.header(&format!("X-Session-{name}"))
    }

    /// Every name that a backend might take for one of ours.
    pub fn session_names(&self) -> Vec<&str> {
        self.head.fields.aliases_of("X-Session-")
    }

    /// The number of the connection that it came on, from 0.
    pub fn connection(&self) -> usize {
        self.connection.number
    }

    /// The request's body and trailers, waited for.
    pub fn body(&mut self) -> &Body {
        if self.body.is_none() {
            let framing = self.head.request_body();
            self.body = Some(self.connection.wire.body(framing).expect("the request's body should have come by now"));
        }
        self.body.as_ref().expect("just read")
    }

    /// The trailers of the request's body.
    pub fn trailers(&mut self) -> Fields {
        self.body().trailers.clone()
    }

    /// Waits for `needle` in the raw bytes of the body.
    pub fn until(&mut self, needle: &[u8]) -> Vec<u8> {
        let bytes = self.connection.wire.until(needle).expect("more of the request's body should have come by now");
        bytes.expect("the request's body ended before that")
    }

    /// Every byte that still comes before the gateway closes this connection.
    pub fn rest(&mut self) -> Vec<u8> {
        self.connection.wire.rest().expect("the gateway should have closed the connection by now")
    }

    /// Whether the gateway closes this connection.
    pub fn is_given_up(&mut self) -> bool {
        self.connection.wire.closes().unwrap_or(false)
    }

    /// How long it waits for the gateway from here on.
    pub fn set_patience(&mut self, patience: Duration) {
        self.connection.wire.set_patience(Some(patience));
    }

    /// Whether the gateway says nothing and keeps this connection open for so long.
    pub fn is_held_for(&mut self, span: Duration) -> bool {
        self.connection.wire.set_patience(Some(span));
        let silent = self.connection.wire.closes().is_err();
        self.connection.wire.set_patience(Some(PATIENCE));
        silent
    }

    /// Says that nothing more will be sent, and still listens; not over TLS.
    pub fn finish(&self) {
        self.connection.wire.finish();
    }

    /// Writes `bytes` as they are; the answer goes on.
    pub fn write(&mut self, bytes: &[u8]) {
        self.connection.wire.send(bytes);
    }

    /// Writes `bytes` as they are; whether the gateway took them.
    pub fn send(&mut self, bytes: &[u8]) -> bool {
        self.connection.wire.send(bytes)
    }

    /// Writes zeros until `total` are gone or the gateway takes no more; how many were taken.
    pub fn pour(&mut self, total: usize) -> usize {
        self.connection.wire.pour(total)
    }

    /// Answers, and keeps the connection for more requests.
    pub fn respond(self, status: &str, headers: &[(&str, &str)], body: &[u8]) {
        let mut reply = super::status(status).body(body);
        for (name, value) in headers {
            reply = reply.with(name, value);
        }
        self.reply(reply);
    }

    /// Answers, and keeps the connection for more requests.
    pub fn reply(self, reply: Reply) {
        let bytes = reply.into_bytes(self.method());
        self.respond_raw(&bytes);
    }

    /// Answers with these bytes, which must be a whole response, and keeps the connection for more requests.
    pub fn respond_raw(mut self, bytes: &[u8]) {
        self.body();
        self.write(bytes);
        self.connection.listen();
    }

    /// Answers with these bytes, then closes.
    pub fn respond_and_close(mut self, bytes: &[u8]) {
        self.body();
        self.write(bytes);
    }

    /// Answers, then closes the connection while it is idle; returns once the gateway has closed its end too, so that
    /// it is known to have noticed.
    pub fn respond_and_go(mut self, reply: Reply) {
        self.body();
        let bytes = reply.into_bytes(self.method());
        self.write(&bytes);
        self.connection.wire.finish();
        assert!(self.is_given_up(), "the gateway should close an idle connection whose other end has gone");
    }

    /// Answers; whether the gateway then closes the connection.
    pub fn closes_after(mut self, reply: Reply) -> bool {
        self.body();
        let bytes = reply.into_bytes(self.method());
        self.write(&bytes);
        self.is_given_up()
    }

    /// Keeps the connection after an answer that was written by hand.
    pub fn keep(self) {
        self.connection.listen();
    }
}

/// What the backend answers.
#[derive(Clone, Debug)]
pub struct Reply {
    status: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// `200 OK` with a short body.
pub fn ok() -> Reply {
    status("200 OK").body("the backend's body")
}

/// An answer with this status and no body yet.
pub fn status(status: &str) -> Reply {
    Reply { status: status.to_owned(), headers: Vec::new(), body: Vec::new() }
}

impl Reply {
    /// With one more header.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With `X-Session-{name}`.
    pub fn session(self, name: &str, value: &str) -> Self {
        self.with(&format!("X-Session-{name}"), value)
    }

    /// With this body.
    pub fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = body.as_ref().to_vec();
        self
    }

    fn into_bytes(mut self, method: &str) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {}\r\n", self.status);
        let bodiless = self.status.starts_with("204") || self.status.starts_with("304");
        if !bodiless {
            self.headers.push(("Content-Length".to_owned(), self.body.len().to_string()));
        }
        for (name, value) in &self.headers {
            head.extend([name, ": ", value, "\r\n"]);
        }
        head.push_str("\r\n");
        let body: &[u8] = if bodiless || method == "HEAD" { &[] } else { &self.body };
        [head.as_bytes(), body].concat()
    }
}
