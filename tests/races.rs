//! What happens when requests of one visitor overlap. The backend holds every answer until the test lets it go, so
//! that each order is the one written here.

mod support;

use serde_json::json;
use support::*;

/// Past `renew_after`, with sessions that are not idle by then.
const RENEWAL_DUE: u64 = 3601;

fn patient() -> Site {
    Site::build().session("idle_timeout = \"4h\"").start()
}

/// Sends a request and waits until the backend has it.
fn begin(site: &Site, browser: &Browser, request: Request) -> (Pending, Exchange) {
    let pending = browser.send(request);
    (pending, site.backend.next())
}

/// Begins a slow request, and lets its ticket be renewed meanwhile, until the old one opens nothing any more. The browser
/// holds the new ticket.
fn begin_before_a_renewal(site: &Site, browser: &Browser, request: Request) -> (Pending, Exchange) {
    site.wait(RENEWAL_DUE);
    let old = browser.copy();
    let slow = begin(site, &old, request);
    site.look(browser);
    site.look(browser);
    site.wait(11);
    site.look(&old.copy()).assert_stranger();
    slow
}

#[test]
fn two_parallel_writes_are_both_kept() {
    let site = Site::new();
    let browser = site.keep(r#"{"start":true}"#);
    let (first, one) = begin(&site, &browser, post("/one"));
    let (second, two) = begin(&site, &browser, post("/two"));
    two.reply(ok().session("Patch", r#"{"two":2}"#));
    assert_eq!(second.answer().status(), 200);
    one.reply(ok().session("Patch", r#"{"one":1}"#));
    assert_eq!(first.answer().status(), 200);
    assert_eq!(site.look(&browser).data(), Some(json!({"start": true, "one": 1, "two": 2})));
}

#[test]
fn of_two_parallel_writes_to_one_key_the_last_answer_counts() {
    let site = Site::new();
    let browser = site.login("alice");
    let (first, one) = begin(&site, &browser, post("/one"));
    let (second, two) = begin(&site, &browser, post("/two"));
    two.reply(ok().session("Patch", r#"{"key":"two"}"#));
    second.answer();
    one.reply(ok().session("Patch", r#"{"key":"one"}"#));
    first.answer();
    assert_eq!(site.look(&browser).data(), Some(json!({"key": "one"})));
}

#[test]
fn a_write_survives_a_slower_read() {
    let site = Site::new();
    let browser = site.keep(r#"{"cart":[]}"#);
    let (reading, read) = begin(&site, &browser, get("/slow"));
    assert_eq!(read.session("Data"), Some(r#"{"cart":[]}"#));
    site.patch(&browser, r#"{"cart":["apple"]}"#);
    read.reply(ok());
    let answer = reading.answer();
    assert_eq!(answer.sid(), None, "an unchanged session needs no cookie: {}", answer.text_head());
    assert_eq!(site.look(&browser).data(), Some(json!({"cart": ["apple"]})));
}

#[test]
fn a_write_survives_a_slower_read_with_an_expired_ticket() {
    let site = Site::new();
    let browser = site.login("alice");
    site.wait(31 * 60);
    let (reading, read) = begin(&site, &browser, get("/slow"));
    site.patch(&browser, r#"{"cart":["apple"]}"#);
    read.reply(ok());
    let late = reading.answer();
    assert_eq!(late.sid(), None, "a late guest's cookie must not overwrite the session's: {}", late.text_head());
    assert_eq!(site.look(&browser).data(), Some(json!({"cart": ["apple"]})));
}

#[test]
fn a_slower_write_of_another_key_brings_no_removed_key_back() {
    let site = Site::new();
    let browser = site.keep(r#"{"cart":["apple"],"name":"a"}"#);
    let (writing, write) = begin(&site, &browser, post("/slow"));
    site.patch(&browser, r#"{"cart":null}"#);
    write.reply(ok().session("Patch", r#"{"name":"b"}"#));
    writing.answer();
    assert_eq!(site.look(&browser).data(), Some(json!({"name": "b"})));
}

#[test]
fn logout_beats_a_write_in_flight() {
    let site = Site::new();
    let browser = site.login("alice");
    let thief = browser.copy();
    let (writing, write) = begin(&site, &browser, post("/slow"));
    assert!(site.logout(&browser).deletes_sid());
    write.reply(ok().session("Patch", r#"{"late":true}"#));
    let late = writing.answer();
    assert_eq!(late.status(), 200);
    assert_eq!(late.sid(), None, "a late answer must not bring a cookie back: {}", late.text_head());
    assert_eq!(browser.sid(), None, "the browser stays logged out");
    site.look(&thief).assert_stranger();
}

#[test]
fn logout_beats_a_read_in_flight() {
    let site = patient();
    let browser = site.login("alice");
    let thief = browser.copy();
    // The reader's ticket is due for renewal, so that its answer has a reason to carry a cookie.
    site.wait(RENEWAL_DUE);
    let (reading, read) = begin(&site, &browser, get("/slow"));
    assert_eq!(read.session("User"), Some("alice"));
    assert!(site.logout(&browser).deletes_sid());
    read.reply(ok());
    let late = reading.answer();
    assert_eq!(late.status(), 200);
    assert_eq!(late.sid(), None, "a late answer must not bring a cookie back: {}", late.text_head());
    assert_eq!(browser.sid(), None);
    site.look(&thief).assert_stranger();
}

#[test]
fn logout_beats_a_read_in_flight_that_was_begun_before_a_renewal() {
    let site = patient();
    let browser = site.login("alice");
    site.wait(RENEWAL_DUE);
    let (reading, read) = begin(&site, &browser, get("/slow"));
    let old = browser.copy();
    site.look(&browser);
    assert_ne!(old.ticket().secret, browser.ticket().secret, "the second request should have renewed");
    let renewed = browser.copy();
    assert!(site.logout(&browser).deletes_sid());
    read.reply(ok().session("Patch", r#"{"late":true}"#));
    assert_eq!(reading.answer().sid(), None);
    site.look(&renewed).assert_stranger();
    site.look(&old).assert_no_session();
}

#[test]
fn logout_through_the_old_ticket_of_a_renewal_ends_the_renewed_session() {
    let site = patient();
    let browser = site.login("alice");
    site.wait(RENEWAL_DUE);
    let (leaving, logout) = begin(&site, &browser, post("/logout"));
    let old = browser.copy();
    site.look(&browser);
    let renewed = browser.copy();
    assert_ne!(old.ticket().secret, renewed.ticket().secret);
    logout.reply(ok().session("End", "this"));
    assert!(leaving.answer().deletes_sid());
    site.look(&renewed).assert_stranger();
    site.look(&old).assert_no_session();
}

#[test]
fn a_logout_let_in_before_a_renewal_ends_the_session_however_slow() {
    let site = patient();
    let browser = site.login("alice");
    let (leaving, logout) = begin_before_a_renewal(&site, &browser, post("/logout"));
    assert_eq!(site.look(&browser).user(), Some("alice"));
    logout.reply(ok().session("End", "this"));
    assert!(leaving.answer().deletes_sid());
    site.look(&browser).assert_stranger();
}

#[test]
fn a_revocation_beats_a_write_in_flight() {
    let site = Site::new();
    let browser = site.login("alice");
    let (writing, write) = begin(&site, &browser, post("/slow"));
    let id = write.session("Id").expect("an id").to_owned();
    assert_eq!(site.admin(request("DELETE", &format!("/sessions/{id}"))).status(), 200);
    write.reply(ok().session("Patch", r#"{"late":true}"#));
    assert_eq!(writing.answer().sid(), None);
    site.look(&browser).assert_stranger();
}

#[test]
fn ending_all_of_a_users_sessions_beats_a_write_in_flight_in_another_browser() {
    let site = Site::new();
    let (here, there) = (site.login("alice"), site.login("alice"));
    let (writing, write) = begin(&site, &there, post("/slow"));
    site.visit(&here, post("/leave"), ok().session("End", "all"));
    write.reply(ok().session("Patch", r#"{"late":true}"#));
    assert_eq!(writing.answer().sid(), None);
    site.look(&there).assert_stranger();
}

#[test]
fn a_guests_slow_first_write_cannot_follow_a_logout_of_the_session_born_meanwhile() {
    let site = Site::new();
    let browser = site.guest();
    let (writing, write) = begin(&site, &browser, post("/slow"));
    site.patch(&browser, r#"{"cart":["apple"]}"#);
    let thief = browser.copy();
    site.logout(&browser);
    write.reply(ok().session("Patch", r#"{"late":true}"#));
    assert_eq!(writing.answer().sid(), None);
    assert_eq!(browser.sid(), None);
    site.look(&thief).assert_stranger();
}

#[test]
fn a_guests_logout_beats_its_first_write_in_flight() {
    let site = Site::new();
    let browser = site.guest();
    let (writing, write) = begin(&site, &browser, post("/slow"));
    assert!(site.logout(&browser).deletes_sid());
    write.reply(ok().session("Patch", r#"{"late":true}"#));
    assert_eq!(writing.answer().sid(), None);
    assert_eq!(browser.sid(), None);
    assert_eq!(site.metric("session_gateway_sessions_live", &[]), 0);
}

#[test]
fn a_logout_through_the_guest_ticket_ends_the_session_born_of_it() {
    let site = Site::new();
    let browser = site.guest();
    let (leaving, logout) = begin(&site, &browser, post("/logout"));
    site.patch(&browser, r#"{"cart":["apple"]}"#);
    let thief = browser.copy();
    logout.reply(ok().session("End", "this"));
    assert!(leaving.answer().deletes_sid());
    assert_eq!(browser.sid(), None);
    site.look(&thief).assert_stranger();
}

#[test]
fn login_beats_a_request_in_flight_with_the_guest_ticket() {
    let site = Site::new();
    let browser = site.guest();
    let (writing, write) = begin(&site, &browser, post("/slow"));
    site.login_as(&browser, "alice");
    let fresh = browser.sid();
    write.reply(ok().session("Patch", r#"{"late":true}"#));
    let late = writing.answer();
    assert_eq!(late.status(), 200);
    assert_eq!(late.sid(), None, "a late answer must not overwrite the login's cookie: {}", late.text_head());
    assert_eq!(browser.sid(), fresh);
    let seen = site.look(&browser);
    assert_eq!((seen.user(), seen.data()), (Some("alice"), Some(json!({}))), "the late change is dropped");
}

#[test]
fn login_beats_a_request_in_flight_with_the_old_session_ticket() {
    let site = Site::new();
    let browser = site.keep(r#"{"cart":["apple"]}"#);
    let (writing, write) = begin(&site, &browser, post("/write"));
    let (reading, read) = begin(&site, &browser, get("/read"));
    site.login_as(&browser, "alice");
    let fresh = browser.sid();
    write.reply(ok().session("Patch", r#"{"cart":null,"late":true}"#));
    assert_eq!(writing.answer().sid(), None);
    read.reply(ok());
    assert_eq!(reading.answer().sid(), None);
    assert_eq!(browser.sid(), fresh);
    let seen = site.look(&browser);
    assert_eq!((seen.user(), seen.data()), (Some("alice"), Some(json!({"cart": ["apple"]}))));
}

#[test]
fn login_beats_a_read_in_flight_with_an_expired_ticket() {
    let site = Site::new();
    let browser = site.login("alice");
    site.wait(31 * 60);
    let (reading, read) = begin(&site, &browser, get("/slow"));
    site.login_as(&browser, "alice");
    let fresh = browser.sid();
    read.reply(ok());
    assert_eq!(reading.answer().sid(), None, "a late guest cookie must not overwrite the login's");
    assert_eq!(browser.sid(), fresh);
}

#[test]
fn login_beats_a_write_in_flight_with_an_expired_ticket() {
    let site = Site::new();
    let browser = site.login("alice");
    site.wait(31 * 60);
    let (writing, write) = begin(&site, &browser, post("/slow"));
    site.login_as(&browser, "alice");
    let fresh = browser.sid();
    write.reply(ok().session("Patch", r#"{"late":true}"#));
    assert_eq!(writing.answer().sid(), None, "a late session's cookie must not overwrite the login's");
    assert_eq!(browser.sid(), fresh);
    assert_eq!(site.look(&browser).data(), Some(json!({})));
}

#[test]
fn login_beats_a_read_in_flight_whose_ticket_is_to_be_signed_again() {
    let old = Site::build().keys(&[1]).start().guest();
    let site = Site::build().keys(&[2, 1]).start();
    let browser = site.browser();
    browser.plant(COOKIE, &old.sid().expect("a ticket"));
    let (reading, read) = begin(&site, &browser, get("/slow"));
    site.login_as(&browser, "alice");
    read.reply(ok());
    assert_eq!(reading.answer().sid(), None);
    assert_eq!(site.look(&browser).user(), Some("alice"));
}

#[test]
fn login_beats_a_logout_in_flight_with_the_old_ticket() {
    let site = Site::new();
    let browser = site.keep(r#"{"cart":["apple"]}"#);
    let (leaving, logout) = begin(&site, &browser, post("/logout"));
    site.login_as(&browser, "alice");
    logout.reply(ok().session("End", "this"));
    assert_eq!(leaving.answer().sid(), None, "the late logout must not delete the login's cookie");
    assert_eq!(site.look(&browser).user(), Some("alice"));
}

#[test]
fn login_beats_a_logout_in_flight_with_the_guest_ticket() {
    let site = Site::new();
    let browser = site.guest();
    let (leaving, logout) = begin(&site, &browser, post("/logout"));
    site.login_as(&browser, "alice");
    logout.reply(ok().session("End", "this"));
    assert_eq!(leaving.answer().sid(), None, "the late logout must not delete the login's cookie");
    assert_eq!(site.look(&browser).user(), Some("alice"));
}

#[test]
fn login_beats_a_guests_second_logout_in_flight() {
    let site = Site::new();
    let browser = site.guest();
    let (leaving, logout) = begin(&site, &browser, post("/logout"));
    site.logout(&browser);
    site.login_as(&browser, "alice");
    logout.reply(ok().session("End", "this"));
    assert_eq!(leaving.answer().sid(), None, "the late logout must not delete the login's cookie");
    assert_eq!(site.look(&browser).user(), Some("alice"));
}

#[test]
fn login_beats_a_logout_everywhere_in_flight_with_the_old_ticket() {
    let site = Site::new();
    let browser = site.login("alice");
    let (leaving, logout) = begin(&site, &browser, post("/logout"));
    site.login_as(&browser, "alice");
    logout.reply(ok().session("End", "all"));
    assert_eq!(leaving.answer().sid(), None);
    assert_eq!(site.look(&browser).user(), Some("alice"), "a change through a superseded ticket is dropped");
}

#[test]
fn a_renewal_asked_for_by_the_backend_beats_a_write_in_flight() {
    let site = Site::new();
    let browser = site.login("alice");
    let (writing, write) = begin(&site, &browser, post("/slow"));
    site.visit(&browser, post("/sudo"), ok().session("Renew", "true"));
    let fresh = browser.sid();
    write.reply(ok().session("Patch", r#"{"late":true}"#));
    assert_eq!(writing.answer().sid(), None);
    assert_eq!(browser.sid(), fresh);
    let seen = site.look(&browser);
    assert_eq!((seen.user(), seen.data()), (Some("alice"), Some(json!({}))));
}

#[test]
fn a_login_passes_a_logout_that_was_faster() {
    let site = Site::new();
    let browser = site.login("alice");
    let (entering, login) = begin(&site, &browser, post("/login"));
    site.logout(&browser);
    login.reply(ok().session("User", "alice"));
    assert_eq!(entering.answer().ticket().kind, Ticket::SESSION);
    assert_eq!(site.look(&browser).user(), Some("alice"));
}

#[test]
fn a_copied_cookie_is_dead_after_logout() {
    let site = Site::new();
    let browser = site.login("alice");
    site.patch(&browser, r#"{"cart":["apple"]}"#);
    let thief = browser.copy();
    assert_eq!(site.look(&thief).user(), Some("alice"), "before the logout the copy is as good as the original");
    site.logout(&browser);
    for _ in 0..2 {
        site.look(&thief).assert_stranger();
    }
    // Nor is it adopted once the logout itself is forgotten.
    site.wait(3600);
    site.look(&thief).assert_no_session();
}

#[test]
fn the_guest_cookie_from_before_a_login_is_dead_after_it() {
    let site = Site::new();
    let browser = site.guest();
    let planted = browser.copy();
    site.login_as(&browser, "alice");
    site.look(&planted).assert_no_session();
    let (_, answer) = site.visit(&planted, post("/write"), ok().session("Patch", r#"{"planted":true}"#));
    assert_eq!(answer.sid(), None, "a superseded guest's change gets no cookie: {}", answer.text_head());
    let seen = site.look(&browser);
    assert_eq!((seen.user(), seen.data()), (Some("alice"), Some(json!({}))));
}

#[test]
fn the_session_cookie_from_before_a_login_is_dead_after_it() {
    let site = Site::new();
    let browser = site.keep(r#"{"cart":["apple"]}"#);
    let planted = browser.copy();
    let before = site.look(&browser).id().to_owned();
    site.login_as(&browser, "alice");
    let seen = site.look(&planted);
    seen.assert_stranger();
    assert_ne!(seen.id(), before, "the old id is not used again");
    assert_ne!(seen.id(), site.look(&browser).id());
}

#[test]
fn a_dead_tickets_answers_carry_no_cookie() {
    let site = Site::new();
    let (before_login, browser) = {
        let browser = site.keep(r#"{"cart":["apple"]}"#);
        (browser.copy(), browser)
    };
    site.login_as(&browser, "alice");
    let logged_out = browser.copy();
    site.logout(&browser);
    for dead in [before_login, logged_out] {
        for reply in
            [ok(), ok().session("Patch", r#"{"a":1}"#), ok().session("End", "this"), ok().session("Persist", "true")]
        {
            let (seen, answer) = site.visit(&dead, get("/"), reply);
            seen.assert_stranger();
            assert_eq!(answer.status(), 200);
            assert_eq!(answer.sid(), None, "{}", answer.text_head());
        }
    }
}

#[test]
fn parallel_first_writes_of_one_guest_meet_in_one_session() {
    let site = Site::new();
    let browser = site.guest();
    let guest = browser.ticket();
    let writes: Vec<_> = (0..5).map(|i| (i, begin(&site, &browser, post("/write")))).collect();
    for (i, (pending, exchange)) in writes {
        exchange.reply(ok().session("Patch", &format!("{{\"key{i}\":{i}}}")));
        let ticket = pending.answer().ticket();
        assert_eq!((ticket.kind, ticket.secret), (Ticket::SESSION, guest.secret), "born under the guest's secret");
    }
    let all = json!({"key0": 0, "key1": 1, "key2": 2, "key3": 3, "key4": 4});
    assert_eq!(site.look(&browser).data(), Some(all));
}

/// The session of the lost answer has become somebody's, for all that is known: it is not joined any more.
#[test]
fn a_guest_whose_first_answer_was_lost_can_still_write() {
    let site = Site::new();
    let browser = site.guest();
    let (pending, write) = begin(&site, &browser, post("/cart"));
    write.reply(ok().session("Patch", r#"{"cart":["apple"]}"#));
    let lost = pending.lose().ticket();
    site.wait(600);
    assert_ne!(site.patch(&browser, r#"{"cart":["pear"]}"#).ticket().secret, lost.secret);
    assert_eq!(site.look(&browser).data(), Some(json!({"cart": ["pear"]})));
}

#[test]
fn parallel_requests_all_get_the_same_renewed_ticket() {
    let site = patient();
    let browser = site.login("alice");
    let old = browser.ticket();
    site.wait(RENEWAL_DUE);
    let requests: Vec<_> = (0..5).map(|_| begin(&site, &browser, get("/parallel"))).collect();
    let mut tickets = Vec::new();
    for (pending, exchange) in requests {
        assert_eq!(exchange.session("User"), Some("alice"));
        exchange.reply(ok());
        tickets.push(pending.answer().sid().expect("a renewal's cookie").value);
    }
    assert!(tickets.iter().all(|ticket| *ticket == tickets[0]), "one renewal, one ticket: {tickets:?}");
    let new = Ticket::read(&tickets[0]);
    assert_ne!(new.secret, old.secret, "a renewed ticket has a new secret");
    assert_eq!(site.look(&browser).user(), Some("alice"));
}

#[test]
fn a_write_through_a_ticket_renewed_meanwhile_reaches_the_session() {
    let site = patient();
    let browser = site.login("alice");
    site.wait(RENEWAL_DUE);
    let (writing, write) = begin(&site, &browser, post("/slow"));
    site.look(&browser);
    let new = browser.ticket();
    write.reply(ok().session("Patch", r#"{"slow":true}"#));
    assert_eq!(writing.answer().ticket().secret, new.secret, "the same new cookie is sent again");
    assert_eq!(site.look(&browser).data(), Some(json!({"slow": true})));
}

/// The old ticket opens nothing any more by then, but this request was let in while it did.
#[test]
fn a_write_let_in_before_a_renewal_reaches_the_session_however_slow() {
    let site = patient();
    let browser = site.login("alice");
    site.wait(RENEWAL_DUE);
    let (writing, write) = begin(&site, &browser, post("/slow"));
    site.look(&browser);
    site.look(&browser);
    let new = browser.sid();
    site.wait(30);
    write.reply(ok().session("Patch", r#"{"slow":true}"#));
    assert_eq!(writing.answer().status(), 200);
    assert_eq!(site.look(&browser).data(), Some(json!({"slow": true})), "it was reported as a success");
    assert_eq!(browser.sid(), new);
}

#[test]
fn a_renewal_whose_answer_is_lost_logs_nobody_out() {
    let site = patient();
    let browser = site.login("alice");
    site.wait(RENEWAL_DUE);
    let (pending, exchange) = begin(&site, &browser, get("/lost"));
    exchange.reply(ok());
    let lost = pending.lose().ticket();
    // The browser still has the old ticket, for as long as nobody has shown the new one.
    site.wait(4 * 60);
    let (pending, exchange) = begin(&site, &browser, get("/again"));
    assert_eq!(exchange.session("User"), Some("alice"));
    exchange.reply(ok());
    assert_eq!(pending.answer().ticket().secret, lost.secret, "the same new ticket again");
    assert_eq!(site.look(&browser).user(), Some("alice"));
}

#[test]
fn an_old_ticket_dies_ten_seconds_after_the_new_one_is_first_seen() {
    let site = patient();
    let browser = site.login("alice");
    site.wait(RENEWAL_DUE);
    let old = browser.copy();
    site.look(&browser);
    // Nobody has shown the new ticket yet, so the old one's ten seconds have not begun.
    site.wait(60);
    assert_eq!(site.look(&old.copy()).user(), Some("alice"));
    assert_eq!(site.look(&browser).user(), Some("alice"), "the new one is shown");
    site.wait(9);
    assert_eq!(site.look(&old.copy()).user(), Some("alice"), "within ten seconds");
    site.look(&browser);
    site.wait(2);
    site.look(&old).assert_stranger();
    assert_eq!(site.look(&browser).user(), Some("alice"));
}

#[test]
fn an_old_ticket_dies_five_minutes_after_a_renewal_that_nobody_saw() {
    let site = patient();
    let browser = site.login("alice");
    site.wait(RENEWAL_DUE);
    let (pending, exchange) = begin(&site, &browser, get("/lost"));
    exchange.reply(ok());
    pending.lose().ticket();
    site.wait(299);
    assert_eq!(site.look(&browser.copy()).user(), Some("alice"));
    site.wait(2);
    site.look(&browser).assert_stranger();
}

#[test]
fn using_the_old_ticket_does_not_prolong_it() {
    let site = patient();
    let browser = site.login("alice");
    site.wait(RENEWAL_DUE);
    for _ in 0..5 {
        assert_eq!(site.look(&browser.copy()).user(), Some("alice"));
        site.wait(60);
    }
    site.wait(1);
    site.look(&browser).assert_stranger();
}

#[test]
fn a_renewal_keeps_the_id_and_the_data() {
    let site = patient();
    let browser = site.login("alice");
    site.patch(&browser, r#"{"cart":["apple"]}"#);
    let before = site.look(&browser);
    site.wait(RENEWAL_DUE);
    site.look(&browser);
    let after = site.look(&browser);
    assert_eq!((after.id(), after.user(), after.data()), (before.id(), before.user(), before.data()));
}

#[test]
fn a_login_sent_twice_whose_first_answer_is_lost_logs_in() {
    for prepare in [Site::guest as fn(&Site) -> Browser, |site| site.keep(r#"{"cart":["apple"]}"#)] {
        let site = Site::new();
        let browser = prepare(&site);
        let (first, login) = begin(&site, &browser, post("/login"));
        login.reply(ok().session("User", "alice"));
        let lost = first.lose().ticket();
        let (second, login) = begin(&site, &browser, post("/login"));
        login.reply(ok().session("User", "alice"));
        let kept = second.answer().ticket();
        assert_eq!(kept.kind, Ticket::SESSION);
        assert_ne!(kept.secret, lost.secret, "every login has a secret of its own");
        assert_eq!(site.look(&browser).user(), Some("alice"));
    }
}

#[test]
fn a_double_click_on_log_in_logs_in() {
    let site = Site::new();
    let browser = site.guest();
    let (first, one) = begin(&site, &browser, post("/login"));
    let (second, two) = begin(&site, &browser, post("/login"));
    one.reply(ok().session("User", "alice"));
    first.answer();
    assert_eq!(site.look(&browser).user(), Some("alice"));
    two.reply(ok().session("User", "alice"));
    second.answer();
    assert_eq!(site.look(&browser).user(), Some("alice"));
}

#[test]
fn a_slow_write_after_expiry_gives_birth_to_another_session() {
    let site = Site::build().session("idle_timeout = \"40s\"").start();
    let browser = site.login("alice");
    site.patch(&browser, r#"{"cart":["apple"]}"#);
    let old = browser.ticket();
    let thief = browser.copy();
    let (writing, write) = begin(&site, &browser, post("/slow"));
    site.wait(45);
    write.reply(ok().session("Patch", r#"{"late":true}"#));
    let born = writing.answer().ticket();
    assert_ne!(born.secret, old.secret, "the old key is never revived");
    let seen = site.look(&browser);
    assert_eq!((seen.user(), seen.data()), (None, Some(json!({"late": true}))));
    site.look(&thief).assert_stranger();
}

#[test]
fn a_write_so_late_that_a_logout_may_be_forgotten_is_dropped() {
    let site = Site::new();
    let browser = site.login("alice");
    let (writing, write) = begin(&site, &browser, post("/slow"));
    site.wait(31 * 60);
    write.reply(ok().session("Patch", r#"{"late":true}"#));
    assert_eq!(writing.answer().sid(), None);
}

#[test]
fn logout_and_login_beat_a_write_that_comes_when_the_logout_is_forgotten() {
    let site = Site::new();
    let browser = site.login("alice");
    let (writing, write) = begin(&site, &browser, post("/slow"));
    site.logout(&browser);
    site.login_as(&browser, "alice");
    site.wait(20 * 60);
    write.reply(ok().session("Patch", r#"{"late":true}"#));
    assert_eq!(writing.answer().sid(), None, "a late session's cookie must not overwrite the login's");
    let seen = site.look(&browser);
    assert_eq!((seen.user(), seen.data()), (Some("alice"), Some(json!({}))));
    assert_eq!(site.metric("session_gateway_sessions_live", &[]), 1, "nothing is born of it");
}

#[test]
fn login_beats_whatever_comes_when_the_logout_before_it_is_forgotten() {
    let mut beaten = Vec::new();
    for prepare in [Site::guest as fn(&Site) -> Browser, |site| site.login("alice")] {
        for reply in [
            ok().session("Renew", "true"),
            ok().session("Renew", "true").session("Patch", r#"{"late":true}"#),
            ok().session("End", "this"),
        ] {
            let site = Site::new();
            let browser = prepare(&site);
            let (pending, exchange) = begin(&site, &browser, post("/slow"));
            site.logout(&browser);
            site.login_as(&browser, "alice");
            site.wait(20 * 60);
            exchange.reply(reply.clone());
            if pending.answer().sid().is_some() || site.look(&browser).user() != Some("alice") {
                beaten.push(reply);
            }
        }
    }
    assert!(beaten.is_empty(), "{beaten:#?}");
}

#[test]
fn a_change_of_privilege_through_the_old_ticket_of_a_renewal_kills_the_renewed_one() {
    for reply in [ok().session("User", "alice"), ok().session("Renew", "true")] {
        let site = patient();
        let browser = site.login("alice");
        site.patch(&browser, r#"{"a":1}"#);
        site.wait(RENEWAL_DUE);
        let (pending, exchange) = begin(&site, &browser, post("/sudo"));
        let renewed = browser.copy();
        site.look(&renewed);
        assert_ne!(renewed.ticket().secret, browser.ticket().secret);
        exchange.reply(reply);
        assert_ne!(pending.answer().ticket().secret, renewed.ticket().secret);
        let seen = site.look(&browser);
        assert_eq!((seen.user(), seen.data()), (Some("alice"), Some(json!({"a": 1}))));
        site.look(&renewed).assert_stranger();
    }
}

#[test]
fn a_change_of_privilege_let_in_before_a_renewal_kills_the_renewed_ticket_however_slow() {
    for reply in [ok().session("User", "bob"), ok().session("User", "alice"), ok().session("Renew", "true")] {
        let site = patient();
        let browser = site.login("alice");
        let (pending, exchange) = begin_before_a_renewal(&site, &browser, post("/sudo"));
        exchange.reply(reply.clone());
        assert_eq!(pending.answer().ticket().kind, Ticket::SESSION, "{reply:?}");
        site.look(&browser).assert_stranger();
    }
}

#[test]
fn a_logout_is_remembered_for_longer_than_the_slowest_answer_takes() {
    let site = Site::build().upstream("response_timeout = \"10m\"").session("idle_timeout = \"4h\"").start();
    let browser = site.login("alice");
    let guest = site.guest();
    let (writing, write) = begin(&site, &browser, post("/slow"));
    let (first_writing, first_write) = begin(&site, &guest, post("/slow"));
    site.logout(&browser);
    site.login_as(&guest, "bob");
    let fresh = guest.sid();
    site.wait(599);
    write.reply(ok().session("Patch", r#"{"late":true}"#));
    assert_eq!(writing.answer().sid(), None);
    first_write.reply(ok().session("Patch", r#"{"late":true}"#));
    assert_eq!(first_writing.answer().sid(), None);
    assert_eq!((browser.sid(), guest.sid()), (None, fresh));
}

#[test]
fn a_client_that_goes_away_before_its_answer_changes_nothing() {
    let site = Site::new();
    let browser = site.keep(r#"{"cart":["apple"]}"#);
    let (pending, mut exchange) = begin(&site, &browser, post("/slow"));
    drop(pending);
    assert!(exchange.is_given_up(), "the upstream request should be cancelled");
    assert_eq!(site.look(&browser).data(), Some(json!({"cart": ["apple"]})));
}
