//! The answer of the clear-text address where everything is served over TLS.

use bytes::Bytes;
use http::header::LOCATION;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::Empty;

use crate::proxy::host;

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
    let host = host::name_in(request)?;
    let location = match https_port {
        443 => format!("https://{host}{target}"),
        port => format!("https://{host}:{port}{target}"),
    };
    HeaderValue::try_from(location).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use http::header::HOST;

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
        assert_eq!(answer("http://a.example/", &[], 443), Err(400), "HTTP/1.1 says it in any case");
    }
}
