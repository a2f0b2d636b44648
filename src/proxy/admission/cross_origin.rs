//! Whether a request was made by another site's page, as the browser itself says.
//!
//! No token is needed for it: browsers say in `Sec-Fetch-Site` (Fetch Metadata) and `Origin` (RFC 6454 section 7, Fetch
//! section 3.2) who asks, and no page can forge that. What says neither was sent by no browser of the last years, and
//! nobody can make it send somebody else's cookie.

use http::header::{HeaderValue, ORIGIN};

use super::Request;
use crate::proxy::Scheme;
use crate::proxy::headers::SEC_FETCH_SITE;

/// What becomes of a request that may change something in a session, and comes from another origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrossOrigin {
    /// Nobody looks.
    Off,
    /// It is counted, logged, and passed on.
    Report,
    /// It is refused.
    Enforce,
}

/// An origin that may ask as the site itself does: `https://app.example.com`, with its port unless it is the scheme's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(Box<str>);

impl Origin {
    /// An origin as browsers write it, without a path; `None` where it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let (scheme, authority) = parts(text)?;
        let (name, port) = port_of(authority, scheme)?;
        let brackets = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
        let is_name = match brackets {
            Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
            None => !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)),
        };
        let suffix = if port == default_port(scheme) { String::new() } else { format!(":{port}") };
        is_name.then(|| Self(format!("{scheme}://{}{suffix}", name.to_ascii_lowercase()).into()))
    }
}

/// Who asks, where it is neither the site itself nor a `trusted` origin; for logs.
pub(super) fn foreign<'a>(request: &Request<'a>, trusted: &[Origin]) -> Option<&'a str> {
    let headers = &request.head.headers;
    let (mut sites, mut origins) = (headers.get_all(SEC_FETCH_SITE).iter(), headers.get_all(ORIGIN).iter());
    let (site, origin) = (sites.next(), origins.next());
    // No browser says a thing twice.
    if sites.next().is_some() || origins.next().is_some() {
        return Some("said more than once");
    }
    let text = origin.map(|origin| origin.to_str().unwrap_or("unreadable"));
    match site.map(HeaderValue::as_bytes) {
        // `none`: nobody's page, but the user, by a bookmark or the address bar.
        Some(b"same-origin" | b"none") => return None,
        None if text.is_none_or(|origin| is_own(origin, request)) => return None,
        _ => {}
    }
    let text = text.unwrap_or("unknown");
    (!trusted.iter().any(|trusted| *trusted.0 == *text)).then_some(text)
}

/// Whether an origin is where the request went. A gateway behind something that ends TLS does not know what scheme the
/// browser used; one that ends it does, and takes no page that came in clear for its own.
fn is_own(origin: &str, request: &Request<'_>) -> bool {
    let Some((scheme, authority)) = parts(origin) else { return false };
    let Ok(host) = std::str::from_utf8(request.host) else { return false };
    let same = |one: (&str, u16), other: (&str, u16)| one.0.eq_ignore_ascii_case(other.0) && one.1 == other.1;
    (request.client.scheme == Scheme::Http || scheme == "https")
        && port_of(authority, scheme).zip(port_of(host, scheme)).is_some_and(|(one, other)| same(one, other))
}

fn parts(origin: &str) -> Option<(&str, &str)> {
    origin.split_once("://").filter(|(scheme, _)| matches!(*scheme, "http" | "https"))
}

/// Name and port of `name [":" port]`.
fn port_of<'a>(authority: &'a str, scheme: &str) -> Option<(&'a str, u16)> {
    match authority.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')) {
        Some((name, port)) => Some((name, port.parse().ok()?)),
        None => Some((authority, default_port(scheme))),
    }
}

fn default_port(scheme: &str) -> u16 {
    if scheme == "https" { 443 } else { 80 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::Client;

    fn asked_by(scheme: Scheme, host: &str, lines: &[(&str, &str)], trusted: &[&str]) -> bool {
        let request = lines.iter().fold(http::Request::builder(), |all, (name, value)| all.header(*name, *value));
        let (head, ()) = request.body(()).unwrap().into_parts();
        let client = Client::new(([192, 0, 2, 1], 1).into(), scheme);
        let request = Request { head: &head, host: host.as_bytes(), client: &client, for_websocket: false };
        let trusted: Vec<_> = trusted.iter().map(|origin| Origin::parse(origin).unwrap()).collect();
        foreign(&request, &trusted).is_some()
    }

    #[test]
    fn a_browser_says_who_asks() {
        let https = |lines: &[(&str, &str)]| asked_by(Scheme::Https, "a.example", lines, &["https://app.example:8443"]);
        let (site, origin) = ("sec-fetch-site", "origin");
        for lines in [
            &[][..],
            &[(site, "same-origin")],
            &[(site, "none")],
            &[(site, "same-origin"), (origin, "null")],
            &[(origin, "https://a.example")],
            &[(origin, "https://A.Example:443")],
            &[(site, "cross-site"), (origin, "https://app.example:8443")],
            &[(origin, "https://app.example:8443")],
        ] {
            assert!(!https(lines), "{lines:?}");
        }
        for lines in [
            &[(site, "cross-site")][..],
            &[(site, "same-site")],
            &[(site, "made-up")],
            &[(site, "")],
            &[(site, "same-site"), (origin, "https://a.example")],
            &[(site, "cross-site"), (origin, "https://evil.example")],
            &[(site, "same-origin"), (site, "same-origin")],
            &[(origin, "https://a.example"), (origin, "https://a.example")],
            &[(origin, "null")],
            &[(origin, "")],
            &[(origin, "https://evil.example")],
            &[(origin, "https://a.example.evil.example")],
            &[(origin, "https://a.example:8443")],
            &[(origin, "http://a.example")],
            &[(origin, "http://app.example:8443")],
            &[(origin, "https://app.example:84430")],
            &[(origin, "https://app.example")],
            &[(origin, "ftp://a.example")],
            &[(origin, "a.example")],
        ] {
            assert!(https(lines), "{lines:?}");
        }
    }

    #[test]
    fn behind_what_ends_tls_either_scheme_is_the_sites_own() {
        for (host, origin, foreign) in [
            ("a.example", "https://a.example", false),
            ("a.example", "http://a.example", false),
            ("a.example:8443", "https://a.example:8443", false),
            ("a.example:8443", "https://a.example", true),
            ("[::1]:8080", "http://[::1]:8080", false),
            ("[::1]", "http://[::1]", false),
            ("[::1]", "http://[::2]", true),
        ] {
            assert_eq!(asked_by(Scheme::Http, host, &[("origin", origin)], &[]), foreign, "{host} {origin}");
        }
    }

    #[test]
    fn an_origin_is_a_scheme_and_a_host() {
        let parsed = |text| Origin::parse(text).map(|origin| origin.0.into_string());
        for (text, origin) in [
            ("https://App.example", "https://app.example"),
            ("https://app.example:443", "https://app.example"),
            ("http://app.example:443", "http://app.example:443"),
            ("https://[2001:db8::1]:8443", "https://[2001:db8::1]:8443"),
        ] {
            assert_eq!(parsed(text).as_deref(), Some(origin), "{text}");
        }
        for text in [
            "app.example",
            "https://",
            "https://app.example/",
            "https://a b",
            "https://*.example",
            "ws://app.example",
            "https://app.example:x",
            "https://user@app.example",
            "https://[::1",
            "null",
        ] {
            assert_eq!(parsed(text), None, "{text}");
        }
    }
}
