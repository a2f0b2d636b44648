//! Writes that overlap writes, reads and each other's birth.

use serde_json::json;

use super::*;

#[test]
fn two_parallel_writes_are_both_kept() {
    let site = stand();
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
    let site = stand();
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
    let site = stand();
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
fn a_slower_write_of_another_key_brings_no_removed_key_back() {
    let site = stand();
    let browser = site.keep(r#"{"cart":["apple"],"name":"a"}"#);
    let (writing, write) = begin(&site, &browser, post("/slow"));
    site.patch(&browser, r#"{"cart":null}"#);
    write.reply(ok().session("Patch", r#"{"name":"b"}"#));
    writing.answer();
    assert_eq!(site.look(&browser).data(), Some(json!({"name": "b"})));
}

#[test]
fn parallel_first_writes_of_one_guest_meet_in_one_session() {
    let site = stand();
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
    let site = stand();
    let browser = site.guest();
    let (pending, write) = begin(&site, &browser, post("/cart"));
    write.reply(ok().session("Patch", r#"{"cart":["apple"]}"#));
    let lost = pending.lose().ticket();
    site.wait(600);
    assert_ne!(site.patch(&browser, r#"{"cart":["pear"]}"#).ticket().secret, lost.secret);
    assert_eq!(site.look(&browser).data(), Some(json!({"cart": ["pear"]})));
}

#[test]
fn a_client_that_goes_away_before_its_answer_changes_nothing() {
    let site = stand();
    let browser = site.keep(r#"{"cart":["apple"]}"#);
    let (pending, mut exchange) = begin(&site, &browser, post("/slow"));
    drop(pending);
    assert!(exchange.is_given_up(), "the upstream request should be cancelled");
    assert_eq!(site.look(&browser).data(), Some(json!({"cart": ["apple"]})));
}
