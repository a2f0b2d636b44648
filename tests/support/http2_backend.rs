//! The upstream over HTTP/2, played by the test: h2's own server, which is strict about what it gets.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use bytes::Bytes;
use h2::server::{Connection, SendResponse};
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Response, request};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::{Handle, Runtime};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::PATIENCE;
use super::http2::map;

/// What a backend does with its connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Mood {
    #[default]
    Serves,
    /// It sends GOAWAY, and answers what it has taken up.
    GoesAway,
    /// It neither reads nor writes.
    Freezes,
}

/// A backend server on a port of its own.
pub struct Http2Backend {
    server: String,
    streams: Receiver<Stream>,
    connections: Arc<AtomicUsize>,
    open: Arc<AtomicUsize>,
    mood: watch::Sender<Mood>,
    /// What serves it, for as long as this lives.
    _runtime: Runtime,
}

impl Http2Backend {
    /// One in clear text.
    pub fn start() -> Self {
        Self::with(None, 100)
    }

    /// One that allows so many streams at once on a connection.
    pub fn of_streams(most: u32) -> Self {
        Self::with(None, most)
    }

    /// One over TLS that is known as `localhost`.
    pub fn secure(mut config: ServerConfig) -> Self {
        config.alpn_protocols = vec![b"h2".to_vec()];
        Self::with(Some(TlsAcceptor::from(Arc::new(config))), 100)
    }

    fn with(tls: Option<TlsAcceptor>, most: u32) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("a bound address").port();
        let server = if tls.is_some() { format!("h2://localhost:{port}") } else { format!("h2c://127.0.0.1:{port}") };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let (sender, streams) = channel();
        let (connections, open) = <(Arc<AtomicUsize>, Arc<AtomicUsize>)>::default();
        let (mood, watched) = watch::channel(Mood::default());
        let (count, still_open, on) = (Arc::clone(&connections), Arc::clone(&open), runtime.handle().clone());
        listener.set_nonblocking(true).expect("a socket");
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a bound socket");
            while let Ok((tcp, _)) = listener.accept().await {
                let number = count.fetch_add(1, Ordering::SeqCst);
                let (tls, sender, watched) = (tls.clone(), sender.clone(), watched.clone());
                let (still_open, on) = (Arc::clone(&still_open), on.clone());
                tokio::spawn(async move {
                    still_open.fetch_add(1, Ordering::SeqCst);
                    let line = Line { number, most, sender, on };
                    match tls {
                        None => line.serve(tcp, watched).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(tcp).await {
                                line.serve(stream, watched).await;
                            }
                        }
                    }
                    still_open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self { server, streams, connections, open, mood, _runtime: runtime }
    }

    /// Its address as the configuration spells it.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// The next request, in order of arrival.
    pub fn next(&self) -> Stream {
        self.streams.recv_timeout(PATIENCE).expect("the gateway should have sent the backend a request by now")
    }

    /// Like [`Http2Backend::next`], where it is not sure that this backend is asked at all.
    pub fn next_within(&self, wait: Duration) -> Option<Stream> {
        self.streams.recv_timeout(wait).ok()
    }

    /// Fails if a request has reached this backend that the test did not ask for.
    pub fn saw_nothing(&self) {
        if let Some(stream) = self.next_within(Duration::from_millis(50)) {
            panic!("the backend got a request that should not have reached it: {:?}", stream.head);
        }
    }

    /// How many connections were ever made to it.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// How many are open.
    pub fn open_connections(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }

    /// Sends GOAWAY on each connection there is; what it has taken up is still answered.
    pub fn goes_away(&self) {
        self.mood.send_replace(Mood::GoesAway);
    }

    /// Says nothing more on any connection, and keeps them open.
    pub fn freezes(&self) {
        self.mood.send_replace(Mood::Freezes);
    }
}

struct Line {
    number: usize,
    most: u32,
    sender: Sender<Stream>,
    on: Handle,
}

impl Line {
    async fn serve<S: AsyncRead + AsyncWrite + Unpin>(self, stream: S, mut mood: watch::Receiver<Mood>) {
        mood.mark_unchanged();
        let handshake = h2::server::Builder::new().max_concurrent_streams(self.most).handshake(stream).await;
        let Ok(mut connection): Result<Connection<S, Bytes>, _> = handshake else { return };
        loop {
            tokio::select! {
                accepted = connection.accept() => match accepted {
                    Some(Ok((request, respond))) => {
                        let (head, body) = request.into_parts();
                        let on = self.on.clone();
                        let stream = Stream { head, body, respond, connection: self.number, on };
                        // The test may have ended.
                        let _ = self.sender.send(stream);
                    }
                    Some(Err(_)) | None => return,
                },
                changed = mood.changed() => {
                    let now = *mood.borrow_and_update();
                    match (changed, now) {
                        (Err(_), _) | (_, Mood::Serves) => {}
                        (_, Mood::GoesAway) => connection.graceful_shutdown(),
                        (_, Mood::Freezes) => {
                            let _ = mood.changed().await;
                        }
                    }
                }
            }
        }
    }
}

/// A request that waits for its answer. Dropped without one, its stream is reset.
pub struct Stream {
    pub head: request::Parts,
    body: RecvStream,
    respond: SendResponse<Bytes>,
    connection: usize,
    on: Handle,
}

impl Stream {
    /// The one value of `name`, if there is one; two are a failure.
    pub fn header(&self, name: &str) -> Option<&str> {
        let values: Vec<_> = self.head.headers.get_all(name).iter().collect();
        assert!(values.len() <= 1, "{name} came {} times: {values:?}", values.len());
        values.first().map(|value| value.to_str().expect("text"))
    }

