//! `gateway.toml` as written: its sections, and what must hold between them.

use std::fs::File;
use std::io::Read;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::thread::available_parallelism;
use std::time::Duration;

use ipnet::IpNet;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::admin::{self, Token};
use crate::proxy::admission::Limits;
use crate::proxy::forwarded::{self, Header, Trusted};
use crate::proxy::request_id::Policy;
use crate::telemetry::Access;
use crate::{listener, proxy, store, telemetry, tls};

use super::Config;
use super::cookies::possible;
use super::mistake::{Fault, Kind, Place};
use super::reader::Noted;
use super::route::routes;
use super::section::{At, Section};
use super::session::{bytes, session};
use super::units::MIB;
use super::upstream::upstreams;
use super::value::{Value, address, choice, duration, flag, list, malformed, number, path, size, text};

/// Reads the whole file. Every section is read before the first mistake ends it.
pub(super) fn file(root: &mut Section<'_>) -> Result<Config, Noted> {
    let mut addresses = Vec::new();
    let has_tls = root.has("tls");
    let listen = root.section("listen", |section| listen(section, has_tls, &mut addresses));
    let tls = root.section("tls", tls);
    let upstreams = upstreams(root);
    let names = upstreams.iter().flatten().map(|(name, _)| name.as_str()).collect::<Vec<_>>();
    let mut stale = Vec::new();
    let routes = routes(root, &names, &mut stale);
    let upstreams = upstreams.and_then(|upstreams| upstreams.into_iter().map(|(_, upstream)| upstream).collect());
    let upstreams: Result<Vec<_>, Noted> = upstreams;
    let session = root.section("session", |section| session(section, tombstone(&upstreams)));
    let store = root.section("store", super::store::store);
    let kept = kept(root, &store, &stale);
    let admin = root.section("admin", |section| admin(section, &mut addresses));
    let log = root.section("log", log);
    let distinct = distinct(root, &addresses);

    let ((listen, requests), session) = (listen?, session?);
    let limits = Limits {
        max_headers: listen.max_headers,
        max_uri_size: requests.max_uri_size,
        min_body_rate: requests.min_body_rate,
        births: session.births.clone(),
    };
    let prefixed = |(upstream, prefixed): (proxy::upstream::Settings, Vec<_>)| {
        possible(root, &upstream.cookies, &prefixed, (&listen, &session)).map(|()| upstream)
    };
    // Collected twice, so that the first impossible one does not hide the next.
    let upstreams: Vec<_> = upstreams?.into_iter().map(prefixed).collect();
    distinct?;
    kept?;
    Ok(Config {
        tls: tls?.filter(|_| listen.https.is_some()),
        listen,
        keys: session.keys,
        sessions: session.sessions,
        store: store?,
        proxy: proxy::Settings {
            cookie: session.cookie,
            headers: session.headers,
            request_id: requests.request_id,
            forwarded: requests.forwarded,
            limits,
            routes: routes?,
            upstreams: upstreams.into_iter().collect::<Result<_, _>>()?,
        },
        admin: admin?,
        log: log?,
    })
}

const MILLISECOND: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_hours(1);

/// How long an ended ticket must be remembered: longer than any response under it may still be on its way.
fn tombstone<T>(upstreams: &Result<Vec<(proxy::upstream::Settings, T)>, Noted>) -> Duration {
    let longest = upstreams.iter().flatten().map(|(upstream, _)| upstream.response_timeout).max().unwrap_or_default();
    Duration::from_mins(1).max(longest + Duration::from_secs(5))
}

/// What `[listen]` says of requests, which is the path's affair.
struct Requests {
    request_id: Policy,
    forwarded: forwarded::Settings,
    max_uri_size: usize,
    min_body_rate: u64,
}

