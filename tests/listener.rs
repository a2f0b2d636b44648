//! Connections on the wire: protocols, limits, timeouts, the end.
#![allow(clippy::unwrap_used, missing_docs)]

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::{Request, Response};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, HandshakeKind, RootCertStore, StreamOwned, SupportedProtocolVersion};
use session_gateway::listener::{self, Edge, Limits, Slots, Stop};
use session_gateway::metrics::{Connections as Counters, Counter};
use session_gateway::proxy::stream::MaySwitch;
use session_gateway::proxy::{Client, Scheme};
use session_gateway::tls::{self, Loaded, Reloadable};
use tokio::sync::Notify;

#[path = "listener/at_rest.rs"]
mod at_rest;

/// Longer than anything here takes: a test that waits for it has failed.
const LONG: Duration = Duration::from_secs(10);
/// A timeout that a test waits for.
const SHORT: Duration = Duration::from_millis(200);
/// A timeout that must not pass in a test.
const NEVER: Duration = Duration::from_mins(10);

const GET: &[u8] = b"GET /hello HTTP/1.1\r\nhost: localhost\r\n\r\n";

fn limits() -> Limits {
    Limits {
        max_headers: 100,
        max_requests: 10_000,
        half_close: false,
        handshake_timeout: NEVER,
        proxy_protocol: None,
        header_timeout: NEVER,
        keepalive: NEVER,
        write_timeout: NEVER,
        max_header_size: 16 * 1024,
        drain_timeout: NEVER,
        slots: Slots::new(1000),
    }
}

// --- the server under test ---------------------------------------------------------------------------------------------

struct Server {
    address: SocketAddr,
    stop: Stop,
    counters: Arc<Counters>,
    /// Releases `/slow`.
    release: Arc<Notify>,
    /// Gets a request's path when the handler has it.
    arrived: mpsc::Receiver<String>,
    thread: Option<JoinHandle<()>>,
}

fn bound() -> TcpListener {
    listener::bind((Ipv4Addr::LOCALHOST, 0).into(), 1).unwrap().remove(0)
}

impl Server {
    fn start(edge: Edge, limits: Limits) -> Self {
        Self::start_on(bound(), edge, limits, Stop::new())
    }

    fn start_on(socket: TcpListener, edge: Edge, limits: Limits, stop: Stop) -> Self {
        let address = socket.local_addr().unwrap();
        let (counters, release) = (Arc::new(Counters::default()), Arc::new(Notify::new()));
        let (arrive, arrived) = mpsc::channel();
        let thread = std::thread::spawn({
            let (stop, counters, release) = (stop.clone(), Arc::clone(&counters), Arc::clone(&release));
            move || {
                let handler = move |request: Request<_>, client| {
                    let _ = arrive.send(request.uri().path().to_owned());
                    answer(request, client, Arc::clone(&release))
                };
                tokio::runtime::LocalRuntime::new().unwrap().block_on(async {
                    let socket = tokio::net::TcpListener::from_std(socket).unwrap();
                    listener::serve(socket, edge, Arc::new(ArcSwap::from_pointee(limits)), counters, stop, handler)
                        .await;
                });
            }
        });
        Self { address, stop, counters, release, arrived, thread: Some(thread) }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream
    }

    fn wait_for(&self, path: &str) {
        assert_eq!(self.arrived.recv_timeout(LONG).unwrap(), path);
    }

    fn join(&mut self) {
        self.thread.take().unwrap().join().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.ask();
        if let Some(thread) = self.thread.take().filter(|_| !std::thread::panicking()) {
            thread.join().unwrap();
        }
    }
}

/// A body that is all there, or one that never ends.
enum Answer {
    Whole(Option<Bytes>),
    Endless,
}

impl Body for Answer {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match &mut *self {
            Self::Whole(body) => Poll::Ready(body.take().map(|body| Ok(Frame::data(body)))),
            Self::Endless => Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[b'x'; 16 * 1024]))))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => SizeHint::with_exact(body.as_ref().map_or(0, |body| body.len() as u64)),
            Self::Endless => SizeHint::default(),
        }
    }
}

impl MaySwitch for Answer {}

/// More than the kernel's buffers on both sides take.
const BIG: usize = 16 * 1024 * 1024;

