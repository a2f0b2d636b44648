//! The backend's own cookies on their way: out of answers into the session, and out of the session into requests.

use http::header::{Entry, HeaderMap, HeaderValue, SET_COOKIE};
use http::{Method, StatusCode, request};

use crate::metrics::Counter;
use crate::proxy::{Client, Scheme};
use crate::session::jar::retrieval::{Initiator, Request};
use crate::session::jar::set_cookie::{self, Ignored};
use crate::session::jar::{Changes, Jar, To};
use crate::session::{Change, Lifetimes, UnixTime};
use crate::sessions::Visit;

/// `[upstream.NAME.jar]`, where it is not off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Which cookies are kept in the session.
    pub capture: Capture,
    /// Which requests are logins of the backend's own.
    pub renew_on: Vec<Rule>,
}

/// Which of a backend's cookies are kept from the browser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capture(pub Vec<Pattern>);

/// A cookie's name, or the start of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// This name.
    Exact(Box<str>),
    /// Every name that begins so.
    Prefix(Box<str>),
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
    /// Passed on to the browser, because they are more than a session may hold.
    pub over_limit: Counter,
    /// Set by the backend in a way that no browser would keep.
    pub ignored: Counter,
    /// Set on a route without sessions: kept by nobody.
    pub homeless: Counter,
    /// Sent by a client under a name that is kept from it.
    pub refused: Counter,
}

impl Pattern {
    fn matches(&self, name: &[u8]) -> bool {
        match self {
            Self::Exact(exact) => name == exact.as_bytes(),
            Self::Prefix(prefix) => name.starts_with(prefix.as_bytes()),
        }
    }

    /// Whether some backend could read a client's cookie of this name as one of these: PHP takes some characters for
    /// others, and some do not tell capitals.
    fn could_be_read(&self, name: &[u8]) -> bool {
        let fold = |byte: &u8| match byte {
            b'.' | b' ' | b'[' => b'_',
            byte => byte.to_ascii_lowercase(),
        };
        let (Self::Exact(known) | Self::Prefix(known)) = self;
        let is_long_enough = match self {
            Self::Exact(_) => name.len() == known.len(),
            Self::Prefix(_) => name.len() >= known.len(),
        };
        is_long_enough && known.as_bytes().iter().map(fold).eq(name.iter().take(known.len()).map(fold))
    }
}

impl Settings {
    /// Whether a cookie that the backend sets is kept from the browser.
    pub fn captures(&self, name: &[u8]) -> bool {
        self.capture.0.iter().any(|pattern| pattern.matches(name))
    }

    /// Whether a client's `name=value` pair stays here: what the backend would take for its own is not the client's to send.
    pub fn refuses(&self, pair: &[u8]) -> bool {
        let name = pair.split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii();
        self.capture.0.iter().any(|pattern| pattern.could_be_read(name))
    }

    fn is_login(&self, head: &request::Parts) -> bool {
        self.renew_on.iter().any(|rule| *rule.method == *head.method.as_str() && *rule.path == *head.uri.path())
    }

    /// Takes the captured cookies out of an answer, and adds to `change` what they change.
    pub fn take(&self, headers: &mut HeaderMap, on: &Exchange<'_>, change: &mut Change, counters: &Counters) {
        let is_login = self.is_login(on.head) && !on.status.is_server_error();
        let captured = |field: &HeaderValue| self.captures(set_cookie::name(field.as_bytes()));
        if let Entry::Occupied(fields) = headers.entry(SET_COOKIE)
            && fields.iter().any(captured)
        {
            let (_, fields) = fields.remove_entry_mult();
            let fields: Vec<_> = fields.collect();
            let mut taking = Taking::new(on);
            for field in fields {
                let to_browser = if captured(&field) { taking.one(&field, counters) } else { Some(field) };
                if let Some(field) = to_browser {
                    headers.append(SET_COOKIE, field);
                }
            }
            taking.finish(change);
        }
        if is_login {
            (change.renew, change.is_login) = (true, true);
        }
    }

    /// Takes the captured cookies out of an answer on a route where there is no session to keep them in.
    pub fn discard(&self, headers: &mut HeaderMap, counters: &Counters) {
        let Entry::Occupied(fields) = headers.entry(SET_COOKIE) else { return };
        let (_, fields) = fields.remove_entry_mult();
        for field in fields.collect::<Vec<_>>() {
            if self.captures(set_cookie::name(field.as_bytes())) {
                counters.homeless.increment();
            } else {
                headers.append(SET_COOKIE, field);
            }
        }
    }
}

