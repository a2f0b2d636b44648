//! What a backend's cookies are like, and what would become of them in a jar: told, counted, and not changed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::session::UnixTime;
use crate::session::jar::Jar;
use crate::session::jar::retrieval::Request;
use crate::session::jar::set_cookie::{self, Ignored, SetCookie};

use super::Capture;

/// The most names of one upstream that are told apart; the rest are one.
const MOST_NAMES: usize = 64;
/// What the rest are called.
const OTHERS: &str = "(others)";

/// What all workers have seen of one upstream's cookies. Locked for each `Set-Cookie` that is observed, and for no
/// other.
#[derive(Clone, Debug, Default)]
pub struct Observed(Arc<Mutex<BTreeMap<Seen, u64>>>);

/// One kind of `Set-Cookie`, as it is counted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seen {
    /// The cookie's name.
    pub cookie: String,
    /// What `enforce` would do with it.
    pub verdict: Verdict,
    /// Whether scripts can read it.
    pub is_readable: bool,
    /// Whether it goes over TLS only.
    pub is_secure: bool,
}

/// What `enforce` would do with a cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// It would be kept in the session.
    Keep,
    /// It would go on to the browser, as now.
    Pass,
    /// It would be kept if it were shorter; so it would be dropped, as every browser does.
    TooLong,
    /// It would be dropped, as every browser does.
    Ignore,
}

impl Verdict {
    /// One word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Pass => "pass",
            Self::TooLong => "too_long",
            Self::Ignore => "ignore",
        }
    }
}

impl Observed {
    /// Counts one `Set-Cookie`; the first of its name is told in the log.
    pub fn see(&self, field: &[u8], capture: &Capture, request: &Request<'_>, now: UnixTime) {
        let (jar, parsed) = (Jar::default(), set_cookie::parse(field));
        let stored = parsed.and_then(|cookie| cookie.store(request, &jar, now).map(|_| cookie));
        let verdict = match stored {
            _ if !capture.takes(field, request.upstream, &jar, now) => Verdict::Pass,
            Ok(_) => Verdict::Keep,
            Err(Ignored::TooLong) => Verdict::TooLong,
            Err(_) => Verdict::Ignore,
        };
        let cookie = parsed.unwrap_or_default();
        let name = String::from_utf8_lossy(set_cookie::name(field)).into_owned();
        let (is_readable, is_secure) = (!cookie.http_only, cookie.secure);
        if self.count(Seen { cookie: name.clone(), verdict, is_readable, is_secure }) {
            tell(&name, verdict, &cookie, request.upstream);
        }
    }

    /// Says whether it is the first of its name.
    fn count(&self, mut seen: Seen) -> bool {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_first = !all.keys().any(|known| known.cookie == seen.cookie);
        if is_first && all.len() >= MOST_NAMES {
            OTHERS.clone_into(&mut seen.cookie);
            *all.entry(seen).or_default() += 1;
            return false;
        }
        *all.entry(seen).or_default() += 1;
        is_first
    }

    /// Everything seen, with how often.
    pub fn counts(&self) -> Vec<(Seen, u64)> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().map(|(seen, count)| (seen.clone(), *count)).collect()
    }
}

fn tell(name: &str, verdict: Verdict, cookie: &SetCookie<'_>, upstream: &str) {
    tracing::info!(
        upstream,
        cookie = name,
        enforce = verdict.word(),
        http_only = cookie.http_only,
        secure = cookie.secure,
        same_site = ?cookie.same_site,
        host_only = cookie.domain.is_none_or(<[u8]>::is_empty),
        "a cookie that the jar has not seen before"
    );
}

/// What was seen is no setting.
impl PartialEq for Observed {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Observed {}
