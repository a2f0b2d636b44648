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
#[path = "listener/binding.rs"]
mod binding;
#[path = "listener/limits.rs"]
mod limits;
#[path = "listener/protocols.rs"]
mod protocols;
#[path = "listener/stopping.rs"]
mod stopping;
#[path = "listener/timeouts.rs"]
mod timeouts;

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