/// One exchange, as far as its cookies depend on it.
#[derive(Debug)]
pub struct Exchange<'a> {
    /// The request's head.
    pub head: &'a request::Parts,
    /// The same, as cookies see it.
    pub request: Request<'a>,
    /// The answer's status.
    pub status: StatusCode,
    /// The session, as the request saw it.
    pub visit: &'a Visit,
    /// How long deletions are remembered.
    pub lifetimes: &'a Lifetimes,
    /// When the answer came.
    pub now: UnixTime,
}

/// Captured cookies of one answer.
struct Taking<'a> {
    on: &'a Exchange<'a>,
    before: Jar,
    changes: Changes,
    is_first: bool,
    outlives_browser: bool,
}

impl<'a> Taking<'a> {
    fn new(on: &'a Exchange<'a>) -> Self {
        let before = on.visit.session().map(|session| session.jar.clone()).unwrap_or_default();
        let changes = Changes::new(on.visit.version(), on.now, on.now.after(on.lifetimes.tombstone));
        Self { on, before, changes, is_first: false, outlives_browser: false }
    }

    /// Takes one; gives back what the browser is to have instead.
    fn one(&mut self, field: &HeaderValue, counters: &Counters) -> Option<HeaderValue> {
        let Exchange { request, now, .. } = self.on;
        let stored = set_cookie::parse(field.as_bytes()).and_then(|cookie| cookie.store(request, &self.before, *now));
        let (name, to) = match stored {
            Ok(stored) => stored,
            Err(Ignored::TooLong) => {
                counters.over_limit.increment();
                return Some(hardened(field, request.is_secure));
            }
            Err(_) => {
                counters.ignored.increment();
                return None;
            }
        };
        let mut changes = self.changes.clone();
        changes.push(name.clone(), to.clone());
        if to != To::Deleted && self.before.changed(&changes, 0).is_err() {
            counters.over_limit.increment();
            return Some(hardened(field, request.is_secure));
        }
        counters.captured.increment();
        if let To::Set(kept) | To::Refreshed(kept) = &to {
            self.is_first |= !self.before.holds(request.upstream, &name.name, *now);
            self.outlives_browser |= kept.expires.is_some();
            // What is set again as it is changes nothing, and costs no store call.
            let is_new = self.changes.iter().all(|(other, _)| *other != name);
            if is_new && self.before.get(&name) == Some(kept) {
                return None;
            }
        }
        self.changes = changes;
        None
    }

    fn finish(self, change: &mut Change) {
        if self.changes.is_empty() {
            return;
        }
        change.edit.jar = Some(Box::new(self.changes));
        if self.outlives_browser && change.edit.persist.is_none() {
            change.edit.persist = Some(true);
        }
        // Whoever knew the ticket before shall not have what may be a login.
        change.renew |= self.is_first;
    }
}

/// The same cookie, out of reach of scripts and, where the client speaks TLS, of clear text.
fn hardened(field: &HeaderValue, is_secure: bool) -> HeaderValue {
    let has = |attribute: &str| {
        let names = field.as_bytes().split(|byte| *byte == b';').skip(1);
        let mut names = names.map(|attribute| attribute.split(|byte| *byte == b'=').next().unwrap_or_default());
        names.any(|name| name.trim_ascii().eq_ignore_ascii_case(attribute.as_bytes()))
    };
    let mut text = field.as_bytes().to_vec();
    if !has("HttpOnly") {
        text.extend_from_slice(b"; HttpOnly");
    }
    if is_secure && !has("Secure") {
        text.extend_from_slice(b"; Secure");
    }
    HeaderValue::from_bytes(&text).unwrap_or_else(|_| field.clone())
}

/// What is asked, as cookies see it.
pub fn request<'a>(upstream: &'a str, head: &'a request::Parts, host: &'a str, client: &Client) -> Request<'a> {
    Request {
        upstream,
        host,
        path: head.uri.path().as_bytes(),
        is_secure: client.scheme == Scheme::Https,
        by: initiator(head),
    }
}

/// What browsers say of it (Fetch Metadata); whoever says nothing is taken at no word.
fn initiator(head: &request::Parts) -> Initiator {
    let is = |name: &str, value: &[u8]| head.headers.get(name).is_some_and(|field| field.as_bytes() == value);
    let safe = [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE].contains(&head.method);
    match is("sec-fetch-site", b"cross-site") {
        false => Initiator::Here,
        true if safe && is("sec-fetch-mode", b"navigate") => Initiator::ForeignLink,
        true => Initiator::Elsewhere,
    }
}
