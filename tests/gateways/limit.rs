//! `max_per_user` where a user's logins come through several gateways.

use crate::support::redis::Redis;
use crate::support::*;

fn two_gateways(limit: usize, near_cache: bool) -> Site {
    let session = format!("max_per_user = {limit}");
    let site = Site::build().gateways(2).session(&session);
    site.redis(Redis::start(), &format!("near_cache = {near_cache}")).start()
}

/// How often a session was ended because its user had too many.
fn ended(site: &Site) -> u64 {
    site.metric_if_any("session_gateway_sessions_ended_total", &[("reason", "over_limit")]).unwrap_or(0)
}

#[test]
fn a_login_through_another_gateway_ends_a_session_that_this_one_keeps() {
    let site = two_gateways(1, true);
    let bob = site.at(0, &site.login("bob"));
    let alice = site.at(0, &site.login("alice"));
    for browser in [&alice, &bob] {
        assert!(site.look(browser).user().is_some());
    }
    let elsewhere = site.at(1, &site.guest());
    site.login_as(&elsewhere, "alice");
    // Redis tells the gateway of it, long before the session would have to be read again.
    eventually("the session is gone", || site.look(&alice.copy()).user().is_none().then_some(()));
    let (seen, answer) = site.visit(&alice, get("/"), ok());
    seen.assert_stranger();
    assert_eq!(answer.sid(), None, "a dead ticket gets no cookie: {}", answer.text_head());
    for index in [0, 1] {
        assert_eq!(site.look(&site.at(index, &elsewhere)).user(), Some("alice"));
        assert_eq!(site.look(&site.at(index, &bob)).user(), Some("bob"));
    }
    assert_eq!(ended(&site), 1);
}

/// The backend answers all of them at once.
#[test]
fn logins_in_parallel_through_two_gateways_leave_as_many_as_the_limit_allows() {
    const LOGINS: usize = 4;
    for limit in [1, 2] {
        let site = two_gateways(limit, true);
        let bob = site.login("bob");
        for round in 0..20 {
            let browsers: Vec<Browser> = (0..LOGINS).map(|index| site.at(index % 2, &site.guest())).collect();
            let pending: Vec<Pending> = browsers.iter().map(|browser| browser.send(post("/login"))).collect();
            let exchanges: Vec<Exchange> = pending.iter().map(|_| site.backend.next()).collect();
            for exchange in exchanges {
                exchange.reply(ok().session("User", "alice"));
            }
            for pending in pending {
                let answer = pending.answer();
                assert_eq!((answer.status(), answer.ticket().kind), (200, Ticket::SESSION), "{}", answer.text_head());
            }
            let live_at = |index| {
                let at_this = browsers.iter().map(|browser| site.look(&site.at(index, &browser.copy())));
                at_this.filter(|seen| seen.user() == Some("alice")).count()
            };
            for index in [0, 1] {
                eventually("the gateway has been told", || (live_at(index) <= limit).then_some(()));
                assert_eq!(live_at(index), limit, "round {round}, at gateway {index}");
            }
        }
        let newest = site.login("alice");
        for (browser, user) in [(&newest, "alice"), (&bob, "bob")] {
            assert_eq!(site.look(browser).user(), Some(user));
        }
        assert_eq!(site.live_sessions(), limit + 1);
    }
}

/// A double click: the browser keeps the cookie of the answer that comes last.
#[test]
fn of_logins_one_after_the_other_the_last_is_live_whatever_gateway_they_come_through() {
    let site = two_gateways(1, false);
    let browser = site.guest();
    for round in 0..20 {
        // Within one second, in whichever order their keys happen to be.
        let before = browser.copy();
        site.login_as(&browser, "alice");
        assert_eq!(site.look(&browser).user(), Some("alice"), "round {round}");
        site.look(&before).assert_no_session();
        let stranger = site.at(round % 2, &site.guest());
        site.login_as(&stranger, "alice");
        assert_eq!(site.look(&stranger).user(), Some("alice"), "round {round}");
        site.look(&browser.copy()).assert_no_session();
    }
}
