//! The answer of the clear-text address where everything is served over TLS.

use std::net::Ipv6Addr;

use bytes::Bytes;
use http::header::{HOST, LOCATION};
use http::uri::Authority;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::Empty;

/// 308 to the same place over https, on `https_port`; 400 where the request does not say which host it wants.
///
/// 308 keeps method and body, so that a form posted to the old address is posted again and not lost.
pub fn redirect<B>(request: &Request<B>, https_port: u16) -> Response<Empty<Bytes>> {
    let mut response = Response::new(Empty::new());
    if let Some(location) = location(request, https_port) {
        *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
        response.headers_mut().insert(LOCATION, location);
    } else {
        *response.status_mut() = StatusCode::BAD_REQUEST;
    }
    response
}

fn location<B>(request: &Request<B>, https_port: u16) -> Option<HeaderValue> {
    // `OPTIONS *` and `CONNECT host:port` have no place over https.
    let target = request.uri().path_and_query().map(http::uri::PathAndQuery::as_str)?;
    if !target.starts_with('/') {
        return None;
    }
    let host = host(request)?;
    let location = match https_port {
        443 => format!("https://{host}{target}"),
        port => format!("https://{host}:{port}{target}"),
    };
    HeaderValue::try_from(location).ok()
}

/// The host without its port. An absolute target names it too, and does not disagree; two Hosts are none.
fn host<B>(request: &Request<B>) -> Option<&str> {
    let mut hosts = request.headers().get_all(HOST).iter();
    let line = match (hosts.next(), hosts.next()) {
        (Some(host), None) => Some(host.to_str().ok()?),
        (Some(_), Some(_)) => return None,
        (None, _) => None,
    };
    let target = request.uri().authority().map(Authority::as_str);
    match (target, line) {
        (Some(target), Some(line)) if !target.eq_ignore_ascii_case(line) => None,
        (host, other) => without_port(host.or(other)?),
    }
}

/// What comes back goes into `Location`, so only what a host can be made of passes: no userinfo, no comma, no path.
fn without_port(authority: &str) -> Option<&str> {
    let end = match authority.strip_prefix('[') {
        Some(rest) => {
            let (address, _) = rest.split_once(']')?;
            address.parse::<Ipv6Addr>().ok()?;
            address.len() + 2
        }
        None => authority.find(':').unwrap_or(authority.len()),
    };
    let (host, port) = authority.split_at(end);
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    let good_host = host.starts_with('[') || (!host.is_empty() && host.bytes().all(is_name));
    let good_port =
        port.is_empty() || port.strip_prefix(':').is_some_and(|port| port.bytes().all(|b| b.is_ascii_digit()));
    (good_host && good_port).then_some(host)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn answer(target: &str, hosts: &[&str], https_port: u16) -> Result<String, u16> {
        let mut request = Request::get(target);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        let response = redirect(&request.body(()).unwrap(), https_port);
        match response.headers().get(LOCATION) {
            Some(location) if response.status() == 308 => Ok(location.to_str().unwrap().to_owned()),
            _ => Err(response.status().as_u16()),
        }
    }

    #[test]
    fn redirect_goes_to_the_same_place_over_https() {
        for (target, host, port, expected) in [
            ("/", "app.example", 443, "https://app.example/"),
            ("/a/b?c=d&e", "app.example", 443, "https://app.example/a/b?c=d&e"),
            ("/", "app.example:8080", 8443, "https://app.example:8443/"),
            ("/", "app.example:8080", 443, "https://app.example/"),
            ("/", "127.0.0.1:8080", 8443, "https://127.0.0.1:8443/"),
            ("/", "[::1]:8080", 8443, "https://[::1]:8443/"),
            ("/", "[::1]", 443, "https://[::1]/"),
            ("/", "my_app.local", 443, "https://my_app.local/"),
            ("//evil.example/", "app.example", 443, "https://app.example//evil.example/"),
            ("http://app.example:81/x", "APP.example:81", 443, "https://app.example/x"),
        ] {
            assert_eq!(answer(target, &[host], port), Ok(expected.to_owned()), "{target} {host} {port}");
        }
    }

    #[test]
    fn redirect_refuses_what_names_no_host() {
        for hosts in [
            &[][..],
            &[""],
            &["a.example", "b.example"],
            &["user@a.example"],
            &["a.example/path"],
            &["a.example, b.example"],
            &["a.example:80:80"],
            &["a.example:x"],
            &["a b"],
            &["[::1"],
            &["[::g]"],
            &["[::1]x"],
            &["a.example\\"],
            &[":8080"],
        ] {
            assert_eq!(answer("/", hosts, 443), Err(400), "{hosts:?}");
        }
        assert_eq!(answer("*", &["a.example"], 443), Err(400));
        assert_eq!(answer("http://user@a.example/", &["a.example"], 443), Err(400));
        assert_eq!(answer("http://evil.example/", &["a.example"], 443), Err(400));
        assert_eq!(answer("http://a.example/", &["a.example", "a.example"], 443), Err(400));
    }
}
