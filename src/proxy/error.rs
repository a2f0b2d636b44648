//! Error to status, the one table; and what the client is shown of it.

use bytes::Bytes;
use http::StatusCode;
use http::header::HeaderValue;

use super::headers::{ChangeError, Unframed};
use super::request_id::RequestId;
use super::stream::NotOpened;
use super::{body, upstream};
use crate::sessions;
use crate::store;

/// Why a request was not answered by its upstream.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No host, several, or one that is none (RFC 9112 section 3.2); or a scheme that is not HTTP's.
    #[error("the request names no host, more than one, or something else")]
    Host,
    /// A path that servers read differently, or a target that is not ASCII (RFC 9112 section 3.2).
    #[error("the path has a dot segment or a NUL, or is none, or the target is not ASCII")]
    Path,
    /// CONNECT, which asks for another kind of proxy, or TRACE, which would show the client what the upstream is told.
    #[error("the method is not for a proxy to pass on")]
    Method,
    /// An extended CONNECT for another protocol than WebSocket (RFC 9220 section 3).
    #[error("the protocol is not one that is passed on")]
    Protocol,
    /// More header lines than allowed.
    #[error("the request has more than {most} header lines")]
    Headers {
        /// How many may be.
        most: usize,
    },
    /// A path and query longer than allowed.
    #[error("the request's path and query have more than {most} bytes")]
    UriSize {
        /// How many may be.
        most: usize,
    },
    /// A body longer than its route allows, as was said in advance.
    #[error(transparent)]
    BodySize(body::Error),
    /// A route that is for users, and none is logged in.
    #[error("the route is for users, and none is logged in")]
    User {
        /// Where to log in.
        login: Option<HeaderValue>,
    },
    /// A request of another site's page, which may change something in the user's session.
    #[error("the request was made by another origin's page: {origin:?}")]
    CrossOrigin {
        /// Whose, as far as the browser says.
        origin: String,
    },
    /// The client's address has begun as many sessions as it may.
    #[error("the client's address has begun as many sessions as it may within a minute")]
    Births {
        /// In how many seconds it may begin one.
        seconds: u64,
    },
    /// Nobody can say how long it is.
    #[error("{}", match .0 {
        Unframed::Coding => "the request has a transfer coding other than chunked",
        Unframed::Lengths => "the request has several lengths",
    })]
    Unframed(Unframed),
    /// No route serves this host and path.
    #[error("no route serves this host and path")]
    NoRoute,
    /// The request went on in a session that has ended meanwhile.
    #[error("the session has ended in which this is asked for")]
    SessionEnded,
    /// The session could not be opened, or a change not be stored.
    #[error("upstream {upstream}: {source}")]
    Session {
        /// The upstream's name.
        upstream: String,
        /// What went wrong.
        source: sessions::Error,
    },
    /// The response's session headers cannot be followed.
    #[error("upstream {upstream} sent a malformed session header: {source}")]
    Change {
        /// The upstream's name.
        upstream: String,
        /// Which, and why.
        source: ChangeError,
    },
    /// The answer to a WebSocket's handshake cannot be told over HTTP/2.
    #[error("upstream {upstream} has not opened the WebSocket: {source}")]
    NotOpened {
        /// The upstream's name.
        upstream: String,
        /// Why.
        source: NotOpened,
    },
    /// No answer.
    #[error("upstream {upstream}: {source}")]
    Upstream {
        /// The upstream's name.
        upstream: String,
        /// Why.
        source: upstream::Error,
    },
}

/// Whose fault an error is, which decides how loudly it is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The client's.
    Client,
    /// The upstream's, or the store's: somebody should look.
    Server,
}

