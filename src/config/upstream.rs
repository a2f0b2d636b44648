//! `[upstream.NAME]`: who is asked, and how far they are trusted.

use std::time::Duration;

use crate::proxy::upstream::{self, Balance, Tolerance, Trust};

use super::cookies::{self, Prefixed};
use super::health::health;
use super::jar;
use super::mistake::{Fault, Kind, Place};
use super::reader::Noted;
use super::section::{At, Named, Section};
use super::servers::{self, tls};
use super::units::DAY;
use super::value::{choice, duration, malformed, number};

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
