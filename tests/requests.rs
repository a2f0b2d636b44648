//! What is asked of a request: what it is called, how much it may be, whether it is a user's, and whose page sent it.
#![allow(clippy::needless_pass_by_value, clippy::unwrap_used, missing_docs)]

#[path = "requests/births.rs"]
mod births;
#[path = "requests/cross_origin.rs"]
mod cross_origin;
#[path = "requests/expectations.rs"]
mod expectations;
#[path = "hygiene/frames.rs"]
#[allow(dead_code)]
mod frames;
#[path = "requests/limits.rs"]
mod limits;
#[path = "requests/login.rs"]
mod login;
#[path = "requests/names.rs"]
mod names;
mod support;

use support::*;

/// How many requests were refused for this reason.
fn refused(site: &Site, reason: &str) -> u64 {
    site.metric("session_gateway_requests_refused_total", &[("reason", reason)])
}

/// Sends a request that passes; the backend's answer comes back.
#[track_caller]
fn passes(site: &Site, browser: &Browser, request: Request) {
    let (_, answer) = site.visit(browser, request.clone(), ok());
    assert_eq!(answer.status(), 200, "{request:?}");
}

/// Sends a request that is refused with this status, without the backend and without a cookie.
#[track_caller]
fn is_refused(site: &Site, browser: &Browser, request: Request, status: u16) -> Answer {
    let answer = browser.send(request.clone()).answer();
    assert_eq!(answer.status(), status, "{request:?}");
    assert!(answer.set_cookies().is_empty(), "{request:?}");
    assert_eq!(answer.header("cache-control"), Some("no-store"), "{request:?}");
    site.backend.saw_nothing();
    answer
}
