//! How many sessions an address may begin.

use super::refused;
use crate::support::*;

#[test]
fn an_address_that_begins_too_many_sessions_has_to_wait() {
    let site = Site::build().session("max_new_per_address = 2\n").start();
    let member = site.login("alice");
    site.keep(r#"{"cart":1}"#);
    let live = site.live_sessions();
    for reply in [ok().session("Patch", r#"{"cart":1}"#), ok().session("User", "bob")] {
        let (_, answer) = site.visit(&site.browser(), post("/"), reply);
        assert_eq!((answer.status(), answer.header("retry-after")), (429, Some("30")));
        assert!(answer.set_cookies().is_empty());
    }
    assert_eq!((site.live_sessions(), refused(&site, "new_sessions")), (live, 2));

    // Who has a session, or begins none, is served as ever.
    assert_eq!(site.patch(&member, r#"{"cart":2}"#).status(), 200);
    let (_, answer) = site.visit(&site.browser(), get("/"), ok());
    assert_eq!(answer.status(), 200);
    let (_, answer) = site.visit(&site.browser(), post("/"), ok().session("Patch", r#"{"cart":null}"#));
    assert_eq!(answer.status(), 200, "nothing is kept of it");

    site.wait(30);
    let (_, answer) = site.visit(&site.browser(), post("/"), ok().session("User", "bob"));
    assert_eq!((answer.status(), site.live_sessions()), (200, live + 1));
}
