//! Captured cookies out of an answer.

use http::header::{Entry, HeaderMap, HeaderValue, SET_COOKIE};

use super::{Exchange, Exchanged};
use crate::session::jar::set_cookie::{self, Ignored, SetCookie};
use crate::session::jar::{Changes, Jar, Kept, Name, SameSite, To};
use crate::session::{Change, UnixTime};
use crate::sessions::Visit;

impl Exchange<'_> {
    /// Takes the captured cookies out of an answer, and adds to `change` what they change.
    pub(super) fn take_into(
        &mut self,
        headers: &mut HeaderMap,
        visit: &Visit,
        on: &Exchanged<'_>,
        change: &mut Change,
    ) {
        let mut taking = Taking::new(self, visit, on);
        if let Entry::Occupied(fields) = headers.entry(SET_COOKIE)
            && fields.iter().any(|field| taking.takes(field))
        {
            let (_, fields) = fields.remove_entry_mult();
            for field in fields.collect::<Vec<_>>() {
                if taking.takes(&field) {
                    taking.one(&field);
                } else {
                    headers.append(SET_COOKIE, field);
                }
            }
        }
        let persist = taking.persist();
        let (changes, is_first, expire) = (taking.changes, taking.is_first, taking.expire);
        self.expire = expire;
        if !changes.is_empty() {
            change.edit.jar = Some(Box::new(changes));
            change.edit.persist = change.edit.persist.or(persist);
            // Whoever knew the ticket before shall not have what may be a login.
            change.renew |= is_first;
        }
        if self.is_login() && !on.status.is_server_error() {
            (change.renew, change.is_login) = (true, true);
        }
    }

    /// Takes the captured cookies out of an answer on a route where there is no session to keep them in.
    pub(super) fn discard(&self, headers: &mut HeaderMap, now: UnixTime) {
        let Entry::Occupied(fields) = headers.entry(SET_COOKIE) else { return };
        let (_, fields) = fields.remove_entry_mult();
        for field in fields.collect::<Vec<_>>() {
            if self.settings.capture.takes(field.as_bytes(), self.request.upstream, &Jar::default(), now) {
                self.counters.homeless.increment();
            } else {
                headers.append(SET_COOKIE, field);
            }
        }
    }
}

/// Captured cookies of one answer.
struct Taking<'a> {
    exchange: &'a Exchange<'a>,
    now: UnixTime,
    before: Jar,
    changes: Changes,
    is_first: bool,
    outlives_browser: bool,
    expire: Vec<Vec<u8>>,
}

impl<'a> Taking<'a> {
    fn new(exchange: &'a Exchange<'_>, visit: &Visit, on: &Exchanged<'_>) -> Self {
        let before = visit.session().map(|session| session.jar.clone()).unwrap_or_default();
        let changes = Changes::new(visit.version(), on.now, on.now.after(on.lifetimes.tombstone));
        let (is_first, outlives_browser) = (false, false);
        let mut this = Self { exchange, now: on.now, before, changes, is_first, outlives_browser, expire: Vec::new() };
        this.adopt();
        this
    }

    fn takes(&self, field: &HeaderValue) -> bool {
        let Exchange { settings, request, .. } = self.exchange;
        settings.capture.takes(field.as_bytes(), request.upstream, &self.before, self.now)
    }

    /// What the browser still held is the session's from now on, as a cookie of this host.
    fn adopt(&mut self) {
        for (name, value) in &self.exchange.adopted {
            let kept = Kept {
                value: value.clone(),
                expires: None,
                secure: self.exchange.request.is_secure,
                same_site: SameSite::Default,
            };
            let mut changes = self.changes.clone();
            changes.push(self.adopted(name), To::Set(kept));
            // What does not fit stays the browser's.
            if self.before.changed(&changes, 0).is_err() {
                self.tell_over_limit(name);
                continue;
            }
            self.changes = changes;
            self.is_first = true;
            self.expire.push(expired(name, b"/", None, self.exchange.request.is_secure));
        }
    }

