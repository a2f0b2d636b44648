//! A client that opens streams of its own over HTTP/2 and TLS: extended CONNECT (RFC 8441), byte by byte.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use h2::ext::Protocol;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Method, Request};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::runtime::{Handle, Runtime};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::browser::Door;
use super::http2::map;
use super::{PATIENCE, eventually};

/// One connection.
pub struct Http2Sockets {
    runtime: Runtime,
    requests: SendRequest<Bytes>,
}

/// A stream, and the head of the answer that opened it.
pub struct Http2Socket {
    pub status: u16,
    pub headers: HeaderMap,
    send: SendStream<Bytes>,
    recv: RecvStream,
    ahead: Vec<u8>,
    on: Handle,
}

/// A request under way.
pub struct Opening {
    response: h2::client::ResponseFuture,
    send: SendStream<Bytes>,
    on: Handle,
}

impl Http2Sockets {
    /// Connects, and waits until extended CONNECT is said to be understood.
    pub fn open(door: &Door) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let config = door.asking_for("h2").tls.expect("HTTP/2 is spoken over TLS");
        let connect = async {
            let tcp = TcpStream::connect(door.address).await.expect("the gateway should accept");
            let name = ServerName::try_from("localhost").expect("a name");
            let tls = TlsConnector::from(Arc::clone(&config)).connect(name, tcp).await.expect("a TLS handshake");
            // What one stream does not read is no matter to the others.
            let client = h2::client::Builder::new().initial_connection_window_size(16 * 1024 * 1024).handshake(tls);
            client.await.expect("an HTTP/2 handshake")
        };
        let (requests, connection) = runtime.block_on(async { timeout(PATIENCE, connect).await }).expect("in time");
        runtime.spawn(connection);
        let enabled = || requests.is_extended_connect_protocol_enabled().then_some(());
        eventually("the gateway says that it understands extended CONNECT", enabled);
        Self { runtime, requests }
    }

    /// Asks for this protocol, or for none.
    pub fn ask(&self, path: &str, protocol: Option<&'static str>, fields: &[(&str, &str)]) -> Opening {
        let uri = if protocol.is_some() { format!("https://localhost{path}") } else { "localhost:443".to_owned() };
        let mut request = Request::builder().method(Method::CONNECT).uri(uri).body(()).expect("a request");
        *request.headers_mut() = map(fields);
        if let Some(protocol) = protocol {
            request.extensions_mut().insert(Protocol::from_static(protocol));
        }
        let (response, send) = self.requests.clone().send_request(request, false).expect("a connection that stands");
        Opening { response, send, on: self.runtime.handle().clone() }
    }
}

impl Opening {
    /// Waits for the head of the answer.
    pub fn answer(self) -> Http2Socket {
        let Self { response, send, on } = self;
        let response = on.block_on(async { timeout(PATIENCE, response).await });
        let response = response.expect("the answer should have come by now").expect("an answer");
        let (head, recv) = response.into_parts();
        Http2Socket { status: head.status.as_u16(), headers: head.headers, send, recv, ahead: Vec::new(), on }
    }
}

impl Http2Socket {
    /// Sends this, which is kept until there is room for it.
    pub fn write(&mut self, bytes: &[u8]) {
        self.send.send_data(Bytes::copy_from_slice(bytes), false).expect("a stream that stands");
    }

    /// Says that nothing more will be sent.
    pub fn finish(&mut self) {
        self.send.send_data(Bytes::new(), true).expect("a stream that stands");
    }

    /// Resets it, as a browser does with one whose page is gone.
    pub fn reset(mut self) {
        self.send.send_reset(Reason::CANCEL);
    }

    /// Sends zeros as long as there is room for them within half a second each, up to `total`; how many went.
    pub fn pour(&mut self, total: usize) -> usize {
        let Self { send, on, .. } = self;
        let mut sent = 0;
        while sent < total {
            send.reserve_capacity((total - sent).min(64 * 1024));
            let room = std::future::poll_fn(|cx| match send.capacity() {
                0 => send.poll_capacity(cx),
                room => std::task::Poll::Ready(Some(Ok(room))),
            });
            let Ok(Some(Ok(room))) = on.block_on(async { timeout(Duration::from_millis(500), room).await }) else {
                break;
            };
            let piece = room.min(total - sent);
            send.send_data(Bytes::from(vec![0; piece]), false).expect("a stream that stands");
            sent += piece;
        }
        sent
    }

    /// Waits for `needle` in what comes.
    pub fn until(&mut self, needle: &[u8]) -> Vec<u8> {
        loop {
            let found = self.ahead.windows(needle.len()).position(|window| window == needle);
            if let Some(at) = found {
                return self.ahead.drain(..at + needle.len()).collect();
            }
            let more = self.more();
            assert!(matches!(more, Ok(true)), "{more:?} before that: {:?}", String::from_utf8_lossy(&self.ahead));
        }
    }

    /// Waits for so many bytes, whatever they are.
    pub fn takes(&mut self, count: usize) {
        while self.ahead.len() < count {
            assert!(matches!(self.more(), Ok(true)), "the stream ended before that");
        }
        self.ahead.drain(..count);
    }

    /// All that is still to come before the end. A reset is none.
    pub fn rest(&mut self) -> Vec<u8> {
        while self.more().unwrap_or_else(|error| panic!("no end, but {error}, after {:?}", self.ahead)) {}
        std::mem::take(&mut self.ahead)
    }

    /// All that comes before it is reset, and why it is.
    pub fn until_reset(&mut self) -> (Vec<u8>, Reason) {
        loop {
            match self.more() {
                Ok(more) => assert!(more, "a proper end, where a reset was waited for"),
                Err(error) => {
                    let reason = error.reason().expect("a reset of the stream, or a GOAWAY");
                    return (std::mem::take(&mut self.ahead), reason);
                }
            }
        }
    }

    /// Reads once; whether there was more, or the end.
    fn more(&mut self) -> Result<bool, h2::Error> {
        let Self { recv, ahead, on, .. } = self;
        let data = on.block_on(async { timeout(PATIENCE, recv.data()).await });
        let Some(data) = data.expect("more should have come by now").transpose()? else { return Ok(false) };
        recv.flow_control().release_capacity(data.len()).expect("as much as has come");
        ahead.extend_from_slice(&data);
        Ok(true)
    }
}