impl Error {
    /// What the client is told.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Host | Self::Path | Self::Unframed(Unframed::Lengths) => StatusCode::BAD_REQUEST,
            Self::Headers { .. } => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::UriSize { .. } => StatusCode::URI_TOO_LONG,
            Self::BodySize(_) => StatusCode::PAYLOAD_TOO_LARGE,
            // 303: what is asked for there is a page, whatever was asked for here (RFC 9110 section 15.4.4).
            Self::User { login: Some(_) } => StatusCode::SEE_OTHER,
            Self::CrossOrigin { .. } => StatusCode::FORBIDDEN,
            Self::Births { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Unframed(Unframed::Coding) | Self::Protocol => StatusCode::NOT_IMPLEMENTED,
            Self::NoRoute => StatusCode::NOT_FOUND,
            Self::User { login: None } | Self::SessionEnded => StatusCode::UNAUTHORIZED,
            Self::Session { source, .. } => match source {
                sessions::Error::Store(
                    store::Error::Full
                    | store::Error::JarOverLimit
                    | store::Error::Unavailable(_)
                    | store::Error::Unreadable(_),
                )
                | sessions::Error::Contended => StatusCode::SERVICE_UNAVAILABLE,
                // The backend asked for more than a session may hold.
                sessions::Error::Store(store::Error::DataOverLimit { .. }) => StatusCode::BAD_GATEWAY,
            },
            Self::Change { .. } | Self::NotOpened { .. } => StatusCode::BAD_GATEWAY,
            Self::Upstream { source, .. } => match source {
                upstream::Error::Connect { .. }
                | upstream::Error::Closed
                | upstream::Error::Broken(_)
                | upstream::Error::Malformed(_) => StatusCode::BAD_GATEWAY,
                upstream::Error::ConnectTimeout { .. } | upstream::Error::ResponseTimeout(_) => {
                    StatusCode::GATEWAY_TIMEOUT
                }
                upstream::Error::NoWebSocket => StatusCode::NOT_IMPLEMENTED,
                upstream::Error::Unhealthy | upstream::Error::Busy { .. } => StatusCode::SERVICE_UNAVAILABLE,
                upstream::Error::RequestBody(body::Error::Stalled(_) | body::Error::Slow(_)) => {
                    StatusCode::REQUEST_TIMEOUT
                }
                upstream::Error::RequestBody(body::Error::TooLong(_)) => StatusCode::PAYLOAD_TOO_LARGE,
                upstream::Error::RequestBody(_) | upstream::Error::NotInHttp2 => StatusCode::BAD_REQUEST,
            },
        }
    }

    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Unframed(_)
            | Self::Protocol
            | Self::User { .. }
            | Self::Upstream { source: upstream::Error::NoWebSocket, .. } => Fault::Client,
            _ if self.status().is_client_error() => Fault::Client,
            _ => Fault::Server,
        }
    }

    /// Whether nothing more is to be read from the client's connection: what it sent is not what other servers would
    /// have taken it for, or what follows may be meant for a tunnel that was not opened (RFC 9110 section 9.3.6).
    pub fn closes(&self) -> bool {
        match self {
            Self::Host | Self::Path | Self::Method | Self::Unframed(_) => true,
            Self::Upstream { source, .. } => matches!(source, upstream::Error::RequestBody(_)),
            Self::Headers { .. }
            | Self::UriSize { .. }
            // What is left of the body is read or the connection closed by hyper.
            | Self::BodySize(_)
            | Self::User { .. }
            | Self::CrossOrigin { .. }
            | Self::Births { .. }
            | Self::NoRoute
            | Self::Protocol
            | Self::SessionEnded
            | Self::Session { .. }
            | Self::Change { .. }
            | Self::NotOpened { .. } => false,
        }
    }

    /// The error page: what the status means, and an id by which the operator finds the cause in the log.
    pub fn page(&self, id: &RequestId) -> Bytes {
        let status = self.status();
        let reason = status.canonical_reason().unwrap_or("Error");
        Bytes::from(format!("{} {reason}\nrequest {id}\n", status.as_u16()))
    }
}
