//! One connection: whose it is, its handshake, and its requests, by HTTP/1.1 or HTTP/2.

use std::cell::Cell;
use std::convert::Infallible;
use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CONNECTION, HeaderValue};
use http::{Method, Request, Response, StatusCode, Version};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tracing::debug;

use super::connections::Entry;
use super::corked::corked;
use super::frames::Frames;
use super::limits::Slot;
use super::pulse::{InStream, Io, Order, Request as InFlight, Tracked};
use super::socket::{Socket, Stream, Tls};
use super::strict::Strict;
use super::{Edge, Terms, Worker, proxy_protocol};
use crate::proxy::stream::{MaySwitch, Tunnel};
use crate::proxy::{Announced, Client, Scheme};

/// A request that others may not find in the bytes it came in.
#[derive(Debug, thiserror::Error)]
#[error("what follows a request for another protocol is neither that nor HTTP/1.1 as it should be")]
struct Distrusted;

/// What a connection carries behind an answer that has switched protocols.
type Switched = Rc<Cell<Option<Box<Tunnel>>>>;

impl<H, F, B> Worker<H>
where
    H: Fn(Request<Incoming>, Rc<Client>) -> F + Clone + 'static,
    F: Future<Output = Response<B>> + 'static,
    B: Body<Data = Bytes> + MaySwitch + Unpin + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    /// One connection, from its first byte to its last.
    pub(super) async fn converse(
        &self,
        mut stream: TcpStream,
        peer: SocketAddr,
        terms: &Terms,
        entry: Entry,
        _slot: Option<Slot>,
    ) {
        // A client that opens no window acknowledges what it is asked for ever, and no other timeout of the system
        // would end it. Where the system knows no such thing, `Connections` notices late.
        let _ = socket2::SockRef::from(&stream).set_tcp_user_timeout(Some(terms.limits.write_timeout));
        // An IPv4 client of a dual-stack socket is written as IPv4, as upstreams and rules expect it.
        let address = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        let announced = self.announced(&mut stream, address, terms, &entry).await;
        let Some((address, announced)) = announced else { return };
        let client = |scheme| Client::new(address, scheme).announced(announced);
        let stream = Socket(stream);
        match &self.edge {
            Edge::Http => self.http1(stream, client(Scheme::Http), terms, &entry).await,
            Edge::Https(config) => {
                // Boxed, as HTTP/2 is, lest every connection have room for it for as long as it lasts.
                let shaken = Box::pin(self.shake_hands(stream, config.load_full(), address, terms, &entry)).await;
                let Some(stream) = shaken else { return };
                let client = match stream.certificate() {
                    Some(certificate) => client(Scheme::Https).with_certificate(certificate),
                    None => client(Scheme::Https),
                };
                if stream.speaks_http2() {
                    Box::pin(self.http2(stream, client, terms, &entry)).await;
                } else {
                    self.http1(stream, client, terms, &entry).await;
                }
            }
        }
    }

    /// Whose connection it is: the peer's, or, where a PROXY protocol header is expected, whoever's that says. None for
    /// a connection that is not to be served.
    async fn announced(
        &self,
        stream: &mut TcpStream,
        peer: SocketAddr,
        terms: &Terms,
        entry: &Entry,
    ) -> Option<(SocketAddr, Announced)> {
        let Some(proxies) = &terms.limits.proxy_protocol else { return Some((peer, Announced::Nothing)) };
        // Boxed, lest every connection have room for it.
        let header = Box::pin(proxy_protocol::client(stream, peer, proxies, terms.limits.handshake_timeout));
        let error = match entry.pulse.unless_told(Order::Leave, header).await {
            Some(Ok(announced)) => return Some(announced),
            Some(Err(error)) => error,
            // Longer than it may take with the first request's head.
            None if entry.pulse.is_overdue() => proxy_protocol::Error::Slow,
            None => return None,
        };
        self.counters.proxy_headers_refused.increment();
        debug!(%peer, %error, cause = error.source(), "a connection is closed for want of a PROXY protocol header");
        None
    }

    /// TLS over a socket, unless it cannot be agreed upon in time, or a stop is asked for meanwhile.
    async fn shake_hands(
        &self,
        stream: Socket,
        config: Arc<ServerConfig>,
        address: SocketAddr,
        terms: &Terms,
        entry: &Entry,
    ) -> Option<Tls> {
        let accepted = TlsAcceptor::from(config).accept(stream);
        let handshake = tokio::time::timeout(terms.limits.handshake_timeout, accepted);
        let error = match entry.pulse.unless_told(Order::Leave, handshake).await {
            Some(Ok(Ok(stream))) => return Some(Tls::new(stream)),
            Some(Ok(Err(error))) => error,
            Some(Err(elapsed)) => {
                self.counters.timeouts.increment();
                elapsed.into()
            }
            // Longer than it may take with the first request's head, and counted as that already.
            None if entry.pulse.is_overdue() => io::ErrorKind::TimedOut.into(),
            None => return None,
        };
        self.counters.handshakes_failed.increment();
        debug!(%address, %error, "TLS handshake failed");
        None
    }

    /// hyper's part is taken apart whenever the connection comes to rest, and made anew when the client says more: its
    /// buffers are most of what an idle connection would take.
    async fn http1(&self, stream: impl Stream, client: Client, terms: &Terms, entry: &Entry) {
        let (client, pulse) = (Rc::new(client), &entry.pulse);
        let switched = Switched::default();
        let version = Cell::new(Version::HTTP_11);
        let mut io = Io::new(Strict::new(stream, pulse), pulse);
        loop {
            let service = service_fn(|request: Request<Incoming>| {
                version.set(request.version());
                // One whose body is still coming in leaves hyper in the middle of it.
                pulse.may_rest(request.body().is_end_stream());
                let head = if pulse.take_head() { Ok(()) } else { Err(Distrusted) };
                self.answer(request, Rc::clone(&client), (terms, entry), &switched, head)
            });
            let mut connection = Box::new(terms.protocols.http1.serve_connection(io, service));
            let finish = http1::Connection::graceful_shutdown;
            let driven = pulse.drive(Pin::new(&mut *connection), (Order::Leave, finish), |_| Poll::Ready(Ok(())));
            let Some(ended) = pulse.until_rest(driven).await else {
                self.counters.rests.increment();
                let http1::Parts { io: at_rest, read_buf, .. } = connection.into_parts();
                io = at_rest;
                io.read_again(read_buf);
                io.rest().await;
                continue;
            };
            match (&ended, switched.take()) {
                (Some(Ok(())), Some(tunnel)) => {
                    let http1::Parts { io, read_buf, .. } = connection.into_parts();
                    let stream = io.into_inner().into_inner();
                    stream.take_time();
                    let _in_flight = InFlight::begin(pulse);
                    // Boxed, lest every connection have room for it.
                    pulse.unless_told(Order::Cut, Box::pin(tunnel.carry(stream, read_buf))).await;
                }
                (Some(Err(error)), _) if error.is_user() && version.get() == Version::HTTP_10 => {
                    report(&client, ended);
                    connection.into_parts().io.into_inner().reset_when_closed();
                }
                _ => report(&client, ended),
            }
            return;
        }
    }

    async fn http2(&self, stream: impl Stream, client: Client, terms: &Terms, entry: &Entry) {
        let client = Rc::new(client);
        let service = service_fn(|request| self.answer_stream(request, Rc::clone(&client), (terms, entry)));
        let (stream, cork) = corked(Io::new(Frames::new(stream, &entry.pulse), &entry.pulse), self.room.clone());
        let connection = pin!(terms.protocols.http2.serve_connection(stream, service));
        let pull = |context: &mut Context<'_>| cork.pull(context);
        let ended = entry.pulse.drive(connection, (Order::Finish, http2::Connection::graceful_shutdown), pull).await;
        report(&client, ended);
    }

    /// The handler's answer to one request whose head is as it should be, known to be in flight until its last byte is
    /// handed over.
    fn answer(
        &self,
        request: Request<Incoming>,
        client: Rc<Client>,
        (terms, entry): (&Terms, &Entry),
        switched: &Switched,
        head: Result<(), Distrusted>,
    ) -> impl Future<Output = Result<Response<Tracked<B>>, Distrusted>> + use<H, F, B> {
        let in_flight = InFlight::begin(&entry.pulse);
        let is_last = entry.is_last_of(terms.limits.max_requests);
        let (handler, switched) = (self.handler.clone(), Rc::clone(switched));
        // Called within: a future that is given here and awaited there would have its size twice in this one, which
        // hyper moves for every request.
        async move {
            head?;
            let mut response = handler(request, client).await;
            if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                switched.set(response.body_mut().switched());
            } else if is_last || in_flight.is_last() {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok(response.map(|body| Tracked::new(body, in_flight)))
        }
    }

    /// The same for one of many that share a connection. What follows a CONNECT goes on in its stream.
    fn answer_stream(
        &self,
        mut request: Request<Incoming>,
        client: Rc<Client>,
        (terms, entry): (&Terms, &Entry),
    ) -> impl Future<Output = Result<Response<InStream<B>>, Infallible>> + use<H, F, B> {
        let in_flight = InFlight::begin(&entry.pulse);
        if entry.is_last_of(terms.limits.max_requests) {
            entry.pulse.finish();
        }
        let opening = (request.method() == Method::CONNECT)
            .then(|| (hyper::upgrade::on(&mut request), InFlight::begin(&entry.pulse)));
        let (handler, pulse) = (self.handler.clone(), Rc::clone(&entry.pulse));
        async move {
            let mut response = handler(request, client).await;
            // Its head is a part, too.
            pulse.earn_part();
            if let Some((stream, in_flight)) = opening
                && let Some(tunnel) = response.body_mut().switched()
            {
                tokio::task::spawn_local(carry(tunnel, stream, in_flight));
            }
            Ok(response.map(|body| InStream::new(Tracked::new(body, in_flight), &pulse)))
        }
    }
}

/// Carries what goes on in a stream for as long as it lasts, or its connection.
async fn carry(tunnel: Box<Tunnel>, stream: OnUpgrade, _in_flight: InFlight) {
    match stream.await {
        Ok(stream) => tunnel.carry(TokioIo::new(stream), Bytes::new()).await,
        Err(error) => debug!(%error, "the stream of a WebSocket ended before it was open"),
    }
}

/// A client that breaks off, or speaks no HTTP, is nothing to an operator: debug.
fn report(client: &Client, ended: Option<hyper::Result<()>>) {
    if let Some(Err(error)) = ended {
        debug!(address = %client.address, %error, cause = error.source(), "connection ended");
    }
}
