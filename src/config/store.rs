//! `[store]`: where sessions are kept.

use std::net::Ipv6Addr;
use std::time::Duration;

use percent_encoding::percent_decode_str;

use crate::store::redis::{Address, Password, Servers};
use crate::store::{self, Settings, file, memory, near_cache};

use super::file::word_in_file;
use super::host;
use super::mistake::{Fault, Kind};
use super::reader::Noted;
use super::section::{Section, written};
use super::value::{Value, choice, duration, flag, malformed, number, path, size, text};

const DAY: Duration = Duration::from_hours(24);

/// The kinds of stores there are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    Memory,
    Redis,
}

/// Reads the section. Keys of the other kind are read, too: what is wrong with them is no less wrong.
pub(super) fn store(section: &mut Section<'_>) -> Result<Settings, Noted> {
    let kind = section.or("kind", Which::Memory, choice(&[("memory", Which::Memory), ("redis", Which::Redis)]));
    let max_sessions = section.or("max_sessions", 1_000_000, number(1..=1_000_000_000));
    let max_bytes = section.or("max_bytes", 1 << 30, size(64 << 10..=1 << 50));
    let file = section.optional("file", path);
    let sync =
        section.or("sync", Duration::from_secs(1), duration(Duration::from_millis(100)..=Duration::from_mins(1)));
    let url = section.optional("url", text(URL, url));
    let password_file = section.optional("password_file", password);
    let ca = section.optional("ca", path);
    let key_prefix = section.or("key_prefix", "sgw".to_owned(), text("a prefix, such as \"sgw\"", prefix));
    let near_cache = section.or("near_cache", true, flag);
    let near_cache_size = section.or("near_cache_size", 64 << 20, size(64 << 10..=1 << 40));
    let max_stale = section.or("max_stale", Duration::from_mins(5), duration(Duration::from_secs(1)..=DAY));
    let (shortest, longest) = (Duration::from_millis(1), Duration::from_mins(1));
    let timeout = section.or("timeout", Duration::from_millis(250), duration(shortest..=longest));
    let connect_timeout = section.or("connect_timeout", Duration::from_secs(1), duration(shortest..=longest));

    let of_memory = [written(&max_sessions), written(&max_bytes), written(&file), written(&sync)];
    let of_redis = [
        written(&url),
        written(&password_file),
        written(&ca),
        written(&key_prefix),
        written(&near_cache),
        written(&near_cache_size),
        written(&max_stale),
        written(&timeout),
        written(&connect_timeout),
    ];
    let kind = kind?;
    let (foreign, its_kind) =
        if kind.value == Which::Memory { (&of_redis[..], "redis") } else { (&of_memory[..], "memory") };
    let mut only_its_own = Ok(());
    for place in foreign.iter().flatten() {
        let fault = Fault::new(Kind::Conflict, format!("it is for another kind: {its_kind}"), "a key of this kind");
        only_its_own = Err(section.note(place, fault.beside(&kind.place, "the kind")));
    }
    if kind.value == Which::Memory {
        let bounds = memory::Settings { max_sessions: max_sessions?.value, max_bytes: max_bytes?.value };
        let (path, sync) = (file?.value, sync?.value);
        let file = path.map(|path| file::Settings { path, sync });
        return only_its_own.map(|()| Settings::Memory(bounds, file));
    }

    let (url, password_file, ca) = (url?, password_file?, ca?);
    let Some(Url { servers, tls, user, password, database }) = url.value else {
        return Err(section.note(&url.place, Fault::new(Kind::MissingKey, "missing", URL)));
    };
    if password.is_some() && password_file.written {
        let fault = Fault::new(Kind::Conflict, "the url has a password, too", "one password");
        return Err(section.note(&password_file.place, fault.beside(&url.place, "the url")));
    }
    if user.is_some() && password.is_none() && !password_file.written {
        let fault = Fault::new(Kind::Conflict, "it has a user and no password", "a password, or a password_file");
        return Err(section.note(&url.place, fault));
    }
    if ca.written && !tls {
        let fault = Fault::new(Kind::Conflict, "the url is not one of TLS", "a url that begins with rediss://");
        return Err(section.note(&ca.place, fault.beside(&url.place, "the url")));
    }
    let near_cache = near_cache?;
    for place in [written(&near_cache_size), written(&max_stale)].into_iter().flatten().filter(|_| !near_cache.value) {
        let fault = Fault::new(Kind::Conflict, "there is no near cache", "near_cache = true, or neither");
        only_its_own = Err(section.note(&place, fault.beside(&near_cache.place, "switched off")));
    }
    let kept = near_cache::Settings { max_bytes: near_cache_size?.value, max_stale: max_stale?.value };
    let near_cache = near_cache.value.then_some(kept);
    let settings = store::redis::Settings {
        servers,
        tls,
        ca: ca.value,
        user,
        password: password_file.value.or(password),
        database,
        key_prefix: key_prefix?.value,
        near_cache,
        timeout: timeout?.value,
        connect_timeout: connect_timeout?.value,
    };
    only_its_own.map(|()| Settings::Redis(settings))
}

