//! `[session]`: the cookie, the keys, the lifetimes, the session headers.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use crate::proxy::admission::Births;
use crate::proxy::cookies::{self, SameSite};
use crate::proxy::headers;
use crate::session::Lifetimes;
use crate::session::lifetime::Limits;
use crate::sessions;

use super::host;
use super::mistake::{Fault, Kind};
use super::reader::Noted;
use super::section::{At, Section, Taken};
use super::units::{DAY, LONGEST_LIFE, MIB, written_duration};
use super::value::{choice, flag, list, malformed, number, path, seconds, size, text};

/// All that `[session]` says, for whoever it concerns.
pub(super) struct Session {
    pub(super) keys: Vec<PathBuf>,
    pub(super) sessions: sessions::Settings,
    pub(super) cookie: cookies::Settings,
    pub(super) headers: headers::Settings,
    /// Whether, and how many, sessions an address may begin.
    pub(super) births: Option<Births>,
}

const SECOND: Duration = Duration::from_secs(1);

/// Reads the section; `tombstone` is known from the upstreams.
pub(super) fn session(section: &mut Section<'_>, tombstone: Duration) -> Result<Session, Noted> {
    let cookie = cookie(section);
    let headers = headers(section);
    let keys = section.required("keys", "a list of key files; `session-gateway key` makes one", list(1..=16, path));
    let keys = keys.and_then(|keys| distinct(section, keys));
    let lifetimes = lifetimes(section, tombstone);
    let guest_cookie = section.or("guest_cookie", true, flag);
    let max_data = section.or("max_data", 64 << 10, size(1..=16 * MIB));
    let max_per_user = section.optional("max_per_user", number(1..=10_000));
    let births = section.optional("max_new_per_address", number(1..=1_000_000));
    Ok(Session {
        keys: keys?,
        sessions: sessions::Settings {
            lifetimes: lifetimes?,
            guest_cookie: guest_cookie?.value,
            max_data: bytes(max_data?.value),
            max_per_user: max_per_user?.value.and_then(NonZeroUsize::new),
        },
        cookie: cookie?,
        headers: headers?,
        births: births?.value.map(|most| Births::new(u32::try_from(most).unwrap_or(u32::MAX))),
    })
}

/// A size that its limits keep far below what a `usize` holds.
pub(super) fn bytes(size: u64) -> usize {
    usize::try_from(size).unwrap_or(usize::MAX)
}

/// A key file named twice makes two key ids of one key, and nothing safer.
fn distinct(section: &Section<'_>, keys: At<Vec<PathBuf>>) -> Result<Vec<PathBuf>, Noted> {
    let mut seen = BTreeSet::new();
    match keys.value.iter().find(|key| !seen.insert(*key)) {
        None => Ok(keys.value),
        Some(twice) => {
            let found = format!("names {} twice", twice.display());
            Err(section.note(&keys.place, Fault::new(Kind::Duplicate, found, "every key file once")))
        }
    }
}

fn cookie(section: &mut Section<'_>) -> Result<cookies::Settings, Noted> {
    let secure = section.or("secure", true, flag);
    // Browsers drop a cookie of that name without Secure, so that plain http needs another one.
    let usual = if secure.as_ref().is_ok_and(|secure| !secure.value) { "sid" } else { "__Host-sid" };
    let name = section.or("cookie", usual.to_owned(), text("the cookie's name", cookie_name));
    let domain = section.optional("domain", text("a host name", host::cookie_domain));
    let path = section.or("path", "/".to_owned(), text("a path", cookie_path));
    let words = [("lax", SameSite::Lax), ("strict", SameSite::Strict), ("none", SameSite::None)];
    let same_site = section.or("same_site", SameSite::Lax, choice(&words));
    let (name, secure, domain, path, same_site) = (name?, secure?, domain?, path?, same_site?);

    // RFC 6265bis section 4.1.3; browsers compare the prefix without regard to case, and drop what breaks its promise.
    let prefix = |prefix: &str| name.value.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    let mut noted = None;
    let mut impossible = |place, fault| noted = Some(section.note(place, fault));
    let conflict = |found: String, expected: &str| Fault::new(Kind::Conflict, found, expected);
    if (prefix("__Host-") || prefix("__Secure-") || prefix("__Http-")) && !secure.value {
        let fault =
            conflict(format!("{:?} promises Secure, and secure is false", name.value), "a name without that prefix");
        impossible(&name.place, fault.beside(&secure.place, "here").help("cookie = \"sid\" goes over plain http"));
    }
    if prefix("__Host-") {
        let help = "cookie = \"__Secure-sid\" may have a domain and a path";
        if let Some(domain_value) = &domain.value {
            let found = format!("{domain_value:?} cannot be the domain of {:?}", name.value);
            impossible(&domain.place, conflict(found, "no domain, or a cookie name without `__Host-`").help(help));
        }
        if path.value != "/" {
            let found = format!("{:?} cannot be the path of {:?}", path.value, name.value);
            impossible(&path.place, conflict(found, "\"/\", or a cookie name without `__Host-`").help(help));
        }
    }
    if same_site.value == SameSite::None && !secure.value {
        let fault = conflict("\"none\" without secure".to_owned(), "secure = true, or \"lax\" or \"strict\"");
        impossible(&same_site.place, fault.beside(&secure.place, "here"));
    }
    if let Some(noted) = noted {
        return Err(noted);
    }
    Ok(cookies::Settings {
        name: name.value,
        secure: secure.value,
        same_site: same_site.value,
        domain: domain.value,
        path: path.value,
    })
}

