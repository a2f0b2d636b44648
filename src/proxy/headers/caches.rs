//! What caches are told, and what a response that they may keep cannot carry.

use http::header::{CACHE_CONTROL, Entry, HeaderName, HeaderValue, REFERER, VARY};
use http::{HeaderMap, Method, StatusCode, request};

use super::SEC_FETCH_SITE;
use crate::proxy::cookies::SameSite;
use crate::sessions::Answer;

const CDN_CACHE_CONTROL: HeaderName = HeaderName::from_static("cdn-cache-control");
const SURROGATE_CONTROL: HeaderName = HeaderName::from_static("surrogate-control");

/// Whether a request's browser sent the cookie of ours that it may have.
///
/// It does not send one with `SameSite=Lax` when another site's page posts a form here, nor one with `Strict` when it
/// follows another site's link; and yet it takes a cookie from the answer to that (RFC 6265bis section 5.7). A fresh
/// guest's ticket would then overwrite the session of somebody who comes back from a payment page.
pub fn unasked(head: &request::Parts, same_site: SameSite) -> Answer {
    let site = head.headers.get(SEC_FETCH_SITE).map(HeaderValue::as_bytes);
    let safe = head.method == Method::GET || head.method == Method::HEAD;
    let sent = match (same_site, site) {
        (SameSite::None, _) | (_, Some(b"same-origin" | b"same-site" | b"none")) => true,
        // Older browsers, and everything that is no browser, do not say where a request comes from.
        (SameSite::Lax, _) => safe,
        (SameSite::Strict, Some(_)) => false,
        (SameSite::Strict, None) => safe && !head.headers.contains_key(REFERER),
    };
    if sent { Answer::Private } else { Answer::CookieWithheld }
}

/// What a response may carry, by who may keep it (RFC 9111 section 5.2.2, RFC 9213). `otherwise` where it is for one
/// browser alone. A 304 updates what caches have stored.
pub fn answer(headers: &HeaderMap, status: StatusCode, otherwise: Answer) -> Answer {
    let shared = |directive: &[u8]| {
        let name = directive.split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii();
        [&b"public"[..], b"s-maxage", b"immutable"].iter().any(|shared| name.eq_ignore_ascii_case(shared))
    };
    let targeted = || headers.contains_key(CDN_CACHE_CONTROL) || headers.contains_key(SURROGATE_CONTROL);
    if status == StatusCode::NOT_MODIFIED || directives(headers).any(shared) || targeted() {
        Answer::Shared
    } else {
        otherwise
    }
}

/// A response with our cookie is for one browser.
pub fn keep_from_caches(headers: &mut HeaderMap) {
    if !directives(headers).any(|directive| directive.eq_ignore_ascii_case(b"no-store")) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    // Caches that these are meant for go by them alone.
    headers.remove(CDN_CACHE_CONTROL);
    headers.remove(SURROGATE_CONTROL);
}

/// A response that was made for one visitor is not another's.
pub fn vary_by_cookie(headers: &mut HeaderMap) {
    let names = |field: &HeaderValue| {
        field.as_bytes().split(|byte| *byte == b',').any(|name| {
            let name = name.trim_ascii();
            name == b"*" || name.eq_ignore_ascii_case(b"cookie")
        })
    };
    let cookie = const { HeaderValue::from_static("Cookie") };
    match headers.entry(VARY) {
        Entry::Occupied(mut fields) => {
            if !fields.iter().any(names) {
                fields.append(cookie);
            }
        }
        Entry::Vacant(place) => {
            place.insert(cookie);
        }
    }
}

fn directives(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    headers
        .get_all(CACHE_CONTROL)
        .iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        let parsed =
            |(name, value): &(&str, &str)| (name.parse::<HeaderName>().unwrap(), value.parse::<HeaderValue>().unwrap());
        lines.iter().map(parsed).collect()
    }

    #[test]
    fn a_shared_answer_is_one_that_says_so() {
        for (value, expected) in [
            ("public", Answer::Shared),
            ("max-age=5, S-MaxAge=9", Answer::Shared),
            ("immutable", Answer::Shared),
            ("private, max-age=60", Answer::Private),
            ("max-age=60", Answer::Private),
            ("x-public", Answer::Private),
        ] {
            assert_eq!(
                answer(&headers(&[("cache-control", value)]), StatusCode::OK, Answer::Private),
                expected,
                "{value}"
            );
        }
    }

    #[test]
    fn vary_is_said_once() {
        for (value, lines) in [("Accept", 2), ("accept, COOKIE", 1), ("*", 1)] {
            let mut map = headers(&[("vary", value)]);
            vary_by_cookie(&mut map);
            assert_eq!(map.get_all(VARY).iter().count(), lines, "{value}");
        }
    }

    #[test]
    fn what_updates_or_targets_a_cache_is_shared() {
        let answer = |lines: &[(&str, &str)], status| answer(&headers(lines), status, Answer::Private);
        assert_eq!(answer(&[], StatusCode::NOT_MODIFIED), Answer::Shared);
        assert_eq!(answer(&[("cdn-cache-control", "max-age=60")], StatusCode::OK), Answer::Shared);
        assert_eq!(answer(&[("surrogate-control", "max-age=60")], StatusCode::OK), Answer::Shared);
    }

    #[test]
    fn a_browser_that_may_withhold_its_cookie_gets_no_guests() {
        use SameSite::{Lax, None as Any, Strict};
        for (same_site, method, site, sent) in [
            (Lax, "GET", Some("cross-site"), true),
            (Lax, "POST", Some("cross-site"), false),
            (Lax, "POST", Some("same-origin"), true),
            (Lax, "POST", None, false),
            (Lax, "GET", None, true),
            (Strict, "GET", Some("cross-site"), false),
            (Strict, "GET", Some("none"), true),
            (Strict, "GET", None, true),
            (Strict, "POST", None, false),
            (Any, "POST", Some("cross-site"), true),
        ] {
            let mut request = http::Request::builder().method(method);
            if let Some(site) = site {
                request = request.header("sec-fetch-site", site);
            }
            let (head, ()) = request.body(()).unwrap().into_parts();
            let expected = if sent { Answer::Private } else { Answer::CookieWithheld };
            assert_eq!(unasked(&head, same_site), expected, "{same_site:?} {method} {site:?}");
        }
    }
}