fn password(value: &Value<'_>) -> Result<Password, Noted> {
    word_in_file(value, "a file that holds Redis' password").map(Password)
}

/// What keys begin with. Braces would send every key of a cluster to one server.
fn prefix(written: &str) -> Result<String, Fault> {
    let good = |each: u8| each.is_ascii_alphanumeric() || b"-_.:".contains(&each);
    if (1..=64).contains(&written.len()) && written.bytes().all(good) {
        return Ok(written.to_owned());
    }
    Err(malformed(written, "up to 64 letters, digits, `-`, `_`, `.` and `:`"))
}

const URL: &str = "a URL: \"redis://host:port/database\", \"redis+sentinel://host,host/master/database\" or \
                   \"redis+cluster://host,host\", with rediss for TLS";

/// What a URL says.
struct Url {
    servers: Servers,
    tls: bool,
    user: Option<String>,
    password: Option<Password>,
    database: u32,
}

/// `redis://USER:PASSWORD@HOST:PORT/DATABASE`, of which only the host must be there; with several hosts
/// `redis+sentinel://…@HOST:PORT,HOST:PORT/MASTER/DATABASE` and `redis+cluster://…@HOST:PORT,HOST:PORT`. No mistake
/// quotes any of it.
fn url(written: &str) -> Result<Url, Fault> {
    let (scheme, rest) = written.split_once("://").ok_or_else(|| wrong("not a URL"))?;
    let (scheme, kind) = scheme.split_once('+').map_or((scheme, None), |(scheme, kind)| (scheme, Some(kind)));
    let tls = match scheme {
        "redis" => false,
        "rediss" => true,
        _ => return Err(wrong("a URL of another kind")),
    };
    let (login, place) = rest.rsplit_once('@').map_or((None, rest), |(login, place)| (Some(login), place));
    let (user, password) = login.map_or((None, None), |login| match login.split_once(':') {
        Some((user, password)) => (Some(user), Some(password)),
        None => (Some(login), None),
    });
    let (hosts, path) = place.split_once('/').unwrap_or((place, ""));
    let (servers, database) = servers(kind, hosts, path)?;
    let database = if database.is_empty() { "0" } else { database };
    let is_number = database.bytes().all(|each| each.is_ascii_digit());
    let database = database.parse().ok().filter(|_| is_number).ok_or_else(|| wrong("its database is not a number"))?;
    if database != 0 && matches!(servers, Servers::Cluster(_)) {
        return Err(Fault::new(Kind::Conflict, "a cluster has one database", "no database, or 0"));
    }
    Ok(Url { servers, tls, user: decoded(user)?, password: decoded(password)?.map(Password), database })
}

fn wrong(found: &str) -> Fault {
    Fault::new(Kind::Malformed, found, URL)
}

/// The servers, and what of the path is the database.
fn servers<'u>(kind: Option<&str>, hosts: &str, path: &'u str) -> Result<(Servers, &'u str), Fault> {
    let several = |usual_port| {
        let hosts: Vec<&str> = hosts.split(',').collect();
        let good: Option<Vec<Address>> = hosts.iter().map(|host| address(host, usual_port)).collect();
        good.filter(|good| good.len() <= MOST_HOSTS).ok_or_else(|| wrong("one of its hosts or ports is not valid"))
    };
    match kind {
        None => {
            let address = address(hosts, 6379).ok_or_else(|| wrong("its host or port is not valid"))?;
            Ok((Servers::One(address), path))
        }
        Some("sentinel") => {
            let (master, database) = path.split_once('/').unwrap_or((path, ""));
            let name = decoded(Some(master))?.ok_or_else(|| wrong("it does not say which master"))?;
            Ok((Servers::Sentinels { sentinels: several(26_379)?, master: name }, database))
        }
        Some("cluster") => Ok((Servers::Cluster(several(6379)?), path)),
        Some(_) => Err(wrong("a URL of another kind")),
    }
}

/// More than are ever asked for the others.
const MOST_HOSTS: usize = 64;

/// A part of the URL that may have `%` escapes; nothing where it is empty.
fn decoded(part: Option<&str>) -> Result<Option<String>, Fault> {
    let Some(part) = part.filter(|part| !part.is_empty()) else { return Ok(None) };
    let text = percent_decode_str(part).decode_utf8();
    text.map(|text| Some(text.into_owned())).map_err(|_| wrong("a part of it is not UTF-8"))
}

/// `host`, `host:port` or `[address]:port`.
fn address(authority: &str, usual_port: u16) -> Option<Address> {
    let after_brackets = authority.find(']').map_or(0, |end| end + 1);
    let (host, port) = match authority.get(after_brackets..)?.find(':') {
        Some(colon) => (&authority[..after_brackets + colon], &authority[after_brackets + colon + 1..]),
        None => (authority, ""),
    };
    let port = match port {
        "" if !authority.ends_with(':') => usual_port,
        digits if digits.bytes().all(|each| each.is_ascii_digit()) => digits.parse().ok().filter(|port| *port > 0)?,
        _ => return None,
    };
    let host = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => address.parse::<Ipv6Addr>().ok()?.to_string(),
        None => host::name(host).ok()?,
    };
    Some(Address { host, port })
}