/// RFC 6265 section 4.1.1: a token of RFC 2616 section 2.2.
fn cookie_name(written: &str) -> Result<String, Fault> {
    if is_token(written) && written.len() <= 64 {
        return Ok(written.to_owned());
    }
    Err(malformed(written, "up to 64 letters, digits and any of !#$%&'*+-.^_`|~"))
}

/// RFC 6265 section 4.1.1, `path-value`, which must begin with `/` to be more than ignored.
fn cookie_path(written: &str) -> Result<String, Fault> {
    let good = |each: u8| each.is_ascii_graphic() && each != b';';
    if written.starts_with('/') && written.bytes().all(good) && written.len() <= 1024 {
        return Ok(written.to_owned());
    }
    Err(malformed(written, "a path that starts with `/`, without spaces and `;`"))
}

fn headers(section: &mut Section<'_>) -> Result<headers::Settings, Noted> {
    let prefix = section.or("header_prefix", "X-Session-".to_owned(), text("a header prefix", header_prefix));
    let budget = section.or("data_header_budget", 6 << 10, size(0..=64 << 10));
    Ok(headers::Settings { prefix: prefix?.value, data_budget: bytes(budget?.value) })
}

/// Every header under the prefix is ours, and dropped where others send it. Hence `X-…-`, and none that means something
/// already; only letters, digits and `-`, since that is what names are folded to before they are compared.
fn header_prefix(written: &str) -> Result<String, Fault> {
    let good = |each: u8| each.is_ascii_alphanumeric() || each == b'-';
    let long = (4..=64).contains(&written.len());
    let framed = written.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("x-")) && written.ends_with('-');
    if !(long && framed && written.bytes().all(good) && !written.contains("--")) {
        return Err(malformed(written, "`X-`, letters, digits and `-`, and `-` at the end, such as \"X-Session-\""));
    }
    if ["X-Forwarded-", "X-Request-"].iter().any(|taken| written.eq_ignore_ascii_case(taken)) {
        let expected = "another prefix: the gateway sends X-Forwarded-For, X-Request-Id and their like itself";
        return Err(malformed(written, expected));
    }
    Ok(written.to_owned())
}

fn lifetimes(section: &mut Section<'_>, tombstone: Duration) -> Result<Lifetimes, Noted> {
    let user = limits(section, Some(DAY / 48), DAY / 2);
    let anonymous = section.section("anonymous", |section| limits(section, Some(DAY), 7 * DAY));
    let persistent = section.section("persistent", |section| limits(section, None, 31 * DAY));
    let renew_after = section.or("renew_after", DAY / 24, seconds(SECOND..=LONGEST_LIFE));
    let touch_after = section.optional("touch_after", seconds(SECOND..=DAY));
    let (user, anonymous, persistent) = (user?, anonymous?, persistent?);

    // One touch_after serves every kind of session, so the shortest idle time of them decides.
    let shortest = user.idle.min(anonymous.idle).min(persistent.idle);
    let latest = shortest / 10;
    let touch_after = touch_after?;
    if touch_after.value.is_some_and(|touch_after| touch_after > latest) {
        let found = format!("more than a tenth of the shortest idle_timeout, {}", written_duration(shortest));
        let expected = format!("at most {}", written_duration(latest));
        let help = "a session would seem idle for that much longer than it is";
        return Err(section.note(&touch_after.place, Fault::new(Kind::Conflict, found, expected).help(help)));
    }
    Ok(Lifetimes {
        user,
        anonymous,
        persistent,
        renew_after: renew_after?.value,
        touch_after: touch_after.value.unwrap_or(latest.min(Duration::from_mins(1))),
        tombstone,
    })
}

/// One kind's `idle_timeout` and `lifetime`. Without a usual idle time, it is the lifetime.
fn limits(section: &mut Section<'_>, usual_idle: Option<Duration>, usual_lifetime: Duration) -> Result<Limits, Noted> {
    let idle: Taken<Option<Duration>> = section.optional("idle_timeout", seconds(SECOND..=LONGEST_LIFE));
    let lifetime = section.or("lifetime", usual_lifetime, seconds(SECOND..=LONGEST_LIFE));
    let (idle, lifetime) = (idle?, lifetime?);
    let longest = lifetime.value;
    if idle.value.is_some_and(|idle| idle > longest) {
        let length = written_duration(longest);
        let found = format!("longer than lifetime, {length}{}", if lifetime.written { "" } else { " by default" });
        let fault = Fault::new(Kind::Conflict, found, format!("at most {length}"));
        let fault = if lifetime.written { fault.beside(&lifetime.place, "the lifetime") } else { fault };
        return Err(section.note(&idle.place, fault));
    }
    // A lifetime set shorter than the usual idle time is no mistake: then it is the idle time as well.
    let idle = idle.value.unwrap_or(usual_idle.unwrap_or(longest).min(longest));
    Ok(Limits { idle, lifetime: longest })
}

fn is_token(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|each| each.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&each))
}
