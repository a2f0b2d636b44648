//! The backend's own cookies on their way: out of answers into the session, and out of the session into requests.

pub mod capture;
pub mod observed;
mod taking;

use http::header::{HeaderMap, HeaderName, HeaderValue, SET_COOKIE};
use http::{Method, StatusCode, request};

use super::rules::Rules;
use super::{OurCookie, names};
use crate::metrics::Counter;
use crate::proxy::headers::{Outgoing, SEC_FETCH_MODE, SEC_FETCH_SITE};
use crate::proxy::route;
use crate::proxy::upstream::Upstream;
use crate::proxy::{Client, Scheme};
use crate::session::jar::retrieval::{Initiator, Request};
use crate::session::jar::{Jar, LONGEST_COOKIE};
use crate::session::{Change, Lifetimes, UnixTime};
use crate::sessions::{Cookie, Standing, Visit};
pub use capture::{Capture, Pattern};
pub use observed::Observed;

/// `[upstream.NAME.jar]`, where it is not off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Whether anything is changed.
    pub mode: Mode,
    /// Which cookies are kept in the session.
    pub capture: Capture,
    /// Which requests are logins of the backend's own.
    pub renew_on: Vec<Rule>,
    /// Until when the session takes over what browsers still hold.
    pub adopt_until: Option<UnixTime>,
    /// What has been observed, by all workers.
    pub observed: Observed,
}

/// What a jar does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It changes nothing, and tells what it would do.
    Observe,
    /// It keeps cookies in the session.
    Enforce,
}

/// A method and a path, as `POST /login`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The method.
    pub method: Box<str>,
    /// The whole path, without a query.
    pub path: Box<str>,
}

/// What one worker counts of an upstream's cookies.
#[derive(Debug, Default)]
pub struct Counters {
    /// Set by the backend and taken into the session, or deleted there.
    pub captured: Counter,
    /// Taken over from a browser that still held them.
    pub adopted: Counter,
    /// Dropped, because they are more than a session may hold.
    pub over_limit: Counter,
    /// Set by the backend in a way that no browser would keep.
    pub ignored: Counter,
    /// Set on a route without sessions: kept by nobody.
    pub homeless: Counter,
    /// Sent by a client under a name that is kept from it.
    pub refused: Counter,
}

/// A cookie's name and its value, as a client sent them.
type Pair = (Box<[u8]>, Box<[u8]>);

/// One exchange with an upstream that has a jar.
#[derive(Debug)]
pub struct Exchange<'a> {
    settings: &'a Settings,
    counters: &'a Counters,
    rules: &'a Rules,
    head: &'a request::Parts,
    request: Request<'a>,
    /// Names of captured cookies that the client sent, while they are taken over.
    sent: Vec<Box<[u8]>>,
    /// Those of them that are taken over now, with their values.
    adopted: Vec<Pair>,
    /// What takes them from the browser, once they are stored.
    expire: Vec<Vec<u8>>,
}

/// What came of it, as far as cookies depend on it.
#[derive(Clone, Copy, Debug)]
pub struct Exchanged<'a> {
    /// The answer's status.
    pub status: StatusCode,
    /// How long deletions are remembered.
    pub lifetimes: &'a Lifetimes,
    /// When the answer came.
    pub now: UnixTime,
}

impl<'a> Exchange<'a> {
    /// None with an upstream that has no jar.
    pub fn begin(upstream: &'a Upstream, head: &'a request::Parts, host: &'a str, client: &Client) -> Option<Self> {
        let settings = upstream.jar()?;
        let request = Request {
            upstream: upstream.name(),
            host,
            path: head.uri.path().as_bytes(),
            is_secure: client.scheme == Scheme::Https,
            by: initiator(head),
        };
        let (sent, adopted, expire) = (Vec::new(), Vec::new(), Vec::new());
        let (counters, rules) = (upstream.jar_counters(), upstream.cookies());
        Some(Self { settings, counters, rules, head, request, sent, adopted, expire })
    }

    /// Whether it does more than to observe.
    pub fn keeps(&self) -> bool {
        self.settings.mode == Mode::Enforce
    }

