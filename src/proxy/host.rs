//! Which host a request is for.

use http::header::{HOST, HeaderValue};
use http::uri::Scheme;
use http::{HeaderMap, Request, Uri, Version, request};

use super::Client;
use super::error::Error;

/// The one host a request is for, as it goes upstream in `Host`: what a proxy in front was asked for, where it is
/// believed, and else what the request names.
pub(super) fn of<'a>(head: &'a request::Parts, client: &'a Client) -> Result<&'a [u8], Error> {
    let named = named(&head.uri, &head.headers, head.version)?;
    let host = client.host.as_ref().map_or(named, HeaderValue::as_bytes);
    if is_host(host) { Ok(host) } else { Err(Error::Host) }
}

/// The one host that a request names. An HTTP/2 request names it in `:authority`, an absolute-form request in its
/// target (RFC 9112 section 3.2.2); `Host` may repeat it and not disagree.
fn named<'a>(uri: &'a Uri, headers: &'a HeaderMap, version: Version) -> Result<&'a [u8], Error> {
    let mut lines = headers.get_all(HOST).iter().map(HeaderValue::as_bytes);
    let (line, again) = (lines.next(), lines.next());
    if again.is_some() {
        return Err(Error::Host);
    }
    // RFC 9112 section 3.2: whatever the form of its target.
    if line.is_none() && version == Version::HTTP_11 {
        return Err(Error::Host);
    }
    if uri.scheme().is_some_and(|scheme| *scheme != Scheme::HTTP && *scheme != Scheme::HTTPS) {
        return Err(Error::Host);
    }
    let authority = uri.authority().map(|authority| authority.as_str().as_bytes());
    match (authority, line) {
        (Some(authority), Some(line)) if !line.eq_ignore_ascii_case(authority) => Err(Error::Host),
        (Some(host), _) | (None, Some(host)) => Ok(host),
        (None, None) => Err(Error::Host),
    }
}

/// The name in what a request names, without its port, where that is a host.
pub fn name_in<B>(request: &Request<B>) -> Option<&str> {
    let host = named(request.uri(), request.headers(), request.version()).ok()?;
    is_host(host).then(|| without_port(host))
}

/// `host [":" port]` of RFC 3986 section 3.2, without the forms that servers read differently: user information,
/// percent encodings, anything that is no letter, digit, `-`, `_` or `.`, or an address in brackets.
fn is_host(host: &[u8]) -> bool {
    let (name, port) = split(host);
    let name_fits = match name {
        [b'[', address @ .., b']'] => {
            !address.is_empty() && address.iter().all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.'))
        }
        name => {
            !name.is_empty()
                && name.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
        }
    };
    let digits = |port: &[u8]| port.len() <= 5 && port.iter().all(u8::is_ascii_digit);
    name_fits && port.is_none_or(digits)
}

/// The host alone, as routes know it.
pub(super) fn without_port(host: &[u8]) -> &str {
    std::str::from_utf8(split(host).0).unwrap_or_default()
}

fn split(host: &[u8]) -> (&[u8], Option<&[u8]>) {
    // An address in brackets has colons of its own.
    let name_ends = if host.starts_with(b"[") { host.iter().rposition(|byte| *byte == b']').unwrap_or(0) } else { 0 };
    match host[name_ends..].iter().position(|byte| *byte == b':') {
        Some(colon) => (&host[..name_ends + colon], Some(&host[name_ends + colon + 1..])),
        None => (host, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(version: Version, target: &str, hosts: &[&str]) -> Option<String> {
        let mut request = http::Request::builder().version(version).uri(target);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        let client = Client::new(([192, 0, 2, 1], 1).into(), crate::proxy::Scheme::Http);
        of(&head, &client).ok().map(|host| String::from_utf8_lossy(host).into_owned())
    }

    #[test]
    fn a_request_names_one_host() {
        const ONE: Version = Version::HTTP_11;
        for (version, target, hosts, expected) in [
            (ONE, "/", &["a.example:8443"][..], Some("a.example:8443")),
            (ONE, "/", &["[::1]:80"], Some("[::1]:80")),
            (ONE, "http://b.example/x", &[], None),
            (Version::HTTP_2, "http://b.example/x", &[], Some("b.example")),
            (Version::HTTP_10, "http://b.example/x", &[], Some("b.example")),
            (ONE, "http://b.example/x", &["B.example"], Some("b.example")),
            (ONE, "http://b.example/x", &["a.example"], None),
            (ONE, "ftp://b.example/x", &["b.example"], None),
            (ONE, "/", &[], None),
            (ONE, "/", &["a", "a"], None),
        ] {
            assert_eq!(taken(version, target, hosts).as_deref(), expected, "{version:?} {target} {hosts:?}");
        }
    }

    #[test]
    fn what_servers_read_differently_is_no_host() {
        for host in
            ["", "user@a", "a/b", "a,b", "a b", "a:b", "a:1:2", "[::1", "::1", "[]", "a:123456", "%61", "a\u{e9}"]
        {
            assert!(!is_host(host.as_bytes()), "{host}");
        }
    }

    #[test]
    fn routes_know_the_host_without_its_port() {
        for (host, name) in [("a:1", "a"), ("a", "a"), ("[::1]:1", "[::1]"), ("[::1]", "[::1]")] {
            assert_eq!(without_port(host.as_bytes()), name);
        }
    }
}
