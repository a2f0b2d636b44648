//! `[[route]]`: which requests go where, and what is asked of them.

use std::collections::BTreeMap;

use crate::proxy::admission::{CrossOrigin, Login, LoginUrl, Origin};
use crate::proxy::route::{self, OnStoreFailure, Table};

use super::host;
use super::mistake::{Fault, Kind, Place};
use super::nearest::nearest;
use super::reader::Noted;
use super::section::{At, Section, Taken, one_of};
use super::value::{Value, choice, flag, list, malformed, size, text};

/// Reads every `[[route]]`; each names one of the upstreams. `stale` gets the places of those that want old sessions.
pub(super) fn routes(
    root: &mut Section<'_>,
    upstreams: &[&str],
    stale: &mut Vec<Place>,
) -> Result<Vec<route::Settings>, Noted> {
    let mut seen = BTreeMap::new();
    let mut logins = Vec::new();
    let routes = root.each("route", |section| route(section, upstreams, &mut seen, stale, &mut logins))?;
    if routes.value.is_empty() {
        let place = Place { key: "route".to_owned(), span: None };
        return Err(root.note(&place, Fault::new(Kind::MissingKey, "missing", "[[route]], with its upstream")));
    }
    let routes = routes.value.into_iter().collect::<Result<Vec<_>, _>>()?;
    reachable(root, &routes, &logins)?;
    Ok(routes)
}

type Seen = BTreeMap<(Option<String>, String), Place>;

fn route(
    section: &mut Section<'_>,
    upstreams: &[&str],
    seen: &mut Seen,
    stale: &mut Vec<Place>,
    logins: &mut Vec<(Option<String>, At<LoginUrl>)>,
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
    let required = section.or("require_user", false, flag);
    let login_url = section.optional("login_url", text(LOGIN_URL, login_url));
    let words = [("off", CrossOrigin::Off), ("report", CrossOrigin::Report), ("enforce", CrossOrigin::Enforce)];
    let csrf = section.or("csrf", CrossOrigin::Report, choice(&words));
    let trusted_origins = section.or("trusted_origins", Vec::new(), list(1..=64, text(ORIGIN, origin)));
    let max_body_size = section.optional("max_body_size", size(0..=u64::MAX >> 1));
    let csrf = possible(section, &session, &csrf);
    let require_user = require_user(section, &session, required, &on_store_failure, &login_url);
    let (host, path) = (host?.value, path?.value);
    if let Ok(At { value: Some(url), place, written }) = login_url {
        logins.push((host.clone(), At { value: url, place, written }));
    }

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
        require_user: require_user?,
        csrf: csrf?,
        trusted_origins: trusted_origins?.value,
        max_body_size: max_body_size?.value,
    })
}

const LOGIN_URL: &str = "a path here, such as \"/login\", or a URL elsewhere, without `#`";
const ORIGIN: &str = "an origin as browsers write it, such as \"https://app.example.com\"";

fn login_url(written: &str) -> Result<LoginUrl, Fault> {
    LoginUrl::parse(written).ok_or_else(|| malformed(written, LOGIN_URL))
}

fn origin(written: &str) -> Result<Origin, Fault> {
    Origin::parse(written).ok_or_else(|| malformed(written, ORIGIN))
}

/// What is enforced must be able to hold.
fn possible(section: &Section<'_>, session: &Taken<bool>, csrf: &Taken<CrossOrigin>) -> Result<CrossOrigin, Noted> {
    match (session, csrf) {
        (Ok(At { value: false, .. }), Ok(At { value: CrossOrigin::Enforce, place, .. })) => {
            let fault = Fault::new(Kind::Conflict, "there is nothing to protect without sessions", "session = true");
            Err(section.note(place, fault))
        }
        (_, csrf) => csrf.as_ref().map(|csrf| csrf.value).map_err(|noted| *noted),
    }
}

fn require_user(
    section: &Section<'_>,
    session: &Taken<bool>,
    required: Taken<bool>,
    on_store_failure: &Taken<OnStoreFailure>,
    login_url: &Taken<Option<LoginUrl>>,
) -> Result<Option<Login>, Noted> {
    let (required, login_url) = (required?, login_url.as_ref().map_err(|noted| *noted)?);
    if !required.value {
        if login_url.written {
            let fault = Fault::new(Kind::Conflict, "nobody is sent there", "require_user = true, or no login_url");
            return Err(section.note(&login_url.place, fault));
        }
        return Ok(None);
    }
    if session.as_ref().is_ok_and(|session| !session.value) {
        let fault = Fault::new(Kind::Conflict, "nobody is known without a session", "session = true");
        return Err(section.note(&required.place, fault));
    }
    if on_store_failure.as_ref().is_ok_and(|on| on.value == OnStoreFailure::Anonymous) {
        let found = "everybody would have to log in again while the store is down";
        let fault = Fault::new(Kind::Conflict, found, "on_store_failure = \"reject\" or \"stale\"");
        return Err(section.note(&required.place, fault));
    }
    Ok(Some(Login { url: login_url.value.clone() }))
}

/// A login page that is for users alone would lead to itself for ever.
fn reachable(
    root: &Section<'_>,
    routes: &[route::Settings],
    logins: &[(Option<String>, At<LoginUrl>)],
) -> Result<(), Noted> {
    let table = Table::new(routes);
    let mut result = Ok(());
    for (host, At { value: url, place, .. }) in logins {
        // Any host below a wildcard will do: what is asked for is that of the page which sends there.
        let host = host.as_deref().unwrap_or_default().replace('*', "any");
        let found = url.path().and_then(|path| table.find(&host, path).ok()?);
        if found.is_some_and(|(_, route)| route.require_user.is_some()) {
            let fault = Fault::new(Kind::Conflict, "is on a route that requires a user itself", "a page for everybody");
            result = Err(root.note(place, fault.help("give the login page a [[route]] of its own")));
        }
    }
    result
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
    // RFC 3986 section 3.3, `pchar` without percent-encoding, and without what ends a segment where routes are looked
    // for.
    let plain = |each: u8| each.is_ascii_alphanumeric() || b"-._~!$&'()*+,=:@/".contains(&each);
    if !written.starts_with('/') {
        return fault("a path that starts with `/`");
    }
    if written.contains(['?', '#']) {
        return fault("a path without `?` and `#`");
    }
    if !written.bytes().all(plain) {
        return fault("a path of letters, digits and -._~!$&'()*+,=:@ between its slashes, without `%` and `;`");
    }
    if written.contains("//") || written.split('/').any(|segment| segment == "." || segment == "..") {
        return fault("a path without `//`, `/./` and `/../`");
    }
    if written.len() > 1024 {
        return fault("a path of at most 1024 bytes");
    }
    Ok(written.to_owned())
}