async fn answer(request: Request<hyper::body::Incoming>, client: Rc<Client>, release: Arc<Notify>) -> Response<Answer> {
    let body = match request.uri().path() {
        "/client" => format!("{} {:?}", client.address, client.scheme).into(),
        "/version" => format!("{:?}", request.version()).into(),
        "/slow" => {
            release.notified().await;
            Bytes::from_static(b"slow")
        }
        "/big" => vec![b'x'; BIG].into(),
        // The answer does not wait for the body, which is read all the same.
        "/early" => {
            tokio::task::spawn_local(request.into_body().collect());
            Bytes::from_static(b"early")
        }
        "/endless" => return Response::new(Answer::Endless),
        _ => Bytes::from_static(b"hello"),
    };
    Response::new(Answer::Whole(Some(body)))
}

// --- clients -----------------------------------------------------------------------------------------------------------

fn certificate() -> (tempfile::TempDir, tls::Settings) {
    let dir = tempfile::tempdir().unwrap();
    let settings = tls::dev::development(dir.path()).unwrap().settings;
    (dir, settings)
}

fn https(settings: &tls::Settings) -> Edge {
    Edge::Https(Reloadable::new(Loaded::read(settings).unwrap()).config())
}

/// A client that trusts the development certificate and nothing else.
fn trusting(
    settings: &tls::Settings,
    alpn: &[&str],
    versions: &[&'static SupportedProtocolVersion],
) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&settings.certificate).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config)
}

type Tls = StreamOwned<ClientConnection, TcpStream>;

fn handshake(stream: TcpStream, config: &Arc<ClientConfig>) -> io::Result<Tls> {
    let name = ServerName::try_from("localhost").unwrap();
    let mut tls = StreamOwned::new(ClientConnection::new(Arc::clone(config), name).unwrap(), stream);
    while tls.conn.is_handshaking() {
        tls.conn.complete_io(&mut tls.sock)?;
    }
    Ok(tls)
}

/// One response whose body has a Content-Length: head and body.
fn response(stream: &mut impl Read) -> (String, String) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse().unwrap();
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    (head, String::from_utf8(body).unwrap())
}

fn get(stream: &mut (impl Read + Write), path: &str) -> String {
    write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    response(stream).1
}

/// What still comes until the other side closes. A reset is an end as well; only silence is none.
fn rest(stream: &mut impl Read) -> Vec<u8> {
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => {}
        Err(error) if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof) => {}
        Err(error) => panic!("still open: {error}"),
    }
    rest
}

fn eventually(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < LONG, "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn read(counter: &Counter) -> u64 {
    counter.get()
}

/// HTTP/2 in raw frames (RFC 9113 §4.1).
mod h2 {
    use super::{Read, Write};

    pub(crate) const DATA: u8 = 0;
    pub(crate) const HEADERS: u8 = 1;
    pub(crate) const SETTINGS: u8 = 4;
    pub(crate) const PING: u8 = 6;
    pub(crate) const GOAWAY: u8 = 7;
    const ACK: u8 = 1;

    pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let mut frame = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
        frame.extend([kind, flags]);
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        frame
    }

    pub(crate) fn begin(stream: &mut impl Write) {
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
        stream.write_all(&frame(SETTINGS, 0, 0, &[])).unwrap();
    }

    pub(crate) fn get(stream: &mut impl Write, id: u32, path: &str) {
        // Indexed GET and https, then :path and :authority as literals without indexing (RFC 7541 §6.1, §6.2.2).
        let mut block = vec![0x82, 0x87, 0x04, u8::try_from(path.len()).unwrap()];
        block.extend(path.as_bytes());
        block.extend([0x01, 9]);
        block.extend(b"localhost");
        stream.write_all(&frame(HEADERS, 0x5, id, &block)).unwrap();
    }

    pub(crate) struct Frame {
        pub(crate) kind: u8,
        pub(crate) end_stream: bool,
        pub(crate) payload: Vec<u8>,
    }

    /// The next frame; acknowledges what has to be. `None` at the end.
    pub(crate) fn next(stream: &mut (impl Read + Write)) -> Option<Frame> {
        let mut head = [0; 9];
        stream.read_exact(&mut head).ok()?;
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        stream.read_exact(&mut payload).ok()?;
        let (kind, flags) = (head[3], head[4]);
        if matches!(kind, SETTINGS | PING) && flags & ACK == 0 {
            let reply = if kind == PING { &payload[..] } else { &[] };
            let _ = stream.write_all(&frame(kind, ACK, 0, reply));
        }
        Some(Frame { kind, end_stream: flags & 1 != 0, payload })
    }

    /// The body of the one response that is awaited.
    pub(crate) fn body(stream: &mut (impl Read + Write)) -> String {
        let mut body = Vec::new();
        loop {
            let frame = next(stream).unwrap();
            if frame.kind == DATA {
                body.extend(frame.payload);
                if frame.end_stream {
                    return String::from_utf8(body).unwrap();
                }
            }
        }
    }

    /// Reads to the end; whether a GOAWAY without error came before it.
    pub(crate) fn goes_away(stream: &mut (impl Read + Write)) -> bool {
        let mut goaway = false;
        while let Some(frame) = next(stream) {
            goaway |= frame.kind == GOAWAY && frame.payload[4..8] == [0; 4];
        }
        goaway
    }
}