    /// The value of `X-Session-{name}`.
    pub fn session(&self, name: &str) -> Option<&str> {
        self.header(&format!("x-session-{name}"))
    }

    /// The number of the connection that it came on, from 0.
    pub fn connection(&self) -> usize {
        self.connection
    }

    /// The next piece of the request's body; none where it has ended.
    pub fn data(&mut self) -> Option<Bytes> {
        let Self { body, on, .. } = self;
        loop {
            let next = on.block_on(async { timeout(PATIENCE, body.data()).await });
            let data = next.expect("more of the request's body should have come by now")?.expect("a whole body");
            body.flow_control().release_capacity(data.len()).expect("as much as has come");
            if !data.is_empty() {
                return Some(data);
            }
        }
    }

    /// The rest of the request's body.
    pub fn body(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        while let Some(data) = self.data() {
            all.extend_from_slice(&data);
        }
        all
    }

    /// The trailers of the request's body.
    pub fn trailers(&mut self) -> HeaderMap {
        let Self { body, on, .. } = self;
        let trailers = on.block_on(async { timeout(PATIENCE, body.trailers()).await });
        trailers.expect("trailers, or their absence, by now").expect("a whole body").unwrap_or_default()
    }

    /// Why the gateway has reset this stream; waited for.
    pub fn is_reset(&mut self) -> Reason {
        let Self { respond, on, .. } = self;
        let reset = std::future::poll_fn(|cx| respond.poll_reset(cx));
        let reset = on.block_on(async { timeout(PATIENCE, reset).await });
        reset.expect("the gateway should have reset this stream by now").expect("a connection that stands")
    }

    /// Resets it.
    pub fn reset(mut self, reason: Reason) {
        self.respond.send_reset(reason);
    }

    /// Answers with a head and nothing behind it.
    pub fn answer(mut self, status: u16, fields: &[(&str, &str)]) {
        self.head_of_answer(status, fields, true);
    }

    /// Answers with this body.
    pub fn respond(self, status: u16, fields: &[(&str, &str)], body: &[u8]) {
        let mut answer = self.begin(status, fields);
        answer.send(body);
        answer.end();
    }

    /// `200`, and a short body.
    pub fn ok(self, fields: &[(&str, &str)]) {
        self.respond(200, fields, b"the backend's body");
    }

    /// Begins an answer.
    pub fn begin(mut self, status: u16, fields: &[(&str, &str)]) -> Answering {
        let stream = self.head_of_answer(status, fields, false);
        Answering { stream, asked: self }
    }

    fn head_of_answer(&mut self, status: u16, fields: &[(&str, &str)], ends: bool) -> SendStream<Bytes> {
        let mut response = Response::new(());
        *response.status_mut() = status.try_into().expect("a status");
        *response.headers_mut() = map(fields);
        self.respond.send_response(response, ends).expect("a stream that stands")
    }
}

/// An answer that has begun.
pub struct Answering {
    stream: SendStream<Bytes>,
    /// What it answers.
    pub asked: Stream,
}

impl Answering {
    /// Sends this, which is kept until there is room for it.
    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.send_data(Bytes::copy_from_slice(bytes), false).expect("a stream that stands");
    }

    /// Sends zeros as long as there is room for them within half a second each, up to `total`; how many went.
    pub fn pour(&mut self, total: usize) -> usize {
        let Self { stream, asked } = self;
        let on = asked.on.clone();
        let mut sent = 0;
        while sent < total {
            stream.reserve_capacity((total - sent).min(64 * 1024));
            let room = std::future::poll_fn(|cx| match stream.capacity() {
                0 => stream.poll_capacity(cx),
                room => std::task::Poll::Ready(Some(Ok(room))),
            });
            let Ok(Some(Ok(room))) = on.block_on(async { timeout(Duration::from_millis(500), room).await }) else {
                break;
            };
            let piece = room.min(total - sent);
            stream.send_data(Bytes::from(vec![0; piece]), false).expect("a stream that stands");
            sent += piece;
        }
        sent
    }

    /// The end.
    pub fn end(mut self) {
        self.stream.send_data(Bytes::new(), true).expect("a stream that stands");
    }

    /// The end, with these trailers.
    pub fn trailers(mut self, fields: &[(&str, &str)]) {
        self.stream.send_trailers(map(fields)).expect("a stream that stands");
    }

    /// Resets it in the middle.
    pub fn reset(mut self, reason: Reason) {
        self.stream.send_reset(reason);
    }

    /// Why the gateway has reset this stream; waited for.
    pub fn is_reset(&mut self) -> Reason {
        let Self { stream, asked } = self;
        let reset = std::future::poll_fn(|cx| stream.poll_reset(cx));
        let reset = asked.on.block_on(async { timeout(PATIENCE, reset).await });
        reset.expect("the gateway should have reset this stream by now").expect("a connection that stands")
    }
}
