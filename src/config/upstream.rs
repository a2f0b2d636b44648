//! `[upstream.NAME]` and `[[route]]`: who is asked for what.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::proxy::route::{self, OnStoreFailure};
use crate::proxy::upstream::{self, Balance, Tolerance, Trust};

use super::cookies::{self, Prefixed};
use super::health::health;
use super::host;
use super::jar;
use super::mistake::{Fault, Kind, Place};
use super::nearest::nearest;
use super::reader::Noted;
use super::section::{At, Named, Section, one_of};
use super::servers::{self, tls};
use super::units::DAY;
use super::value::{Value, choice, duration, flag, malformed, number, text};

const MILLISECOND: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_hours(1);

/// Reads every `[upstream.NAME]`, each with the places of what depends on other sections.
pub(super) fn upstreams(root: &mut Section<'_>) -> Result<Named<(upstream::Settings, Vec<Prefixed>)>, Noted> {
    let upstreams = root.named("upstream", upstream)?;
    if upstreams.is_empty() {
        let place = Place { key: "upstream".to_owned(), span: None };
        return Err(root.note(&place, Fault::new(Kind::MissingKey, "missing", "[upstream.NAME], with its servers")));
    }
    Ok(upstreams)
}

fn upstream(name: &At<String>, section: &mut Section<'_>) -> Result<(upstream::Settings, Vec<Prefixed>), Noted> {
    let name = is_name(&name.value).then(|| name.value.clone()).ok_or_else(|| {
        section.note(&name.place, malformed(&name.value, "a name of up to 64 letters, digits, `-` and `_`"))
    });
    let servers = section.required("servers", "a list of servers: [\"http://127.0.0.1:5000\"]", servers::servers);
    let words = [("round-robin", Balance::RoundRobin), ("least-connections", Balance::LeastConnections)];
    let balance = section.or("balance", Balance::RoundRobin, choice(&words));
    let max_connections = section.optional("max_connections", number(1..=1_000_000));
    let max_fails = section.or("max_fails", 1, number(0..=1000));
    let fail_timeout = section.or("fail_timeout", Duration::from_secs(10), duration(MILLISECOND..=HOUR));
    let words = [("none", Trust::None), ("read", Trust::Read), ("write", Trust::Write), ("full", Trust::Full)];
    let trust = section.or("trust", Trust::Full, choice(&words));
    let connect_timeout = section.or("connect_timeout", Duration::from_secs(5), duration(MILLISECOND..=HOUR));
    let resolve_every = section.or("resolve_every", Duration::from_secs(30), duration(Duration::from_secs(1)..=DAY));
    let response_timeout = section.or("response_timeout", Duration::from_mins(1), duration(MILLISECOND..=DAY));
    let body_timeout = section.or("body_timeout", Duration::from_mins(1), duration(MILLISECOND..=DAY));
    let websocket_timeout = section.or("websocket_timeout", Duration::from_hours(1), duration(MILLISECOND..=DAY));
    let keepalive = section.or("keepalive", Duration::from_mins(1), duration(MILLISECOND..=DAY));
    let max_idle = section.or("max_idle", 64, number(0..=65_536));
    let tls = section.section("tls", |section| tls(section, &servers));
    let health = section.section("health", health);
    let jar = section.section("jar", jar::read);
    let mut prefixed = Vec::new();
    let cookies = section.named("cookies", |name, section| cookies::rule(name, section, &mut prefixed));
    let (servers, tls) = (servers?.value, tls?);
    let settings = upstream::Settings {
        name: name?,
        servers: tls.verified(servers),
        balance: balance?.value,
        max_connections: max_connections?.value,
        tolerance: Tolerance { max_fails: max_fails?.value, fail_timeout: fail_timeout?.value },
        health: health?,
        tls: tls.settings,
        trust: trust?.value,
        jar: jar?,
        cookies: cookies::rules(cookies?)?,
        connect_timeout: connect_timeout?.value,
        resolve_every: resolve_every?.value,
        response_timeout: response_timeout?.value,
        body_timeout: body_timeout?.value,
        websocket_timeout: websocket_timeout?.value,
        keepalive: keepalive?.value,
        max_idle: max_idle?.value,
    };
    Ok((settings, prefixed))
}