    /// How a cookie is kept of which the browser has told no more than name and value.
    fn adopted(&self, name: &[u8]) -> Name {
        let request = &self.exchange.request;
        Name {
            upstream: request.upstream.into(),
            domain: request.host.to_ascii_lowercase().into(),
            host_only: true,
            path: b"/"[..].into(),
            name: name.into(),
        }
    }

    /// Takes one.
    fn one(&mut self, field: &HeaderValue) {
        let Exchange { request, counters, settings, .. } = self.exchange;
        let parsed = set_cookie::parse(field.as_bytes());
        let stored = parsed.and_then(|cookie| Ok((cookie, cookie.store(request, &self.before, self.now)?)));
        let (cookie, (name, to)) = match stored {
            Ok(stored) => stored,
            Err(Ignored::TooLong) => return self.tell_over_limit(set_cookie::name(field.as_bytes())),
            Err(_) => return counters.ignored.increment(),
        };
        let mut changes = self.changes.clone();
        if settings.adopt_until.is_some() {
            self.replace_adopted(&cookie, &name, &mut changes);
        }
        changes.push(name.clone(), to.clone());
        if to != To::Deleted && self.before.changed(&changes, 0).is_err() {
            return self.tell_over_limit(&name.name);
        }
        counters.captured.increment();
        if let To::Set(kept) | To::Refreshed(kept) = &to {
            self.is_first |= !self.before.holds(request.upstream, &name.name, self.now);
            self.outlives_browser |= kept.expires.is_some();
            // What is set again as it is changes nothing, and costs no store call.
            let is_new = changes.iter().count() == self.changes.iter().count() + 1;
            if is_new && self.before.get(&name) == Some(kept) {
                return;
            }
        }
        self.changes = changes;
    }

    /// What is more than the session may hold is dropped as browsers drop it: what was there before stands. The browser
    /// has no use for it, since it would not be believed when it came back.
    fn tell_over_limit(&self, name: &[u8]) {
        let Exchange { request, counters, .. } = self.exchange;
        if counters.over_limit.get() == 0 {
            let cookie = String::from_utf8_lossy(name);
            tracing::warn!(upstream = request.upstream, %cookie, "a cookie is more than a session's jar may hold");
        }
        counters.over_limit.increment();
    }

    /// Our cookie outlives the browser where one of the backend's is to, and no longer once none is: whoever logs in
    /// without "remember me" is forgotten with the browser, whatever was there before.
    fn persist(&self) -> Option<bool> {
        let forgets = || {
            let after = self.before.changed(&self.changes, 0);
            self.before.outlives_browser() && after.is_ok_and(|after| !after.outlives_browser())
        };
        if self.outlives_browser { Some(true) } else { forgets().then_some(false) }
    }

    /// What the backend says of a cookie takes the place of what was adopted, whatever path and domain it had; in the
    /// browser it is expired under these, too.
    fn replace_adopted(&mut self, cookie: &SetCookie<'_>, name: &Name, changes: &mut Changes) {
        let adopted = self.adopted(cookie.name);
        if adopted != *name && changes.iter().any(|(other, _)| *other == adopted) {
            changes.push(adopted.clone(), To::Deleted);
        }
        if adopted != *name && self.before.get(&adopted).is_some() {
            changes.push(adopted, To::Deleted);
        }
        if self.exchange.sent.iter().any(|sent| **sent == *cookie.name) {
            let domain = cookie.domain.filter(|domain| !domain.is_empty());
            self.expire.push(expired(cookie.name, &name.path, domain, self.exchange.request.is_secure));
        }
    }
}

/// A `Set-Cookie` that takes a cookie away from the browser.
fn expired(name: &[u8], path: &[u8], domain: Option<&[u8]>, is_secure: bool) -> Vec<u8> {
    let mut line = [name, b"=; Max-Age=0; Path=", path].concat();
    if let Some(domain) = domain {
        line.extend_from_slice(b"; Domain=");
        line.extend_from_slice(domain);
    }
    if is_secure {
        line.extend_from_slice(b"; Secure");
    }
    line
}