// --- protocols ---------------------------------------------------------------------------------------------------------

#[test]
fn alpn_picks_the_protocol() {
    let (_dir, settings) = certificate();
    let server = Server::start(https(&settings), limits());
    for (alpn, agreed) in [
        (&["h2", "http/1.1"][..], Some(&b"h2"[..])),
        (&["http/1.1", "h2"], Some(b"h2")),
        (&["h2"], Some(b"h2")),
        (&["http/1.1"], Some(b"http/1.1")),
        (&[], None),
    ] {
        let mut stream = handshake(server.connect(), &trusting(&settings, alpn, rustls::ALL_VERSIONS)).unwrap();
        assert_eq!(stream.conn.alpn_protocol(), agreed, "{alpn:?}");
        if agreed == Some(b"h2") {
            h2::begin(&mut stream);
            h2::get(&mut stream, 1, "/version");
            assert_eq!(h2::body(&mut stream), "HTTP/2.0");
        } else {
            assert_eq!(get(&mut stream, "/version"), "HTTP/1.1");
        }
    }
}

#[test]
fn alpn_without_http_is_refused() {
    let (_dir, settings) = certificate();
    let server = Server::start(https(&settings), limits());
    let config = trusting(&settings, &["smtp"], rustls::ALL_VERSIONS);
    let error = handshake(server.connect(), &config).unwrap_err();
    assert!(error.to_string().contains("NoApplicationProtocol"), "{error}");
    eventually("the failure is counted", || read(&server.counters.handshakes_failed) == 1);
}

#[test]
fn tls_1_2_and_1_3_are_served() {
    let (_dir, settings) = certificate();
    let server = Server::start(https(&settings), limits());
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let mut stream = handshake(server.connect(), &trusting(&settings, &[], &[version])).unwrap();
        assert_eq!(stream.conn.protocol_version(), Some(version.version));
        assert_eq!(get(&mut stream, "/hello"), "hello");
    }
}

#[test]
fn tls_session_begun_on_one_worker_is_resumed_on_another() {
    let (_dir, settings) = certificate();
    let edge = https(&settings);
    let workers = [Server::start(edge.clone(), limits()), Server::start(edge, limits())];
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let config = trusting(&settings, &[], &[version]);
        for (worker, kind) in workers.iter().zip([HandshakeKind::Full, HandshakeKind::Resumed]) {
            let mut stream = handshake(worker.connect(), &config).unwrap();
            assert_eq!(get(&mut stream, "/hello"), "hello");
            assert_eq!(stream.conn.handshake_kind(), Some(kind), "{version:?}");
        }
    }
}

#[test]
fn new_certificate_is_seen_by_the_next_client_and_ends_neither_connections_nor_sessions() {
    let ((_dir, old), (_other, new)) = (certificate(), certificate());
    let tls = Reloadable::new(Loaded::read(&old).unwrap());
    let server = Server::start(Edge::Https(tls.config()), limits());
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        tls.install(Loaded::read(&old).unwrap());
        let config = trusting(&old, &[], &[version]);
        let mut open = handshake(server.connect(), &config).unwrap();
        assert_eq!(get(&mut open, "/hello"), "hello");

        tls.install(Loaded::read(&new).unwrap());
        assert_eq!(tls.settings(), new);
        let shown = handshake(server.connect(), &trusting(&new, &[], &[version]));
        assert_eq!(get(&mut shown.unwrap(), "/hello"), "hello", "{version:?}");
        handshake(server.connect(), &trusting(&old, &[], &[version])).unwrap_err();
        assert_eq!(get(&mut open, "/hello"), "hello", "{version:?}");
        let mut again = handshake(server.connect(), &config).unwrap();
        assert_eq!(get(&mut again, "/hello"), "hello");
        assert_eq!(again.conn.handshake_kind(), Some(HandshakeKind::Resumed), "{version:?}");
    }
}

