//! An HTTP/2 client over TLS, hyper's, which keeps names as they are given and can send trailers.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::PATIENCE;
use super::browser::Door;

type Body = BoxBody<Bytes, std::convert::Infallible>;

/// One connection.
pub struct Http2 {
    runtime: Runtime,
    sender: SendRequest<Body>,
}

/// A request under way.
pub struct Pending<'a> {
    runtime: &'a Runtime,
    task: JoinHandle<hyper::Result<Response<hyper::body::Incoming>>>,
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub trailers: HeaderMap,
}

impl Http2 {
    pub fn open(door: &Door) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let mut config = (**door.tls.as_ref().expect("HTTP/2 is spoken over TLS")).clone();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let connect = async {
            let tcp = TcpStream::connect(door.address).await.expect("the gateway should accept");
            let name = ServerName::try_from("localhost").expect("a name");
            let tls = TlsConnector::from(Arc::new(config)).connect(name, tcp).await.expect("a TLS handshake");
            assert_eq!(tls.get_ref().1.alpn_protocol(), Some(&b"h2"[..]), "the gateway should choose h2");
            handshake(TokioExecutor::new(), TokioIo::new(tls)).await.expect("an HTTP/2 handshake")
        };
        let (sender, connection) = runtime.block_on(async { timeout(PATIENCE, connect).await }).expect("in time");
        runtime.spawn(connection);
        Self { runtime, sender }
    }

    /// Sends a request with these fields, which may repeat a name.
    pub fn send(&self, method: &str, path: &str, fields: &[(&str, &str)]) -> Pending<'_> {
        self.send_with(method, path, fields, "", None)
    }

    /// Sends a request with a body and, where given, trailers.
    pub fn send_with(
        &self,
        method: &str,
        path: &str,
        fields: &[(&str, &str)],
        body: &str,
        trailers: Option<&[(&str, &str)]>,
    ) -> Pending<'_> {
        let mut request = Request::builder().method(method).uri(format!("https://localhost{path}"));
        *request.headers_mut().expect("a valid request line") = map(fields);
        let whole = Full::new(Bytes::copy_from_slice(body.as_bytes()));
        let body = match trailers.map(map) {
            Some(trailers) => whole.with_trailers(async move { Some(Ok(trailers)) }).boxed(),
            None => whole.boxed(),
        };
        let request = request.body(body).expect("a valid request");
        let mut sender = self.sender.clone();
        let task = self.runtime.spawn(async move {
            sender.ready().await?;
            sender.send_request(request).await
        });
        Pending { runtime: &self.runtime, task }
    }
}

impl Pending<'_> {
    /// Resets the stream.
    pub fn cancel(self) {
        self.task.abort();
    }

    /// Waits for the whole answer.
    pub fn answer(self) -> Answer {
        self.outcome().expect("the gateway should answer this HTTP/2 request")
    }

    /// Waits for the whole answer, or for the stream's or the connection's error.
    pub fn outcome(self) -> hyper::Result<Answer> {
        self.outcome_within(PATIENCE).expect("an HTTP/2 answer should have come by now")
    }

    /// The same, where it is not sure that there is one so soon; then the stream is reset.
    pub fn outcome_within(mut self, span: Duration) -> Option<hyper::Result<Answer>> {
        let task = &mut self.task;
        let whole = async {
            let (head, body) = task.await.expect("the client does not panic")?.into_parts();
            let body = body.collect().await?;
            let trailers = body.trailers().cloned().unwrap_or_default();
            Ok(Answer { status: head.status.as_u16(), headers: head.headers, body: body.to_bytes(), trailers })
        };
        let outcome = self.runtime.block_on(async { timeout(span, whole).await.ok() });
        if outcome.is_none() {
            self.task.abort();
        }
        outcome
    }
}

impl Answer {
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.headers.get_all(name).iter().map(|value| value.to_str().expect("text")).collect()
    }
}

pub fn map(fields: &[(&str, &str)]) -> HeaderMap {
    let field = |(name, value): &(&str, &str)| {
        (HeaderName::from_bytes(name.as_bytes()).expect("a name"), HeaderValue::from_str(value).expect("a value"))
    };
    let mut map = HeaderMap::new();
    for (name, value) in fields.iter().map(field) {
        map.append(name, value);
    }
    map
}
