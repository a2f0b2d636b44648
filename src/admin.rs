//! Its own address: health, metrics and the sessions API.

mod api;
mod exposition;
mod reloads;

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::body::Incoming;
use subtle::ConstantTimeEq;
use tower_service::Service;

use crate::proxy::stream::MaySwitch;
use crate::proxy::{Client, Clock};
use crate::sessions::Sessions;
pub use exposition::{Exposition, Worker};
pub use reloads::Reloads;

/// Where the admin address listens and who may use it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The address; anything but loopback needs a token.
    pub listen: SocketAddr,
    /// The bearer token the API and the metrics ask for.
    pub token: Option<Token>,
}

impl Settings {
    /// Whether the API may be at this address: whoever reaches it needs the token, or is on this machine.
    pub fn may_be_at(&self, address: SocketAddr) -> bool {
        self.token.is_some() || address.ip().to_canonical().is_loopback()
    }
}

impl MaySwitch for axum::body::Body {}

/// A bearer token. Its `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(pub String);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(..)")
    }
}

/// An answer on its way.
pub type Answer = Pin<Box<dyn Future<Output = Response>>>;

/// What the admin address shows and does.
#[derive(Clone, Debug)]
pub struct Admin {
    /// The sessions it lists and revokes.
    pub sessions: Sessions,
    /// The time it is.
    pub clock: Clock,
    /// Every counter.
    pub exposition: Arc<Exposition>,
    /// Whether new requests are welcome: not any more once the gateway drains.
    pub ready: Arc<AtomicBool>,
    /// Who may use it.
    pub token: Option<Token>,
}

/// What answers at the admin address at present.
#[derive(Debug)]
pub struct Desk(Arc<ArcSwap<Router>>);

impl Desk {
    /// This does.
    pub fn new(admin: Admin) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(admin.router())))
    }

    /// From now on this does.
    pub fn install(&self, admin: Admin) {
        self.0.store(Arc::new(admin.router()));
    }

    /// What answers its requests, for a listener to serve.
    pub fn handler(&self) -> impl Fn(http::Request<Incoming>, Rc<Client>) -> Answer + Clone + Send + use<> {
        let current = Arc::clone(&self.0);
        move |request, _| {
            let mut router = Router::clone(&current.load());
            Box::pin(async move {
                let answered: Result<Response, Infallible> = router.call(request).await;
                answered.unwrap_or_else(|never| match never {})
            })
        }
    }
}

impl Admin {
    fn router(self) -> Router {
        let guarded = Router::new()
            .route("/metrics", get(metrics))
            .merge(api::routes())
            .route_layer(middleware::from_fn_with_state(self.clone(), authorize));
        Router::new()
            .route("/livez", get(|| async { "ok\n" }))
            .route("/readyz", get(readyz))
            .merge(guarded)
            .fallback(|| async { api::Problem::NotFound })
            .with_state(self)
    }
}

/// Whether a load balancer should send clients here. `?store=optional` is for one that has no better place for them
/// while the store is down: the gateway still serves whoever has no session.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Readiness {
    #[serde(default)]
    store: StoreIs,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
enum StoreIs {
    #[default]
    Required,
    Optional,
}

async fn readyz(
    State(admin): State<Admin>,
    asked: Result<Query<Readiness>, QueryRejection>,
) -> Result<(StatusCode, String), api::Problem> {
    let Ok(Query(readiness)) = asked else { return Err(api::Problem::Readiness) };
    if !admin.ready.load(Ordering::Relaxed) {
        return Ok((StatusCode::SERVICE_UNAVAILABLE, "draining\n".to_owned()));
    }
    Ok(match admin.sessions.check(admin.clock.now()).await {
        Ok(()) => (StatusCode::OK, "ready\n".to_owned()),
        Err(error) if readiness.store == StoreIs::Optional => (StatusCode::OK, format!("ready, but {error}\n")),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")),
    })
}

async fn metrics(State(admin): State<Admin>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], admin.exposition.text())
}

async fn authorize(State(admin): State<Admin>, request: Request, next: Next) -> Response {
    match denied(&admin, request.headers()) {
        Some(problem @ api::Problem::Unauthorized) => ([(WWW_AUTHENTICATE, "Bearer")], problem).into_response(),
        Some(problem) => problem.into_response(),
        None => next.run(request).await,
    }
}

/// Lets in who has the token. Without one the address is loopback, and a page in a browser on this machine must not
/// reach it under a name of its own (DNS rebinding): only literal addresses and `localhost` are answered.
fn denied(admin: &Admin, headers: &HeaderMap) -> Option<api::Problem> {
    let header = |name| headers.get(name).map_or(&b""[..], |value: &HeaderValue| value.as_bytes());
    match &admin.token {
        Some(token) => {
            // RFC 9110 section 11.1: capitals do not matter in the scheme.
            let given = match header(AUTHORIZATION).split_at_checked(b"Bearer ".len()) {
                Some((scheme, given)) if scheme.eq_ignore_ascii_case(b"Bearer ") => given,
                _ => b"",
            };
            (!bool::from(given.ct_eq(token.0.as_bytes()))).then_some(api::Problem::Unauthorized)
        }
        None => (!is_local(header(HOST))).then_some(api::Problem::ForeignHost),
    }
}

fn is_local(host: &[u8]) -> bool {
    let Ok(host) = std::str::from_utf8(host) else { return false };
    let name = host.rsplit_once(':').map_or(host, |(name, port)| if port.ends_with(']') { host } else { name });
    let literal = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    literal.is_ok() || name.eq_ignore_ascii_case("localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_literal_addresses_and_localhost_are_local() {
        for host in ["127.0.0.1:9900", "[::1]:9900", "[::1]", "localhost", "LOCALHOST:1", "10.0.0.1"] {
            assert!(is_local(host.as_bytes()), "{host}");
        }
        for host in ["", "evil.example", "evil.example:9900", "localhost.evil.example", "\u{e9}"] {
            assert!(!is_local(host.as_bytes()), "{host}");
        }
    }

    #[test]
    fn a_token_never_shows_in_debug() {
        assert_eq!(format!("{:?}", Token("secret".to_owned())), "Token(..)");
    }
}