fn listen(
    section: &mut Section<'_>,
    has_tls: bool,
    addresses: &mut Vec<At<SocketAddr>>,
) -> Result<(listener::Settings, Requests), Noted> {
    let http = section.optional("http", address);
    let https = section.optional("https", address);
    let redirect = section.optional("redirect", flag);
    let workers = section.or("workers", 0, number(0..=1024));
    let max_connections = section.or("max_connections", 10_000, number(1..=1_000_000));
    let handshake_timeout = section.optional("handshake_timeout", duration(MILLISECOND..=HOUR));
    let header_timeout = section.or("header_timeout", Duration::from_secs(8), duration(MILLISECOND..=HOUR));
    let keepalive = section.or("keepalive", Duration::from_mins(1), duration(MILLISECOND..=HOUR));
    let write_timeout = section.or("write_timeout", Duration::from_secs(8), duration(MILLISECOND..=HOUR));
    let min_body_rate = section.or("min_body_rate", 500, size(0..=MIB));
    // hyper takes no read buffer below 8 KiB.
    let max_header_size = section.or("max_header_size", 32 << 10, size(8 << 10..=MIB));
    let drain_timeout = section.or("drain_timeout", Duration::from_secs(30), duration(MILLISECOND..=HOUR));
    let drain_delay = section.or("drain_delay", Duration::ZERO, duration(Duration::ZERO..=HOUR));
    let max_headers = section.or("max_headers", 100, number(1..=10_000));
    // hyper refuses paths and queries of 64 KiB on its own.
    let max_uri_size = section.or("max_uri_size", 8 << 10, size(64..=60 << 10));
    let max_requests = section.or("max_requests", 10_000, number(1..=usize::MAX >> 1));
    let half_close = section.or("half_close", false, flag);
    let words = [("keep", Policy::Keep), ("make", Policy::Make), ("off", Policy::Off)];
    let request_id = section.or("request_id", Policy::Keep, choice(&words));
    let forwarded = forwarded(section);
    for address in [&http, &https].into_iter().flatten() {
        remember(address, addresses);
    }
    let (http, https, redirect) = (http?, https?, redirect?);

    if http.value.is_none() && https.value.is_none() {
        let fault =
            Fault::new(Kind::MissingKey, "nowhere to listen", "http, https or both, such as \"127.0.0.1:8080\"");
        return Err(section.note(section.place(), fault));
    }
    if https.written && !has_tls {
        let fault = Fault::new(Kind::Conflict, "there is no [tls]", "[tls] with certificate and private_key");
        return Err(section.note(&https.place, fault.help("`session-gateway dev-cert` makes both for development")));
    }
    if redirect.value == Some(true) && !https.written {
        let fault = Fault::new(Kind::Conflict, "there is no https to redirect to", "https, or no redirect");
        return Err(section.note(&redirect.place, fault));
    }
    let workers = match workers?.value {
        0 => available_parallelism().map_or(1, std::num::NonZero::get),
        workers => workers,
    };
    let (forwarded, proxy_protocol) = forwarded?;
    let (handshake_timeout, header_timeout) = (handshake_timeout?.value, header_timeout?.value);
    let listen = listener::Settings {
        http: http.value,
        https: https.value,
        redirect: redirect.value.unwrap_or(true) && https.value.is_some(),
        workers,
        max_connections: max_connections?.value,
        // No more than it can have, unless somebody says so.
        handshake_timeout: handshake_timeout.unwrap_or(header_timeout.min(Duration::from_secs(8))),
        proxy_protocol,
        header_timeout,
        keepalive: keepalive?.value,
        write_timeout: write_timeout?.value,
        max_header_size: usize::try_from(max_header_size?.value).unwrap_or(usize::MAX),
        max_headers: max_headers?.value,
        max_requests: max_requests?.value,
        half_close: half_close?.value,
        drain_delay: drain_delay?.value,
        drain_timeout: drain_timeout?.value,
    };
    let requests = Requests {
        request_id: request_id?.value,
        forwarded,
        max_uri_size: bytes(max_uri_size?.value),
        min_body_rate: min_body_rate?.value,
    };
    Ok((listen, requests))
}

/// Who is in front of the gateway.
fn forwarded(section: &mut Section<'_>) -> Result<(forwarded::Settings, Option<Trusted>), Noted> {
    let trusted = section.or("trusted_proxies", Vec::new(), list(0..=1024, text(NETWORK, network)));
    let headers = [("X-Forwarded-For", Header::XForwardedFor), ("Forwarded", Header::Forwarded)];
    let header = section.or("real_ip_header", Header::XForwardedFor, choice(&headers));
    let host = section.or("forwarded_host", false, flag);
    let proxy_protocol = section.or("proxy_protocol", false, flag)?;
    let trusted = Trusted(trusted?.value.into());
    if proxy_protocol.value && trusted.0.is_empty() {
        let fault = Fault::new(Kind::Conflict, "whoever connects could claim any address", "trusted_proxies as well");
        return Err(section.note(&proxy_protocol.place, fault));
    }
    let (announced, header, host) = (proxy_protocol.value, header?.value, host?.value);
    let expected = announced.then(|| trusted.clone());
    Ok((forwarded::Settings { trusted, header, host, announced }, expected))
}

