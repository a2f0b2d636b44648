//! THE PATH: one request, from the client to the upstream and back, top to bottom.

pub mod access;
pub mod admission;
pub mod body;
mod client;
pub mod clock;
mod commits;
pub mod cookies;
pub mod counters;
pub mod error;
pub mod forwarded;
pub mod headers;
pub mod host;
mod outage;
mod refusal;
pub mod request_id;
mod response;
pub mod route;
pub mod stream;
pub mod upstream;

use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request, Response, StatusCode, Version, request};
use hyper::body::Incoming;
use hyper::ext::Protocol;

use crate::sessions::{Cookie, Sessions, Visit, Watched};
use access::{AccessLog, Exchange, RouteCounters, RouteLabel};
use admission::{Limits, Request as Asking};
use body::{RequestBody, ResponseBody};
pub use client::{Announced, Client, Scheme};
pub use clock::Clock;
use commits::Commits;
use cookies::{OurCookie, SameSite, jar};
pub use counters::Counters;
use error::Error;
use headers::{Names, Outgoing, Streaming};
use request_id::{RequestId, RequestIds};
use response::{respond, stays_open, switch};
use route::OnStoreFailure;
use stream::{Connect, SessionEnd, Streams};
use upstream::{Trust, Upstream};

/// Limits and timeouts of the path itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Our cookie.
    pub cookie: cookies::Settings,
    /// The session header names and budgets.
    pub headers: headers::Settings,
    /// Who names requests.
    pub request_id: request_id::Policy,
    /// What every request is held to.
    pub limits: Limits,
    /// Who is in front of this gateway.
    pub forwarded: forwarded::Settings,
    /// Every route, in the order they were written.
    pub routes: Vec<route::Settings>,
    /// Every upstream; routes refer to them by index.
    pub upstreams: Vec<upstream::Settings>,
}

/// One worker's path for requests.
#[derive(Debug)]
pub struct Proxy {
    routes: route::Table,
    labels: Vec<Rc<RouteLabel>>,
    unrouted: Rc<RouteLabel>,
    upstreams: Vec<Rc<Upstream>>,
    sessions: Sessions,
    cookie: OurCookie,
    same_site: SameSite,
    names: Rc<Names>,
    clock: Clock,
    streams: Rc<Streams>,
    commits: Commits,
    counters: Arc<Counters>,
    access: Option<Rc<AccessLog>>,
    request_ids: RequestIds,
    forwarded: forwarded::Settings,
    limits: Limits,
}

/// What a request needs on its way besides itself.
struct Way<'a> {
    route: &'a route::Settings,
    upstream: &'a Upstream,
}

impl Proxy {
    /// One worker's. `settings` have been checked: names are header names, routes name upstreams. `shared` is by
    /// upstream, in the order of the settings.
    pub fn new(
        settings: &Settings,
        shared: &[Arc<upstream::Shared>],
        sessions: Sessions,
        clock: Clock,
        counters: Arc<Counters>,
        access: Option<Rc<AccessLog>>,
    ) -> Result<Self, http::header::InvalidHeaderName> {
        let names = Rc::new(Names::new(&settings.headers)?);
        let upstreams = settings.upstreams.iter().zip(shared);
        let upstreams = upstreams.map(|(settings, shared)| {
            Rc::new(Upstream::new(settings, shared, &names, counters.upstreams.of(&settings.name)))
        });
        let label = |name: String, counters: Arc<RouteCounters>| Rc::new(RouteLabel { name, counters });
        let labels = settings.routes.iter().map(route::Settings::label);
        Ok(Self {
            routes: route::Table::new(&settings.routes),
            labels: labels.map(|name| label(name.clone(), counters.routes.of(&name))).collect(),
            unrouted: label("none".to_owned(), Arc::clone(&counters.unrouted)),
            upstreams: upstreams.collect(),
            sessions,
            cookie: OurCookie::new(&settings.cookie),
            same_site: settings.cookie.same_site,
            names,
            clock,
            streams: Rc::default(),
            commits: Commits::default(),
            access,
            request_ids: RequestIds::new(settings.request_id),
            forwarded: settings.forwarded.clone(),
            limits: settings.limits.clone(),
            counters,
        })
    }

    /// The path that follows `before`, which keeps the requests that are on it: open streams are watched from here on,
    /// and an upstream that has not changed keeps its connections.
    pub fn succeed(
        before: &Self,
        settings: &Settings,
        shared: &[Arc<upstream::Shared>],
        sessions: Sessions,
        access: Option<Rc<AccessLog>>,
    ) -> Result<Self, http::header::InvalidHeaderName> {
        let (clock, counters) = (before.clock.clone(), Arc::clone(&before.counters));
        let mut next = Self::new(settings, shared, sessions, clock, counters, access)?;
        (next.streams, next.commits) = (Rc::clone(&before.streams), before.commits.clone());
        let is_kept = |old: &Upstream, settings, shared| before.names == next.names && old.is_made_of(settings, shared);
        let wanted = settings.upstreams.iter().zip(shared);
        for (upstream, (settings, shared)) in next.upstreams.iter_mut().zip(wanted) {
            if let Some(same) = before.upstreams.iter().find(|old| is_kept(old, settings, shared)) {
                *upstream = Rc::clone(same);
            }
        }
        for old in &before.upstreams {
            if !next.upstreams.iter().any(|upstream| Rc::ptr_eq(upstream, old)) {
                old.retire();
            }
        }
        Ok(next)
    }

