//! What requests count.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::access::RouteCounters;
use super::error::Error;
use super::{body, upstream};
use crate::metrics::Counter;

/// What one worker's requests count; the admin address sums them over workers.
#[derive(Debug, Default)]
pub struct Counters {
    /// By the label of a route.
    pub routes: Named<RouteCounters>,
    /// By the name of an upstream.
    pub upstreams: Named<upstream::Counters>,
    /// Requests for which no route was found, or that were no valid request.
    pub unrouted: Arc<RouteCounters>,
    /// Session headers of clients, removed.
    pub spoofed: Counter,
    /// Session headers of upstreams that are not trusted with them, removed.
    pub untrusted: Counter,
    /// Session headers on answers of status 500 and above, ignored.
    pub on_failure: Counter,
    /// Responses refused because of a malformed session header.
    pub malformed: Counter,
    /// Backends' own cookies of our name, or of one that the browser has for another of theirs, removed.
    pub shadowed: Counter,
    /// Clients' cookies that lack the prefix which the backend's own have in browsers, removed.
    pub unprefixed: Counter,
    /// Requests refused because of what they are, by reason.
    pub refused: Refused,
    /// Requests of other sites' pages that may have changed something in a session, passed on.
    pub cross_origin: Counter,
    /// Requests refused because the store could not be asked about their session.
    pub rejected: Counter,
    /// Requests served as a visitor's without a session for the same reason.
    pub served_anonymous: Counter,
    /// Requests served with their session as it was a while ago for the same reason.
    pub served_stale: Counter,
}

/// Requests refused because of what they are.
#[derive(Debug, Default)]
pub struct Refused {
    /// They have too many header lines.
    pub headers: Counter,
    /// Their path and query are too long.
    pub uri: Counter,
    /// Their body is.
    pub body: Counter,
    /// They are no user's, where one is required.
    pub user: Counter,
    /// They come from another origin's page.
    pub cross_origin: Counter,
    /// Their client's address has begun too many sessions.
    pub births: Counter,
}

impl Refused {
    /// One more, where it is one of these.
    pub(super) fn count(&self, error: &Error) {
        let counter = match error {
            Error::Headers { .. } => &self.headers,
            Error::UriSize { .. } => &self.uri,
            Error::BodySize(_)
            | Error::Upstream { source: upstream::Error::RequestBody(body::Error::TooLong(_)), .. } => &self.body,
            Error::User { .. } => &self.user,
            Error::CrossOrigin { .. } => &self.cross_origin,
            Error::Births { .. } => &self.births,
            _ => return,
        };
        counter.increment();
    }
}

/// What is counted under names that may come and go with configurations. A name that is gone keeps its counters, as
/// whoever reads them expects of what can only grow; one that comes back goes on where it was.
#[derive(Debug)]
pub struct Named<T>(Mutex<BTreeMap<String, Arc<T>>>);

impl<T: Default> Named<T> {
    /// What is counted under a name; resolved once, not for every event.
    pub fn of(&self, name: &str) -> Arc<T> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = all.get(name) {
            return Arc::clone(known);
        }
        Arc::clone(all.entry(name.to_owned()).or_default())
    }

    /// Everything, by name.
    pub fn all(&self) -> Vec<(String, Arc<T>)> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().map(|(name, of)| (name.clone(), Arc::clone(of))).collect()
    }
}

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}