const NETWORK: &str = "an address or a network, such as \"10.0.0.0/8\", \"192.0.2.7\" or \"fd00::/8\"";

fn network(written: &str) -> Result<IpNet, Fault> {
    if let Ok(address) = written.parse::<IpAddr>() {
        return Ok(address.to_canonical().into());
    }
    let network: IpNet = written.parse().map_err(|_| malformed(written, NETWORK))?;
    if network.trunc() != network {
        let help =
            format!("write \"{}\" for the network, or \"{}\" for the one address", network.trunc(), network.addr());
        return Err(malformed(written, NETWORK).help(help));
    }
    // Clients' addresses are canonical: none would be found in IPv4 as IPv6 writes it (RFC 4291 section 2.5.5.2).
    let mapped = network.addr().to_canonical().is_ipv4() && network.addr().is_ipv6();
    let length = network.prefix_len().checked_sub(96).filter(|_| mapped);
    let ipv4 = length.and_then(|length| IpNet::new(network.addr().to_canonical(), length).ok());
    Ok(ipv4.unwrap_or(network))
}

/// Puts an address that is there on the list of those that must differ.
fn remember(address: &At<Option<SocketAddr>>, addresses: &mut Vec<At<SocketAddr>>) {
    let At { value, place, written } = address;
    addresses.extend(value.map(|value| At { value, place: place.clone(), written: *written }));
}

/// `SO_REUSEPORT` would let two listeners share an address, and clients meet either; port 0 is another port each time.
fn distinct(root: &Section<'_>, addresses: &[At<SocketAddr>]) -> Result<(), Noted> {
    let mut result = Ok(());
    for (index, second) in addresses.iter().enumerate() {
        let first = addresses[..index].iter().find(|first| first.value == second.value && first.value.port() != 0);
        if let Some(first) = first {
            let found = format!("the address of {} as well", first.place.key);
            let fault = Fault::new(Kind::Conflict, found, "an address or port of its own");
            result = Err(root.note(&second.place, fault.beside(&first.place, "taken here")));
        }
    }
    result
}

/// A route that wants old sessions needs a place where they are kept.
fn kept(root: &Section<'_>, store: &Result<store::Settings, Noted>, stale: &[Place]) -> Result<(), Noted> {
    let found = match store {
        Ok(store::Settings::Memory(..)) => "sessions in memory cannot be out of reach",
        Ok(store::Settings::Redis(redis)) if redis.near_cache.is_none() => "no session is kept without a near cache",
        Ok(store::Settings::Redis(_)) | Err(_) => return Ok(()),
    };
    let mut result = Ok(());
    for place in stale {
        let fault = Fault::new(Kind::Conflict, found, "\"reject\" or \"anonymous\", or Redis with a near cache");
        result = Err(root.note(place, fault));
    }
    result
}

fn tls(section: &mut Section<'_>) -> Result<Option<tls::Settings>, Noted> {
    let certificate = section.optional("certificate", path);
    let private_key = section.optional("private_key", path);
    let more = section.each("certificates", pair);
    let client = section.section("client", client);
    if !section.is_written() {
        return Ok(None);
    }
    let needed = |section: &Section<'_>, taken: At<Option<_>>, expected: &str| {
        taken.value.ok_or_else(|| section.note(&taken.place, Fault::new(Kind::MissingKey, "missing", expected)))
    };
    let certificate =
        certificate.and_then(|taken| needed(section, taken, "a PEM file: the certificate, then its chain"));
    let private_key = private_key.and_then(|taken| needed(section, taken, "a PEM file: the certificate's private key"));
    // Collected twice, so that the first bad one does not hide the next.
    let more = more?.value.into_iter().collect::<Result<_, _>>();
    Ok(Some(tls::Settings { certificate: certificate?, private_key: private_key?, more: more?, client: client? }))
}