    /// Where its access lines go.
    pub fn access(&self) -> Option<&Rc<AccessLog>> {
        self.access.as_ref()
    }

    /// Answers one request, whatever it is.
    pub async fn serve(self: Rc<Self>, request: Request<Incoming>, client: Rc<Client>) -> Response<ResponseBody> {
        let (mut head, body) = request.into_parts();
        let client = self.forwarded.client(&head.headers, &client);
        let id = self.request_ids.name(&head.headers);
        let mut exchange = Exchange::begin(self.access.as_ref(), client.address.ip(), &head, &id);
        Connect::take_up(&mut head);
        let answered = self.exchange(&head, &id, body, &client, &mut exchange).await;
        let received = answered.as_ref().map_or(Version::HTTP_11, |(answer, _)| answer.version());
        let mut response = match answered {
            Ok((answer, end)) if answer.status() == StatusCode::SWITCHING_PROTOCOLS => {
                switch(answer, end, exchange, head.version)
            }
            Ok((answer, end)) => respond(answer, end, exchange, head.headers),
            Err(error) => self.refuse(&error, &id, exchange, head.version),
        };
        headers::answered_via(response.headers_mut(), received);
        *response.version_mut() = Version::HTTP_11;
        if head.version == Version::HTTP_2 {
            headers::own_values(response.headers_mut());
            *response.version_mut() = Version::HTTP_2;
        }
        response
    }

    /// The way of one request. Everything that awaits a store or an upstream is awaited here.
    async fn exchange(
        &self,
        head: &request::Parts,
        id: &RequestId,
        body: Incoming,
        client: &Client,
        exchange: &mut Exchange,
    ) -> Result<(upstream::Answer, Option<SessionEnd>), Error> {
        exchange.on(&self.unrouted);
        let host = host::of(head, client)?;
        let hostname = host::without_port(host);
        let Way { upstream, route } = self.route(head, hostname, exchange)?;
        self.limits.check(head)?;

        // Before anything of our own is added, since a client may name it in Connection.
        let outgoing = Outgoing::read(head, host, self.request_ids.told(id), &self.names);
        let mut outgoing = outgoing.map_err(Error::Unframed)?;
        self.counters.spoofed.add(outgoing.spoofed);
        let now = self.clock.now();
        let ticket = self.sessions.ticket(outgoing.values(&self.cookie), now);

        let visit = if route.session {
            let kept = ticket.as_ref().filter(|_| route.on_store_failure == OnStoreFailure::Stale);
            let kept = kept.map(|verified| verified.ticket.clone());
            let opened = self.sessions.open(ticket, !route.passive, now).await;
            let visit = opened.or_else(|error| self.without_store(error, route.on_store_failure, kept, now));
            let visit = visit.map_err(|source| Error::session(upstream, source))?;
            exchange.in_session(|| self.sessions.ring().log_hash(visit.id()));
            let for_websocket = outgoing.names_websocket();
            admission::admit(route, &Asking { head, host, client, for_websocket }, &visit, &self.counters)?;
            if upstream.trust() > Trust::None {
                outgoing.identify(&self.names, &visit, self.sessions.lifetimes());
            }
            Some(visit)
        } else {
            None
        };

        outgoing.rename_cookies(upstream.cookies(), &self.counters.unprefixed);
        let mut jar = jar::Exchange::begin(upstream, head, hostname, client);
        match &mut jar {
            None => outgoing.pass_cookies(&self.cookie),
            Some(jar) => jar.pass_cookies(&mut outgoing, &self.cookie, visit.as_ref(), now),
        }
        outgoing.forward(client, host, head.version);
        let is_call = head.version == Version::HTTP_2 && Streaming::of(&head.headers) == Some(Streaming::Grpc);
        let body = RequestBody::new(body, &self.names, self.expected(is_call, upstream, route));
        let body = body.map_err(Error::BodySize)?;
        let asked = outgoing.ask(head, body.length());
        let written = outgoing.frame(body.length());
        // Servers of gRPC have often nothing to say before their first message.
        let calling = visit.as_ref().filter(|_| is_call);
        let mut end = calling.and_then(Visit::watched).map(|session| self.streams.enter(session));
        let sent = {
            // In its place: one that is given away would have its size twice in this one.
            let sent = pin!(upstream.exchange(&head.method, asked, written, body));
            stream::unless_ended(end.as_mut(), sent).await.ok_or(Error::SessionEnded)?
        };
        let mut answer = sent.map_err(|source| Error::upstream(upstream, source))?;
        if let Some(connect) = head.extensions.get::<Connect>() {
            let opened = connect.check(answer.status(), answer.headers());
            opened.map_err(|source| Error::NotOpened { upstream: upstream.name().to_owned(), source })?;
        }

        self.counters.shadowed.add(self.cookie.remove_set_cookies(answer.headers()) as u64);
        let mut taken = self.take_change(upstream, visit.as_ref(), &mut answer)?;
        let now = self.clock.now();
        if let Some(jar) = &mut jar {
            let (status, lifetimes) = (answer.status(), self.sessions.lifetimes());
            jar.take(answer.headers(), visit.as_ref(), &jar::Exchanged { status, lifetimes, now }, &mut taken);
        }
        let stays_open = stays_open(&mut answer);
        if !stays_open {
            end = None;
        } else if end.is_none() {
            end = self.end_of(&mut answer, visit.as_ref().and_then(Visit::watched));
        }
        upstream.cookies().apply(answer.headers(), &self.counters.shadowed);
        if let Some(visit) = visit {
            if !(taken.is_empty() && self.sessions.is_settled(&visit, now)) {
                self.limits.admit(&visit, &taken, client, now)?;
                // Boxed: it is large, and most requests do without it.
                let cookie = Box::pin(self.commit(upstream, visit, taken, head, &mut answer, now)).await?;
                if let Some(jar) = &jar {
                    jar.tell_browser(&cookie, answer.headers());
                }
                // It goes on in the session that it has led to itself, and that is no end of it.
                if stays_open && cookie != Cookie::Keep {
                    end = self.end_of(&mut answer, self.sessions.watched_by(&cookie));
                }
            }
            if upstream.trust() > Trust::None || jar.is_some_and(|jar| jar.keeps()) {
                headers::vary_by_cookie(answer.headers());
            }
        }
        exchange.answered(answer.status());
        Ok((answer, end))
    }