    /// Writes the cookies that go upstream: those of the client that are neither ours nor kept, and those that are
    /// kept.
    pub fn pass_cookies(
        &mut self,
        outgoing: &mut Outgoing<'_>,
        ours: &OurCookie,
        visit: Option<&Visit>,
        now: UnixTime,
    ) {
        if !self.keeps() {
            return outgoing.pass_cookies(ours);
        }
        let none = Jar::default();
        let jar = visit.and_then(Visit::session).map_or(&none, |session| &session.jar);
        let adopts = self.settings.adopt_until.is_some_and(|until| now < until) && visit.is_some_and(may_adopt);
        let passes = |pair: &[u8]| {
            let end = memchr::memchr(b'=', pair).unwrap_or(pair.len());
            let (name, value) = (pair[..end].trim_ascii_end(), pair.get(end + 1..).unwrap_or_default());
            if !names(pair).any(|name| self.settings.capture.refuses(name, self.request.upstream, jar, now)) {
                return true;
            }
            if adopts && self.settings.capture.names(name) {
                self.sent.push(name.into());
                let is_known = self.adopted.iter().any(|(known, _)| **known == *name);
                if !is_known && !jar.holds(self.request.upstream, name, now) && pair.len() <= LONGEST_COOKIE {
                    self.adopted.push((name.into(), value.trim_ascii_start().into()));
                    self.counters.adopted.increment();
                    return true;
                }
            }
            self.counters.refused.increment();
            false
        };
        outgoing.pass_cookies_with(ours, &jar.cookies_for(&self.request, now), passes);
    }

    /// Takes the captured cookies out of an answer, and adds to `change` what they change.
    pub fn take(&mut self, headers: &mut HeaderMap, visit: Option<&Visit>, on: &Exchanged<'_>, change: &mut Change) {
        match (self.settings.mode, visit) {
            (Mode::Observe, _) => {
                for field in headers.get_all(SET_COOKIE) {
                    self.settings.observed.see(field.as_bytes(), &self.settings.capture, &self.request, on.now);
                }
            }
            (Mode::Enforce, None) => self.discard(headers, on.now),
            (Mode::Enforce, Some(visit)) => self.take_into(headers, visit, on, change),
        }
    }

    /// What was taken over is the browser's no longer, if it has the ticket to where it is now.
    pub fn tell_browser(&self, ours: &Cookie, headers: &mut HeaderMap) {
        if *ours != Cookie::Keep {
            for line in &self.expire {
                let line =
                    self.rules.prefixed(line).map_or_else(|| HeaderValue::from_bytes(line), HeaderValue::try_from);
                headers.extend(line.ok().map(|line| (SET_COOKIE, line)));
            }
        }
    }

    /// Whether it logs somebody in, by any path that an application could take for one of a login: whoever leads a
    /// visitor to the page by another spelling, from which its form goes to the same, must not lead to a login without
    /// a new ticket.
    fn is_login(&self) -> bool {
        let Ok(path) = route::plain(self.head.uri.path()) else { return false };
        let is = |rule: &Rule| *rule.method == *self.head.method.as_str() && reads_as(&path, &rule.path);
        self.settings.renew_on.iter().any(is)
    }
}

/// Whether some application could read a path as this one: some do not tell capitals, or a slash at the end.
fn reads_as(path: &str, other: &str) -> bool {
    path.trim_end_matches('/').eq_ignore_ascii_case(other.trim_end_matches('/'))
}

/// Whoever has just been logged out has no cookie to bring back, and what cannot be stored is not taken.
fn may_adopt(visit: &Visit) -> bool {
    !matches!(visit.standing, Standing::Dead | Standing::Unknown(_))
}

/// What browsers say of it (Fetch Metadata); whoever says nothing is taken at no word.
fn initiator(head: &request::Parts) -> Initiator {
    let is = |name: HeaderName, value: &[u8]| head.headers.get(name).is_some_and(|field| field.as_bytes() == value);
    let safe = [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE].contains(&head.method);
    if !is(SEC_FETCH_SITE, b"cross-site") {
        Initiator::Here
    } else if safe && is(SEC_FETCH_MODE, b"navigate") {
        Initiator::ForeignLink
    } else {
        Initiator::Elsewhere
    }
}
