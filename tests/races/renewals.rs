//! Renewals among other requests: one new ticket for all of them, and none is logged out.

use serde_json::json;

use super::*;

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
fn logout_beats_a_read_in_flight_with_a_ticket_that_was_renewed() {
    let site = patient();
    let browser = site.login("alice");
    let old = browser.copy();
    site.wait(RENEWAL_DUE);
    site.look(&browser);
    let (reading, read) = begin(&site, &old, get("/slow"));
    assert_eq!(read.session("User"), Some("alice"));
    site.logout(&browser);
    read.reply(ok());
    assert_eq!(reading.answer().sid(), None, "nobody gets a new ticket to a session that is gone");
}
