//! Who may pass a route, and with how much: a user where one is required, a site's own pages where something is
//! changed.

mod births;
mod cross_origin;
mod login;

use http::request;

use super::error::Error;
use super::route;
use super::{Client, Counters};
use crate::session::{Change, UnixTime};
use crate::sessions::Visit;

pub use births::Births;
pub use cross_origin::{CrossOrigin, Origin};
pub use login::{Login, LoginUrl};

/// What every request is held to, whatever its route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most header lines a request may have.
    pub max_headers: usize,
    /// The most bytes its path and query may have.
    pub max_uri_size: usize,
    /// How many bytes a second its body must bring until the answer begins; zero where it may take its time.
    pub min_body_rate: u64,
    /// How many sessions a client's address may begin.
    pub births: Option<Births>,
}

impl Limits {
    /// Whether a head keeps to them. Over HTTP/1.1 most that does not has been refused before, as it was read.
    pub(super) fn check(&self, head: &request::Parts) -> Result<(), Error> {
        if head.headers.len() > self.max_headers {
            return Err(Error::Headers { most: self.max_headers });
        }
        let size = head.uri.path_and_query().map_or(0, |target| target.as_str().len());
        if size > self.max_uri_size { Err(Error::UriSize { most: self.max_uri_size }) } else { Ok(()) }
    }

    /// Whether the client's address may begin a session, where this change would.
    pub(super) fn admit(&self, visit: &Visit, change: &Change, client: &Client, now: UnixTime) -> Result<(), Error> {
        let begins = visit.session().is_none() && (change.user.is_some() || change.edit.keeps_something());
        match &self.births {
            Some(births) if begins => {
                births.begin(client.address.ip(), now).map_err(|seconds| Error::Births { seconds })
            }
            _ => Ok(()),
        }
    }
}

/// What a route asks of a request whose session is open.
pub(super) fn admit(
    route: &route::Settings,
    request: &Request<'_>,
    visit: &Visit,
    counters: &Counters,
) -> Result<(), Error> {
    if let Some(login) = &route.require_user
        && visit.session().is_none_or(|session| session.user.is_none())
    {
        return Err(Error::User { login: login.location(request) });
    }
    if route.csrf != CrossOrigin::Off
        && visit.session().is_some()
        && request.may_change_something()
        && let Some(origin) = cross_origin::foreign(request, &route.trusted_origins)
    {
        if route.csrf == CrossOrigin::Enforce {
            return Err(Error::CrossOrigin { origin: origin.to_owned() });
        }
        counters.cross_origin.increment();
        tracing::info!(route = route.label(), method = %request.head.method, origin, "a request of another origin");
    }
    Ok(())
}

/// A request as admission sees it.
pub(super) struct Request<'a> {
    pub(super) head: &'a request::Parts,
    pub(super) host: &'a [u8],
    pub(super) client: &'a Client,
    /// Whether it would open a WebSocket.
    pub(super) for_websocket: bool,
}

impl Request<'_> {
    /// Whether it is of a method that may change something (RFC 9110 section 9.2.1), or opens a WebSocket, by which
    /// anything may be asked for, and which browsers open to any site.
    fn may_change_something(&self) -> bool {
        self.for_websocket || !self.head.method.is_safe()
    }
}
