//! What requests count.

use std::sync::Arc;

use super::access::RouteCounters;
use super::{Settings, upstream};
use crate::metrics::Counter;

/// What one worker's requests count; the admin address sums them over workers.
#[derive(Debug)]
pub struct Counters {
    /// By route, in the order of the settings.
    pub routes: Vec<Arc<RouteCounters>>,
    /// By upstream, in the order of the settings.
    pub upstreams: Vec<Arc<upstream::Counters>>,
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
    /// Requests refused because the store could not be asked about their session.
    pub rejected: Counter,
    /// Requests served as a visitor's without a session for the same reason.
    pub served_anonymous: Counter,
    /// Requests served with their session as it was a while ago for the same reason.
    pub served_stale: Counter,
}

impl Counters {
    /// All zero.
    pub fn new(settings: &Settings) -> Self {
        Self {
            routes: settings.routes.iter().map(|_| Arc::default()).collect(),
            upstreams: settings.upstreams.iter().map(|_| Arc::default()).collect(),
            unrouted: Arc::default(),
            spoofed: Counter::default(),
            untrusted: Counter::default(),
            on_failure: Counter::default(),
            malformed: Counter::default(),
            shadowed: Counter::default(),
            unprefixed: Counter::default(),
            rejected: Counter::default(),
            served_anonymous: Counter::default(),
            served_stale: Counter::default(),
        }
    }
}