/// Names stand in logs and metrics, and as keys in this file.
fn is_name(name: &str) -> bool {
    let good = |each: u8| each.is_ascii_alphanumeric() || each == b'-' || each == b'_';
    (1..=64).contains(&name.len()) && name.bytes().all(good)
}

/// Reads every `[[route]]`; each names one of the upstreams. `stale` gets the places of those that want old sessions.
pub(super) fn routes(
    root: &mut Section<'_>,
    upstreams: &[&str],
    stale: &mut Vec<Place>,
) -> Result<Vec<route::Settings>, Noted> {
    let mut seen = BTreeMap::new();
    let routes = root.each("route", |section| route(section, upstreams, &mut seen, stale))?;
    if routes.value.is_empty() {
        let place = Place { key: "route".to_owned(), span: None };
        return Err(root.note(&place, Fault::new(Kind::MissingKey, "missing", "[[route]], with its upstream")));
    }
    routes.value.into_iter().collect()
}

type Seen = BTreeMap<(Option<String>, String), Place>;

fn route(
    section: &mut Section<'_>,
    upstreams: &[&str],
    seen: &mut Seen,
    stale: &mut Vec<Place>,
) -> Result<route::Settings, Noted> {
    let host = section.optional("host", text("a host name", host::pattern));
    let path = section.or("path", "/".to_owned(), text("a path", route_path));
    let upstream = section.required("upstream", "the name of an upstream", |value| upstream_index(value, upstreams));
    let session = section.or("session", true, flag);
    let passive = section.or("passive", false, flag);
    let words = [
        ("reject", OnStoreFailure::Reject),
        ("anonymous", OnStoreFailure::Anonymous),
        ("stale", OnStoreFailure::Stale),
    ];
    let on_store_failure = section.or("on_store_failure", OnStoreFailure::Reject, choice(&words));
    stale.extend(on_store_failure.iter().filter(|at| at.value == OnStoreFailure::Stale).map(|at| at.place.clone()));
    let (host, path) = (host?.value, path?.value);

    if let Some(first) = seen.insert((host.clone(), path.clone()), section.place().clone()) {
        let found = format!("a second route for {}{path}", host.as_deref().unwrap_or("every host, path "));
        let fault = Fault::new(Kind::Duplicate, found, "another host or path").beside(&first, "the first");
        return Err(section.note(section.place(), fault));
    }
    Ok(route::Settings {
        host,
        path,
        upstream: upstream?.value,
        session: session?.value,
        passive: passive?.value,
        on_store_failure: on_store_failure?.value,
    })
}

fn upstream_index(value: &Value<'_>, upstreams: &[&str]) -> Result<usize, Noted> {
    let name = text("the name of an upstream", |name| Ok(name.to_owned()))(value)?;
    upstreams.iter().position(|each| *each == name).ok_or_else(|| {
        let fault =
            Fault::new(Kind::UnknownName, format!("there is no [upstream.{name}]"), one_of(upstreams.iter().copied()));
        value.wrong(match nearest(&name, upstreams.iter().copied()) {
            Some(known) => fault.help(format!("did you mean \"{known}\"?")),
            None => fault,
        })
    })
}

/// A prefix that request paths are compared with as they come, hence without anything that has two spellings.
pub(super) fn route_path(written: &str) -> Result<String, Fault> {
    let fault = |expected: &str| Err(malformed(written, expected));
    // RFC 3986 section 3.3, `pchar` without percent-encoding.
    let plain = |each: u8| each.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/".contains(&each);
    if !written.starts_with('/') {
        return fault("a path that starts with `/`");
    }
    if written.contains(['?', '#']) {
        return fault("a path without `?` and `#`");
    }
    if !written.bytes().all(plain) {
        return fault("a path of letters, digits and -._~!$&'()*+,;=:@ between its slashes, without `%`");
    }
    if written.contains("//") || written.split('/').any(|segment| segment == "." || segment == "..") {
        return fault("a path without `//`, `/./` and `/../`");
    }
    if written.len() > 1024 {
        return fault("a path of at most 1024 bytes");
    }
    Ok(written.to_owned())
}
