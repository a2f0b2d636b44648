//! `Set-Cookie` read as a browser reads it (RFC 6265bis sections 5.6 and 5.7).

use std::time::Duration;

use super::retrieval::{Request, default_path, domain_matches, path_matches};
use super::{Jar, Kept, LONGEST_COOKIE, Name, SameSite, To, signed};
use crate::session::UnixTime;

/// No cookie lives longer than this from when it was set (RFC 6265bis section 5.5).
const LONGEST_LIFE: Duration = Duration::from_hours(400 * 24);
/// Longer attribute values are ignored (RFC 6265bis section 5.6).
const LONGEST_ATTRIBUTE: usize = 1024;

/// Why a browser would not keep a cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ignored {
    /// It holds control characters, or nothing at all.
    Malformed,
    /// Its name and value are longer than any browser keeps.
    TooLong,
    /// It is for a domain that the request was not for, or for a public one.
    Domain,
    /// It may not be set over clear text.
    Insecure,
    /// Its name promises what its attributes do not keep.
    Prefix,
}

/// A `Set-Cookie` as it is written, before it is known whether it may be kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetCookie<'a> {
    /// Its name; empty where there is no `=`.
    pub name: &'a [u8],
    /// Its value.
    pub value: &'a [u8],
    /// The last `Expires` that is a date.
    pub expires: Option<UnixTime>,
    /// The last `Max-Age` that is a number, in seconds; zero where it is negative.
    pub max_age: Option<Duration>,
    /// The last `Domain`, without a dot before it.
    pub domain: Option<&'a [u8]>,
    /// The last `Path`, where it is one.
    pub path: Option<&'a [u8]>,
    /// `Secure`.
    pub secure: bool,
    /// `HttpOnly`: no script can read it.
    pub http_only: bool,
    /// The last `SameSite`.
    pub same_site: Option<SameSite>,
}

/// The name that a `Set-Cookie` gives its cookie.
pub fn name(field: &[u8]) -> &[u8] {
    pair(field).0
}

fn pair(field: &[u8]) -> (&[u8], &[u8]) {
    let pair = field.split(|byte| *byte == b';').next().unwrap_or_default();
    match memchr::memchr(b'=', pair) {
        Some(at) => (trim(&pair[..at]), trim(&pair[at + 1..])),
        None => (b"", trim(pair)),
    }
}

fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

/// Reads a `Set-Cookie` (RFC 6265bis section 5.6).
pub fn parse(field: &[u8]) -> Result<SetCookie<'_>, Ignored> {
    if field.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
        return Err(Ignored::Malformed);
    }
    let (name, value) = pair(field);
    if name.is_empty() && value.is_empty() {
        return Err(Ignored::Malformed);
    }
    if name.len() + value.len() > LONGEST_COOKIE {
        return Err(Ignored::TooLong);
    }
    let mut cookie = SetCookie { name, value, ..SetCookie::default() };
    for attribute in field.split(|byte| *byte == b';').skip(1) {
        let (name, value) = match memchr::memchr(b'=', attribute) {
            Some(at) => (trim(&attribute[..at]), trim(&attribute[at + 1..])),
            None => (trim(attribute), &b""[..]),
        };
        if value.len() <= LONGEST_ATTRIBUTE {
            cookie.take(name, value);
        }
    }
    Ok(cookie)
}

