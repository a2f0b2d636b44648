//! Requests from other sites, which come without the cookie that the browser holds.

use super::support::*;

fn from_another_site(request: Request) -> Request {
    request.without_jar().with("Sec-Fetch-Site", "cross-site").with("Sec-Fetch-Mode", "navigate")
}

#[test]
fn a_cross_site_post_without_a_cookie_gets_no_guest_cookie_and_a_get_does() {
    let site = Site::new();
    let (seen, answer) = site.visit(&site.browser(), from_another_site(post("/")), ok());
    seen.assert_stranger();
    assert_eq!(answer.sid(), None, "{}", answer.text_head());
    let (_, answer) = site.visit(&site.browser(), from_another_site(get("/")), ok());
    assert_eq!(answer.ticket().kind, Ticket::GUEST, "SameSite=Lax withholds nothing from a link");
    let (_, answer) = site.visit(&site.browser(), post("/").with("Sec-Fetch-Site", "same-origin"), ok());
    assert_eq!(answer.ticket().kind, Ticket::GUEST, "nor anything from our own forms");
}

#[test]
fn under_same_site_strict_a_cross_site_get_without_a_cookie_gets_no_guest_cookie() {
    let site = Site::build().session("same_site = \"strict\"").start();
    let (seen, answer) = site.visit(&site.browser(), from_another_site(get("/")), ok());
    seen.assert_stranger();
    assert_eq!(answer.sid(), None, "{}", answer.text_head());
    for here in ["none", "same-origin"] {
        let (_, answer) = site.visit(&site.browser(), get("/").with("Sec-Fetch-Site", here), ok());
        assert_eq!(answer.ticket().kind, Ticket::GUEST, "{here}");
    }
}

#[test]
fn a_form_posted_from_another_site_does_not_overwrite_the_session() {
    let site = Site::new();
    let browser = site.login("alice");
    site.visit(&browser, from_another_site(post("/payment-return")), ok());
    assert_eq!(site.look(&browser).user(), Some("alice"));
}

#[test]
fn a_login_posted_from_another_site_logs_in() {
    let site = Site::new();
    let browser = site.guest();
    site.visit(&browser, from_another_site(post("/saml")), ok().session("User", "alice"));
    assert_eq!(site.look(&browser).user(), Some("alice"));
}