    /// What ends a stream in this session. A call ends when its server says so; the others would go on for ever.
    fn end_of(&self, answer: &mut upstream::Answer, session: Option<Watched>) -> Option<SessionEnd> {
        match Streaming::of(answer.headers()) {
            Some(Streaming::Grpc) => session.map(|session| self.streams.enter(session)),
            _ => Some(self.streams.stay(session)),
        }
    }

    /// What may be expected of a request's body. Calls of gRPC may wait for something to happen.
    fn expected(&self, is_call: bool, upstream: &Upstream, route: &route::Settings) -> body::Expected {
        // Where gRPC can be spoken: elsewhere anybody could say so of an upload.
        let may_wait = is_call && upstream.protocol() == upstream::Protocol::Http2;
        let min_rate = if may_wait { 0 } else { self.limits.min_body_rate };
        body::Expected { timeout: upstream.body_timeout(), min_rate, most: route.max_body_size }
    }

    fn route(&self, head: &request::Parts, hostname: &str, exchange: &mut Exchange) -> Result<Way<'_>, Error> {
        if head.method == Method::CONNECT || head.method == Method::TRACE {
            let protocol = head.extensions.get::<Protocol>();
            return Err(if protocol.is_some() { Error::Protocol } else { Error::Method });
        }
        if head.uri.path_and_query().is_some_and(|target| !target.as_str().is_ascii()) {
            return Err(Error::Path);
        }
        // Only OPTIONS asks about the server as a whole (RFC 9112 section 3.2.4).
        if head.uri.path() == "*" && head.method != Method::OPTIONS {
            return Err(Error::Path);
        }
        let found = self.routes.find(hostname, head.uri.path()).map_err(|route::Ambiguous| Error::Path)?;
        let (index, route) = found.ok_or(Error::NoRoute)?;
        exchange.on(&self.labels[index]);
        Ok(Way { route, upstream: &self.upstreams[route.upstream] })
    }

    /// Whether a request comes over TLS, be it to a trusted proxy.
    pub fn is_over_tls<B>(&self, request: &Request<B>, client: &Rc<Client>) -> bool {
        self.forwarded.client(request.headers(), client).scheme == Scheme::Https
    }

    /// Ends the streams whose session has ended: WebSocket, server-sent events and gRPC. Called now and then by its
    /// worker.
    pub async fn look_at_streams(&self) {
        self.streams.look(&self.sessions, self.clock.now()).await;
    }

    /// Ends every WebSocket and stream of events, now and as they come: the gateway stops.
    pub fn leave(&self) {
        self.streams.leave();
    }

    /// Ends when everything that answers have asked of sessions is stored, or could not be.
    pub async fn stored(&self) {
        self.commits.done().await;
    }

    /// Closes idle connections and hands over access lines. Called now and then by its worker.
    pub fn tick(&self, since_last: Duration) {
        for upstream in &self.upstreams {
            upstream.tick(since_last);
        }
        if let Some(access) = &self.access {
            access.flush();
        }
    }
}

impl Error {
    fn session(upstream: &Upstream, source: crate::sessions::Error) -> Self {
        Self::Session { upstream: upstream.name().to_owned(), source }
    }

    fn upstream(upstream: &Upstream, source: upstream::Error) -> Self {
        Self::Upstream { upstream: upstream.name().to_owned(), source }
    }
}