/// Whose certificates clients are asked for.
fn client(section: &mut Section<'_>) -> Result<Option<tls::ClientSettings>, Noted> {
    if !section.is_written() {
        return Ok(None);
    }
    let ca = section.required("ca", "a PEM file: the authorities that sign clients' certificates", path);
    let required = section.or("required", true, flag);
    Ok(Some(tls::ClientSettings { ca: ca?.value, required: required?.value }))
}

/// One more certificate.
fn pair(section: &mut Section<'_>) -> Result<tls::Settings, Noted> {
    let certificate = section.required("certificate", "a PEM file: the certificate, then its chain", path);
    let private_key = section.required("private_key", "a PEM file: the certificate's private key", path);
    Ok(tls::Settings::pair(certificate?.value, private_key?.value))
}

/// No `[admin]`, no admin address.
fn admin(section: &mut Section<'_>, addresses: &mut Vec<At<SocketAddr>>) -> Result<Option<admin::Settings>, Noted> {
    let usual = SocketAddr::from(([127, 0, 0, 1], 9900));
    let listen = section.or("listen", usual, address);
    let token = section.optional("token_file", token);
    if !section.is_written() {
        return Ok(None);
    }
    addresses.extend(listen.clone());
    let (listen, token) = (listen?, token?);
    let settings = admin::Settings { listen: listen.value, token: token.value };
    if !settings.may_be_at(settings.listen) {
        let found = format!("{} can be reached from elsewhere, and there is no token_file", settings.listen);
        let fault = Fault::new(Kind::Conflict, found, "a loopback address, or a token_file");
        return Err(section.note(&listen.place, fault));
    }
    Ok(Some(settings))
}

/// The token in the file that the key names.
fn token(value: &Value<'_>) -> Result<Token, Noted> {
    // It travels in an Authorization header, hence one word of visible ASCII.
    word_in_file(value, "a file that holds the admin token").map(Token)
}

/// The one word of visible ASCII in the file that the key names, a secret: no mistake ever quotes it.
pub(super) fn word_in_file(value: &Value<'_>, expected: &str) -> Result<String, Noted> {
    const LONGEST: usize = 1024;
    let path = path(value)?;
    let wrong = |kind, found: String| value.wrong(Fault::new(kind, found, expected));
    let name = path.display();
    let content = start_of(&path, LONGEST + 2).map_err(|error| wrong(Kind::Unreadable, format!("{name}: {error}")))?;
    let word = content.trim_ascii_end();
    if word.is_empty() {
        return Err(wrong(Kind::Malformed, format!("{name} is empty")));
    }
    match str::from_utf8(word) {
        Ok(text) if word.len() <= LONGEST && word.iter().all(u8::is_ascii_graphic) => Ok(text.to_owned()),
        _ => {
            Err(wrong(Kind::Malformed, format!("{name} is not one word of at most {LONGEST} visible ASCII characters")))
        }
    }
}

/// At most so many bytes of a file: one that never ends must not be waited for.
pub(super) fn start_of(path: &Path, most: usize) -> std::io::Result<Vec<u8>> {
    let mut content = Vec::new();
    let most = u64::try_from(most).unwrap_or(u64::MAX);
    File::open(path)?.take(most).read_to_end(&mut content)?;
    Ok(content)
}

fn log(section: &mut Section<'_>) -> Result<telemetry::Settings, Noted> {
    let level = section.or("level", "info".to_owned(), text("a level, such as \"info\"", level));
    let words = [("text", Access::Text), ("json", Access::Json), ("off", Access::Off)];
    let access = section.or("access", Access::Text, choice(&words));
    Ok(telemetry::Settings { level: level?.value, access: access?.value })
}

/// A filter takes any word for the name of a module, so that "inof" would be a log of nothing: a word is a level.
fn level(written: &str) -> Result<String, Fault> {
    let is_word = !written.contains(['=', ',', '[']);
    let good = if is_word { written.parse::<LevelFilter>().is_ok() } else { EnvFilter::try_new(written).is_ok() };
    if good && !written.is_empty() {
        return Ok(written.to_owned());
    }
    Err(malformed(
        written,
        "error, warn, info, debug, trace or off, or a filter such as \"info,session_gateway=debug\"",
    ))
}