#[test]
fn clear_text_is_http_1_alone() {
    let server = Server::start(Edge::Http, limits());
    let mut stream = server.connect();
    h2::begin(&mut stream);
    let rest = rest(&mut stream);
    assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 "), "{rest:?}");
    assert!(server.arrived.try_recv().is_err(), "no request is made of it");
}

#[test]
fn handler_knows_the_clients_address_and_scheme() {
    let (_dir, settings) = certificate();
    for (edge, scheme) in [(Edge::Http, Scheme::Http), (https(&settings), Scheme::Https)] {
        let server = Server::start(edge, limits());
        let stream = server.connect();
        let expected = format!("{} {scheme:?}", stream.local_addr().unwrap());
        let body = match scheme {
            Scheme::Http => get(&mut { stream }, "/client"),
            Scheme::Https => {
                get(&mut handshake(stream, &trusting(&settings, &[], rustls::ALL_VERSIONS)).unwrap(), "/client")
            }
        };
        assert_eq!(body, expected);
    }
}

#[test]
fn head_over_its_limit_is_refused() {
    let server = Server::start(Edge::Http, limits());
    let mut stream = server.connect();
    write!(stream, "GET / HTTP/1.1\r\nhost: localhost\r\nx: {}", "x".repeat(16 * 1024)).unwrap();
    let rest = rest(&mut stream);
    assert!(rest.starts_with(b"HTTP/1.1 431 "), "{}", String::from_utf8_lossy(&rest));
}

// --- binding -----------------------------------------------------------------------------------------------------------

#[test]
fn workers_share_one_port() {
    let sockets = listener::bind((Ipv4Addr::LOCALHOST, 0).into(), 3).unwrap();
    let address = sockets[0].local_addr().unwrap();
    assert_eq!(sockets.len(), 3);
    assert!(sockets.iter().all(|socket| socket.local_addr().unwrap() == address));
}

#[test]
fn port_in_use_is_refused_by_name_even_if_it_could_be_shared() {
    let sockets = listener::bind((Ipv4Addr::LOCALHOST, 0).into(), 2).unwrap();
    let address = sockets[0].local_addr().unwrap();
    let error = listener::bind(address, 2).unwrap_err();
    assert_eq!((error.source.kind(), error.address), (ErrorKind::AddrInUse, address));
    assert!(error.to_string().contains(&address.to_string()), "{error}");
    drop(sockets);
    assert_eq!(listener::bind(address, 2).unwrap().len(), 2);

    let stranger = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let error = listener::bind(stranger.local_addr().unwrap(), 1).unwrap_err();
    assert_eq!(error.source.kind(), ErrorKind::AddrInUse);
}

#[test]
fn restart_does_not_wait_for_old_connections() {
    let sockets = listener::bind((Ipv4Addr::LOCALHOST, 0).into(), 1).unwrap();
    let address = sockets[0].local_addr().unwrap();
    let client = TcpStream::connect(address).unwrap();
    sockets[0].set_nonblocking(false).unwrap();
    // The server's side closes first, so it is its port that stays in TIME_WAIT.
    drop(sockets[0].accept().unwrap());
    drop(sockets);
    drop(client);
    assert_eq!(listener::bind(address, 1).unwrap().len(), 1);
}

#[test]
fn accepted_connections_send_without_delay() {
    let sockets = listener::bind((Ipv4Addr::LOCALHOST, 0).into(), 1).unwrap();
    let _client = TcpStream::connect(sockets[0].local_addr().unwrap()).unwrap();
    sockets[0].set_nonblocking(false).unwrap();
    assert!(sockets[0].accept().unwrap().0.nodelay().unwrap());
}

// --- timeouts ----------------------------------------------------------------------------------------------------------

