//! Which cookies a request carries (RFC 6265bis sections 5.1.3, 5.1.4 and 5.8.3).

use std::cmp::Reverse;
use std::net::IpAddr;

use super::{Jar, Kept, Name, SameSite};
use crate::session::UnixTime;

/// What is asked of an upstream, as far as cookies depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// The upstream's name.
    pub upstream: &'a str,
    /// The host that was asked for, without its port.
    pub host: &'a str,
    /// The path that was asked for, as it came.
    pub path: &'a [u8],
    /// Whether the client speaks TLS.
    pub is_secure: bool,
    /// What made the browser send it.
    pub by: Initiator,
}

/// What made the browser send a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Initiator {
    /// The same site, or the user, or something that does not say.
    Here,
    /// Another site, whose link the user has followed.
    ForeignLink,
    /// Another site, in any other way.
    Elsewhere,
}

impl Jar {
    /// The cookies that go with a request: of longer paths first, then the older ones.
    pub fn cookies_for(&self, request: &Request<'_>, now: UnixTime) -> Vec<(&[u8], &[u8])> {
        let mut found: Vec<_> = self.kept().filter(|(name, kept, _)| goes_with(name, kept, request, now)).collect();
        found.sort_by_key(|(name, _, born)| (Reverse(name.path.len()), *born));
        found.into_iter().map(|(name, kept, _)| (&*name.name, &*kept.value)).collect()
    }

    /// Whether a cookie of this name is in it that this upstream has set.
    pub fn holds(&self, upstream: &str, name: &[u8], now: UnixTime) -> bool {
        self.kept().any(|(other, kept, _)| {
            *other.name == *name && *other.upstream == *upstream && kept.expires.is_none_or(|expires| now < expires)
        })
    }
}

fn goes_with(name: &Name, kept: &Kept, request: &Request<'_>, now: UnixTime) -> bool {
    let host = || request.host.to_ascii_lowercase();
    let is_for_host = || if name.host_only { *name.domain == *host() } else { domain_matches(&host(), &name.domain) };
    let is_for_site = match kept.same_site {
        SameSite::None => true,
        SameSite::Default | SameSite::Lax => request.by != Initiator::Elsewhere,
        SameSite::Strict => request.by == Initiator::Here,
    };
    *name.upstream == *request.upstream
        && kept.expires.is_none_or(|expires| now < expires)
        && (!kept.secure || request.is_secure)
        && is_for_site
        && path_matches(request.path, &name.path)
        && is_for_host()
}

/// RFC 6265bis section 5.1.3; both in lower case.
pub fn domain_matches(host: &str, domain: &str) -> bool {
    let below = || host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'));
    host == domain || (below() && !is_address(host))
}

/// An address has nothing below it.
fn is_address(host: &str) -> bool {
    host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok()
}

/// RFC 6265bis section 5.1.4.
pub fn path_matches(path: &[u8], of: &[u8]) -> bool {
    path.strip_prefix(of).is_some_and(|rest| rest.is_empty() || of.ends_with(b"/") || rest.starts_with(b"/"))
}

/// The path of a cookie that names none (RFC 6265bis section 5.1.4).
pub fn default_path(path: &[u8]) -> &[u8] {
    let last = memchr::memrchr(b'/', path).filter(|_| path.first() == Some(&b'/'));
    match last {
        None | Some(0) => b"/",
        Some(at) => &path[..at],
    }
}
