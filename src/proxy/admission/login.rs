//! Where somebody goes who has to log in.

use http::header::{ACCEPT, HeaderValue};
use http::{HeaderMap, Method};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::Request;
use crate::proxy::Scheme;
use crate::proxy::headers::SEC_FETCH_MODE;

/// What is left as it is in a parameter: all that RFC 3986 calls unreserved, and the slash (section 3.4).
const AS_IT_IS: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// That a user is required, and where one comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Login {
    /// The page to log in on; nobody is sent anywhere where there is none.
    pub url: Option<LoginUrl>,
}

/// The page to log in on: a path here, or a URL elsewhere. It is visible ASCII, and has no fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginUrl(Box<str>);

impl LoginUrl {
    /// A path that starts with one slash, or an `http` or `https` URL; `None` where it is neither.
    pub fn parse(text: &str) -> Option<Self> {
        let is_path = text.starts_with('/') && !text.starts_with("//") && !text.starts_with("/\\");
        let is_url = ["https://", "http://"].iter().any(|scheme| text.len() > scheme.len() && text.starts_with(scheme));
        let is_sendable = text.bytes().all(|byte| byte.is_ascii_graphic() && !b"#\"<>\\^`{|}".contains(&byte));
        ((is_path || is_url) && is_sendable).then(|| Self(text.into()))
    }

    /// Its path, where it is one here.
    pub fn path(&self) -> Option<&str> {
        self.0.starts_with('/').then(|| self.0.split('?').next().unwrap_or_default())
    }
}

impl Login {
    /// Where the sender of this request is sent, if there is a place: a browser that would show the page. What a script
    /// fetches is better told by a status that it must log in.
    pub(super) fn location(&self, request: &Request<'_>) -> Option<HeaderValue> {
        let url = self.url.as_ref().filter(|_| shows_a_page(&request.head.method, &request.head.headers))?;
        let mut location = url.0.to_string();
        if let Some(back) = way_back(request, url.path().is_some()) {
            location.push(if location.contains('?') { '&' } else { '?' });
            location.push_str("next=");
            location.extend(utf8_percent_encode(&back, AS_IT_IS));
        }
        HeaderValue::try_from(location).ok()
    }
}

/// Whether a browser would show the answer as a page (Fetch Metadata; older ones ask for one in `Accept`).
fn shows_a_page(method: &Method, headers: &HeaderMap) -> bool {
    if let Some(mode) = headers.get(SEC_FETCH_MODE) {
        return mode == "navigate";
    }
    let asks = |value: &HeaderValue| memchr::memmem::find(value.as_bytes(), b"text/html").is_some();
    is_read(method) && headers.get_all(ACCEPT).iter().any(asks)
}

/// Where to go after the login: back to the page that was asked for. A form that was sent is not sent again by it. For
/// a login page elsewhere it is a whole URL.
fn way_back(request: &Request<'_>, is_here: bool) -> Option<String> {
    let target = request.head.uri.path_and_query()?.as_str();
    // What follows two slashes, or one and a backslash, is a host to browsers: an application that goes to wherever
    // `next` says would send the user to it.
    let is_here_too = target.starts_with('/') && !target[1..].starts_with(['/', '\\']);
    if !is_read(&request.head.method) || !is_here_too {
        return None;
    }
    if is_here {
        return Some(target.to_owned());
    }
    let scheme = if request.client.scheme == Scheme::Https { "https" } else { "http" };
    Some(format!("{scheme}://{}{target}", std::str::from_utf8(request.host).ok()?))
}

fn is_read(method: &Method) -> bool {
    *method == Method::GET || *method == Method::HEAD
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::Client;

    fn location(url: &str, method: &str, target: &str, lines: &[(&str, &str)]) -> Option<String> {
        let request = http::Request::builder().method(method).uri(target);
        let request = lines.iter().fold(request, |all, (name, value)| all.header(*name, *value));
        let (head, ()) = request.body(()).unwrap().into_parts();
        let client = Client::new(([192, 0, 2, 1], 1).into(), Scheme::Https);
        let request = Request { head: &head, host: b"a.example", client: &client, for_websocket: false };
        let location = Login { url: LoginUrl::parse(url) }.location(&request)?;
        Some(location.to_str().unwrap().to_owned())
    }

    const PAGE: &[(&str, &str)] = &[("sec-fetch-mode", "navigate")];

    #[test]
    fn a_page_leads_to_the_login_and_back() {
        for (url, target, expected) in [
            ("/login", "/cart", "/login?next=/cart"),
            ("/login", "/a?b=c&d=%20", "/login?next=/a%3Fb%3Dc%26d%3D%2520"),
            ("/login?from=gateway", "/", "/login?from=gateway&next=/"),
            ("https://sso.example/in", "/a?b", "https://sso.example/in?next=https%3A//a.example/a%3Fb"),
        ] {
            assert_eq!(location(url, "GET", target, PAGE).as_deref(), Some(expected), "{url} {target}");
        }
    }

    #[test]
    fn nobody_is_led_to_another_site() {
        for target in ["//evil.example/", "//evil.example", "/\\evil.example"] {
            let Ok(_) = target.parse::<http::Uri>() else { continue };
            assert_eq!(location("/login", "GET", target, PAGE).as_deref(), Some("/login"), "{target}");
        }
    }

    #[test]
    fn a_form_is_not_sent_again_and_a_script_is_not_sent_anywhere() {
        assert_eq!(location("/login", "POST", "/pay", PAGE).as_deref(), Some("/login"));
        assert_eq!(location("/login", "GET", "/api", &[("sec-fetch-mode", "cors"), ("accept", "text/html")]), None);
        assert_eq!(location("/login", "GET", "/api", &[("accept", "application/json")]), None);
        assert_eq!(location("/login", "POST", "/pay", &[("accept", "text/html")]), None);
        let older = [("accept", "text/html,application/xhtml+xml")];
        assert_eq!(location("/login", "GET", "/", &older).as_deref(), Some("/login?next=/"));
    }

    #[test]
    fn a_login_url_is_a_path_here_or_a_page_elsewhere() {
        for text in ["/login", "/login?a=b", "https://sso.example/login", "http://sso.example"] {
            assert!(LoginUrl::parse(text).is_some(), "{text}");
        }
        let bad = [
            "",
            "login",
            "//evil.example",
            "/\\evil",
            "https://",
            "/a#b",
            "/a b",
            "/\u{e9}",
            "javascript:x",
            "/a\r\nb",
        ];
        for text in bad {
            assert!(LoginUrl::parse(text).is_none(), "{text}");
        }
    }
}