/// `start` is when the client last did something.
fn assert_ended_by_timeout(server: &Server, start: Instant) {
    assert!(start.elapsed() >= SHORT, "ended after {:?}", start.elapsed());
    eventually("the connection is closed", || read(&server.counters.open) == 0);
    assert_eq!(read(&server.counters.timeouts), 1);
}

#[test]
fn silent_tls_client_is_ended() {
    let (_dir, settings) = certificate();
    let server = Server::start(https(&settings), Limits { handshake_timeout: SHORT, ..limits() });
    let start = Instant::now();
    assert_eq!(rest(&mut server.connect()), b"");
    assert_ended_by_timeout(&server, start);
    assert_eq!(read(&server.counters.handshakes_failed), 1);
}

#[test]
fn silent_client_does_not_hold_up_others() {
    let (_dir, settings) = certificate();
    let server = Server::start(https(&settings), limits());
    let _silent = server.connect();
    let mut stream = handshake(server.connect(), &trusting(&settings, &[], rustls::ALL_VERSIONS)).unwrap();
    assert_eq!(get(&mut stream, "/hello"), "hello");
}

#[test]
fn client_that_sends_nothing_is_ended() {
    let server = Server::start(Edge::Http, Limits { header_timeout: SHORT, ..limits() });
    let start = Instant::now();
    assert_eq!(rest(&mut server.connect()), b"");
    assert_ended_by_timeout(&server, start);
}

#[test]
fn slow_head_is_ended_however_often_a_byte_comes() {
    let server = Server::start(Edge::Http, Limits { header_timeout: SHORT, ..limits() });
    let start = Instant::now();
    let mut stream = server.connect();
    stream.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
    stream.write_all(b"GET /").unwrap();
    loop {
        assert!(start.elapsed() < LONG);
        let sent = stream.write_all(b"x");
        match stream.read(&mut [0; 100]) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) && sent.is_ok() => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("{sent:?}, but still open"),
            Ok(0) | Err(_) => break,
            Ok(_) => panic!("an answer to half a request"),
        }
    }
    assert_ended_by_timeout(&server, start);
}

#[test]
fn idle_keep_alive_connection_is_closed() {
    let server = Server::start(Edge::Http, Limits { keepalive: SHORT, ..limits() });
    let mut stream = server.connect();
    assert_eq!(get(&mut stream, "/hello"), "hello");
    stream.write_all(GET).unwrap();
    let start = Instant::now();
    assert_eq!(response(&mut stream).1, "hello");
    assert_eq!(rest(&mut stream), b"");
    assert_ended_by_timeout(&server, start);
}

#[test]
fn idle_http2_connection_is_closed_with_goaway() {
    let (_dir, settings) = certificate();
    let server = Server::start(https(&settings), Limits { keepalive: SHORT, ..limits() });
    let config = trusting(&settings, &["h2"], rustls::ALL_VERSIONS);
    let mut stream = handshake(server.connect(), &config).unwrap();
    h2::begin(&mut stream);
    let start = Instant::now();
    h2::get(&mut stream, 1, "/hello");
    assert_eq!(h2::body(&mut stream), "hello");
    assert!(h2::goes_away(&mut stream));
    assert_ended_by_timeout(&server, start);
}

#[test]
fn http2_client_that_never_begins_is_ended() {
    let (_dir, settings) = certificate();
    let server = Server::start(https(&settings), Limits { header_timeout: SHORT, ..limits() });
    let start = Instant::now();
    let config = trusting(&settings, &["h2"], rustls::ALL_VERSIONS);
    let mut stream = handshake(server.connect(), &config).unwrap();
    rest(&mut stream);
    assert_ended_by_timeout(&server, start);
}