impl<'a> SetCookie<'a> {
    /// Sections 5.6.1 to 5.6.7. The last attribute of a name counts.
    fn take(&mut self, name: &[u8], value: &'a [u8]) {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        if is("expires") {
            self.expires = super::date::parse(value).or(self.expires);
        } else if is("max-age") {
            self.max_age = max_age(value).or(self.max_age);
        } else if is("domain") {
            self.domain = Some(value.strip_prefix(b".").unwrap_or(value));
        } else if is("path") {
            self.path = Some(value).filter(|path| path.first() == Some(&b'/'));
        } else if is("secure") {
            self.secure = true;
        } else if is("httponly") {
            self.http_only = true;
        } else if is("samesite") {
            self.same_site = Some(match value.to_ascii_lowercase().as_slice() {
                b"none" => SameSite::None,
                b"lax" => SameSite::Lax,
                b"strict" => SameSite::Strict,
                _ => SameSite::Default,
            });
        }
    }

    /// What it does to the jar, as the answer to `request` that came at `now` (RFC 6265bis section 5.7).
    pub fn store(&self, request: &Request<'_>, jar: &Jar, now: UnixTime) -> Result<(Name, To), Ignored> {
        let (domain, host_only) = self.scope(request)?;
        let path = self.path.unwrap_or_else(|| default_path(request.path));
        if self.secure && !request.is_secure {
            return Err(Ignored::Insecure);
        }
        self.keeps_its_promise(host_only)?;
        let same_site = self.same_site.unwrap_or(SameSite::Default);
        if same_site == SameSite::None && !self.secure {
            return Err(Ignored::Insecure);
        }
        let name = Name {
            upstream: request.upstream.into(),
            domain: domain.into(),
            host_only,
            path: path.into(),
            name: self.name.into(),
        };
        if !self.secure && !request.is_secure && Self::would_hide_a_secure_one(&name, jar) {
            return Err(Ignored::Insecure);
        }
        let latest = now.after(LONGEST_LIFE);
        let expires = match self.max_age {
            Some(age) => Some(now.after(age.min(LONGEST_LIFE))),
            None => self.expires.map(|expires| expires.min(latest)),
        };
        if expires.is_some_and(|expires| expires <= now) {
            return Ok((name, To::Deleted));
        }
        let kept = Kept { value: self.value.into(), expires, secure: self.secure, same_site };
        let was = jar.get(&name).filter(|was| signed::said(&was.value) == signed::said(&kept.value));
        Ok((name, if was.is_some() { To::Refreshed(kept) } else { To::Set(kept) }))
    }

    /// Which hosts get it: a domain and those below it, or this host alone.
    fn scope(&self, request: &Request<'_>) -> Result<(String, bool), Ignored> {
        let host_only = (request.host.to_ascii_lowercase(), true);
        let domain = match self.domain {
            None | Some(b"") => return Ok(host_only),
            Some(domain) => std::str::from_utf8(domain).map_err(|_| Ignored::Domain)?.to_ascii_lowercase(),
        };
        // There is no list of public suffixes here. What has no dot is one, and is taken as the host's own where it is
        // the host; of the others this gateway knows nothing, and keeps every jar to one visitor of one upstream
        // anyway.
        if !domain.contains('.') {
            return if domain == host_only.0 { Ok(host_only) } else { Err(Ignored::Domain) };
        }
        if domain_matches(&host_only.0, &domain) { Ok((domain, false)) } else { Err(Ignored::Domain) }
    }

    /// RFC 6265bis section 5.4: cookie name prefixes, in whatever case, also where the name is in the value.
    fn keeps_its_promise(&self, host_only: bool) -> Result<(), Ignored> {
        let begins = |text: &[u8], prefix: &str| {
            text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
        };
        let [secure, host] = ["__Secure-", "__Host-"];
        let kept = if self.name.is_empty() {
            !begins(self.value, secure) && !begins(self.value, host)
        } else if begins(self.name, host) {
            self.secure && host_only && self.domain.is_none_or(<[u8]>::is_empty) && self.path == Some(b"/")
        } else {
            !begins(self.name, secure) || self.secure
        };
        if kept { Ok(()) } else { Err(Ignored::Prefix) }
    }

    /// Section 5.7 step 16: what came in clear text leaves secure cookies alone.
    fn would_hide_a_secure_one(name: &Name, jar: &Jar) -> bool {
        jar.kept().any(|(other, kept, _)| {
            kept.secure
                && other.upstream == name.upstream
                && other.name == name.name
                && (domain_matches(&other.domain, &name.domain) || domain_matches(&name.domain, &other.domain))
                && path_matches(&name.path, &other.path)
        })
    }
}

/// RFC 6265bis section 5.6.2.
fn max_age(value: &[u8]) -> Option<Duration> {
    let (negative, digits) = match value.strip_prefix(b"-") {
        Some(digits) => (true, digits),
        None => (false, value),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let seconds =
        digits.iter().fold(0_u64, |seconds, digit| seconds.saturating_mul(10).saturating_add(u64::from(digit - b'0')));
    Some(if negative { Duration::ZERO } else { Duration::from_secs(seconds) })
}