#[test]
fn request_that_is_worked_on_is_not_idle() {
    let (_dir, settings) = certificate();
    let config = trusting(&settings, &["h2"], rustls::ALL_VERSIONS);
    let edges = [Edge::Http, https(&settings)];
    for edge in edges {
        let is_h2 = matches!(edge, Edge::Https(_));
        let short = Limits { header_timeout: SHORT, keepalive: SHORT, write_timeout: SHORT, ..limits() };
        let server = Server::start(edge, short);
        let mut clear = server.connect();
        let body = if is_h2 {
            let mut stream = handshake(clear, &config).unwrap();
            h2::begin(&mut stream);
            h2::get(&mut stream, 1, "/slow");
            server.wait_for("/slow");
            std::thread::sleep(2 * SHORT);
            server.release.notify_one();
            h2::body(&mut stream)
        } else {
            clear.write_all(b"GET /slow HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
            server.wait_for("/slow");
            std::thread::sleep(2 * SHORT);
            server.release.notify_one();
            response(&mut clear).1
        };
        assert_eq!(body, "slow");
    }
}

#[test]
fn client_that_takes_nothing_of_its_response_is_cut() {
    let server = Server::start(Edge::Http, Limits { header_timeout: SHORT, write_timeout: SHORT, ..limits() });
    let mut stream = server.connect();
    let start = Instant::now();
    stream.write_all(b"GET /endless HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    server.wait_for("/endless");
    eventually("it is cut", || read(&server.counters.open) == 0);
    assert_ended_by_timeout(&server, start);
}

#[test]
fn http2_client_that_opens_no_window_is_cut() {
    let (_dir, settings) = certificate();
    let server = Server::start(https(&settings), Limits { header_timeout: SHORT, write_timeout: SHORT, ..limits() });
    let config = trusting(&settings, &["h2"], rustls::ALL_VERSIONS);
    let mut stream = handshake(server.connect(), &config).unwrap();
    h2::begin(&mut stream);
    let start = Instant::now();
    h2::get(&mut stream, 1, "/endless");
    // It reads all that comes and answers every ping, but gives no window.
    while h2::next(&mut stream).is_some() {}
    assert_ended_by_timeout(&server, start);
}

/// A client with a small window asks for more than the kernel's buffers take.
fn ask_for_big(server: &Server) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(64 * 1024).unwrap();
    socket.connect(&server.address.into()).unwrap();
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream.write_all(b"GET /big HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").unwrap();
    stream
}

/// hyper has taken the whole body at once: the request is over, its bytes are not.
#[test]
fn slow_client_gets_the_whole_response() {
    // Many times what the kernel takes to ask for more, and less than the whole lasts.
    let write_timeout = 5 * SHORT;
    let server = Server::start(Edge::Http, Limits { header_timeout: SHORT, write_timeout, ..limits() });
    let start = Instant::now();
    let mut stream = ask_for_big(&server);
    let (mut total, mut buffer) = (0, vec![0; 128 * 1024]);
    loop {
        match stream.read(&mut buffer).unwrap() {
            0 => break,
            size => total += size,
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(start.elapsed() > write_timeout + 2 * SHORT, "not slow enough to prove anything: {:?}", start.elapsed());
    assert!(total > BIG, "{total} of {BIG} bytes");
    assert_eq!(read(&server.counters.timeouts), 0);
}

#[test]
fn client_that_takes_nothing_of_a_response_held_whole_is_cut() {
    let server = Server::start(Edge::Http, Limits { write_timeout: SHORT, header_timeout: SHORT, ..limits() });
    let start = Instant::now();
    let _stream = ask_for_big(&server);
    server.wait_for("/big");
    eventually("it is cut", || read(&server.counters.open) == 0);
    assert_ended_by_timeout(&server, start);
}

// --- limits ------------------------------------------------------------------------------------------------------------

#[test]
fn connection_limit_holds_and_recovers() {
    let server = Server::start(Edge::Http, Limits { slots: Slots::new(2), ..limits() });
    let mut open = [server.connect(), server.connect()];
    for stream in &mut open {
        assert_eq!(get(stream, "/hello"), "hello");
        server.wait_for("/hello");
    }
    let mut third = server.connect();
    third.write_all(GET).unwrap();
    eventually("the third waits", || read(&server.counters.at_limit) == 1);
    assert_eq!(server.arrived.recv_timeout(SHORT), Err(mpsc::RecvTimeoutError::Timeout));
    assert_eq!(read(&server.counters.open), 2);

    let [first, mut second] = open;
    drop(first);
    assert_eq!(response(&mut third).1, "hello");
    assert_eq!(get(&mut second, "/hello"), "hello");
}

#[test]
fn connection_limit_is_shared_by_all_listeners() {
    let slots = Slots::new(1);
    let one = Server::start(Edge::Http, Limits { slots: slots.clone(), ..limits() });
    let other = Server::start(Edge::Http, Limits { slots, ..limits() });
    let mut first = one.connect();
    assert_eq!(get(&mut first, "/hello"), "hello");
    let mut second = other.connect();
    second.write_all(GET).unwrap();
    eventually("the second waits", || read(&other.counters.at_limit) == 1);
    drop(first);
    assert_eq!(response(&mut second).1, "hello");
}

// --- the end -----------------------------------------------------------------------------------------------------------

#[test]
fn stop_finishes_requests_in_flight_and_closes_idle_connections_at_once() {
    let mut server = Server::start(Edge::Http, limits());
    let (mut idle, mut untouched, mut busy) = (server.connect(), server.connect(), server.connect());
    assert_eq!(get(&mut idle, "/hello"), "hello");
    server.wait_for("/hello");
    busy.write_all(b"GET /slow HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    server.wait_for("/slow");

    server.stop.ask();
    assert_eq!(rest(&mut idle), b"");
    assert_eq!(rest(&mut untouched), b"");
    assert_eq!(TcpStream::connect(server.address).unwrap_err().kind(), ErrorKind::ConnectionRefused);

    server.release.notify_one();
    let (head, body) = response(&mut busy);
    assert_eq!(body, "slow");
    assert!(head.contains("connection: close\r\n"), "{head}");
    assert_eq!(rest(&mut busy), b"");
    server.join();
    assert_eq!(read(&server.counters.open), 0);
}

#[test]
fn who_waits_at_a_socket_of_our_own_when_it_stops_is_served() {
    let (socket, stop) = (bound(), Stop::new());
    let mut waiting = [(); 3].map(|()| {
        let mut stream = TcpStream::connect(socket.local_addr().unwrap()).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream.write_all(GET).unwrap();
        stream
    });
    stop.ask();
    let mut server = Server::start_on(socket, Edge::Http, limits(), stop);
    for stream in &mut waiting {
        assert_eq!(response(stream).1, "hello");
    }
    server.join();
    assert_eq!(read(&server.counters.accepted), 3);
}

#[test]
fn stop_finishes_http2_streams_in_flight() {
    let (_dir, settings) = certificate();
    let mut server = Server::start(https(&settings), limits());
    let config = trusting(&settings, &["h2"], rustls::ALL_VERSIONS);
    let mut stream = handshake(server.connect(), &config).unwrap();
    h2::begin(&mut stream);
    h2::get(&mut stream, 1, "/slow");
    server.wait_for("/slow");
    server.stop.ask();
    while h2::next(&mut stream).unwrap().kind != h2::GOAWAY {}
    server.release.notify_one();
    assert_eq!(h2::body(&mut stream), "slow");
    h2::goes_away(&mut stream);
    server.join();
}

#[test]
fn stop_does_not_wait_for_handshakes() {
    let (_dir, settings) = certificate();
    let mut server = Server::start(https(&settings), limits());
    let mut silent = server.connect();
    eventually("it is accepted", || read(&server.counters.open) == 1);
    server.stop.ask();
    assert_eq!(rest(&mut silent), b"");
    server.join();
}

#[test]
fn drain_deadline_cuts_what_is_stuck() {
    let (_dir, settings) = certificate();
    let config = trusting(&settings, &["h2"], rustls::ALL_VERSIONS);
    for is_h2 in [false, true] {
        let edge = if is_h2 { https(&settings) } else { Edge::Http };
        let mut server = Server::start(edge, Limits { drain_timeout: SHORT, ..limits() });
        let mut clear = server.connect();
        if is_h2 {
            let mut stream = handshake(clear, &config).unwrap();
            h2::begin(&mut stream);
            h2::get(&mut stream, 1, "/slow");
            server.wait_for("/slow");
            let start = Instant::now();
            server.stop.ask();
            while h2::next(&mut stream).is_some() {}
            assert!((SHORT..LONG / 2).contains(&start.elapsed()), "{:?}", start.elapsed());
        } else {
            clear.write_all(b"GET /slow HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
            server.wait_for("/slow");
            let start = Instant::now();
            server.stop.ask();
            assert_eq!(rest(&mut clear), b"");
            assert!((SHORT..LONG / 2).contains(&start.elapsed()), "{:?}", start.elapsed());
        }
        server.join();
        assert_eq!(read(&server.counters.open), 0);
    }
}
