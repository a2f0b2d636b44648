//! `max_per_user`: a login beyond it ends the user's longest idle other sessions.

use std::sync::Barrier;
use std::thread;

use session_gateway::session::ticket::Signed;
use session_gateway::session::{Change, Kind, Secret, Session, UnixTime};
use session_gateway::sessions::{Error, Standing};

use super::desk::*;

fn is_live(desk: &Desk, ticket: &Signed, now: UnixTime) -> bool {
    matches!(desk.poll(ticket, now).standing, Standing::Live(_))
}

fn ended(desk: &Desk) -> u64 {
    desk.counters.over_limit.get()
}

/// Fails unless whatever began and did not end is there, and nothing else.
fn assert_balanced(desk: &Desk) {
    let counters = &desk.counters;
    let (began, over) = (counters.logged_in.get(), counters.over_limit.get() + counters.superseded.get());
    assert_eq!(began - over, desk.live() as u64, "{began} began, {over} ended");
}

#[test]
fn a_login_beyond_the_limit_ends_the_longest_idle_session() {
    let desk = Desk::new().limited_to(3);
    let tickets = [0, 10, 20].map(|second| desk.login("alice", at(second)));
    let bob = desk.login("bob", at(20));
    // Seen since, unlike the second one, though it began first.
    desk.visit(&tickets[0], at(100));
    assert_eq!(ended(&desk), 0);
    let newest = desk.login("alice", at(200));
    assert_eq!([0, 1, 2].map(|index| is_live(&desk, &tickets[index], at(200))), [true, false, true]);
    assert!(is_live(&desk, &newest, at(200)) && is_live(&desk, &bob, at(200)));
    desk.assert_dead(&tickets[1], at(200));
    assert_eq!(ended(&desk), 1);
}

#[test]
fn a_limit_that_was_lowered_holds_from_the_next_login_on() {
    let desk = Desk::new();
    let tickets: Vec<Signed> = (0..10).map(|second| desk.login("alice", at(second))).collect();
    assert!(tickets.iter().all(|ticket| is_live(&desk, ticket, at(10))));
    let desk = desk.limited_to(2);
    let newest = desk.login("alice", at(20));
    let live = tickets.iter().filter(|ticket| is_live(&desk, ticket, at(20))).count();
    assert_eq!((live, ended(&desk)), (1, 9));
    assert!(is_live(&desk, &tickets[9], at(20)) && is_live(&desk, &newest, at(20)));
}

#[test]
fn a_login_in_place_of_a_session_of_the_same_user_ends_no_other() {
    let desk = Desk::new().limited_to(2);
    let (here, there) = (desk.login("alice", at(0)), desk.login("alice", at(1)));
    let again = set(desk.ask(&here, &log_in("alice"), at(10)));
    assert!(is_live(&desk, &again, at(10)) && is_live(&desk, &there, at(10)));
    assert_eq!(ended(&desk), 0);
}

/// Of two clicks on "log in" the second one's answer is the one that the browser keeps.
#[test]
fn of_logins_within_a_second_the_one_answered_last_is_live() {
    let desk = Desk::new().limited_to(1);
    let guest = desk.guest(START);
    let mut before: Option<Signed> = None;
    // In whichever order their keys happen to be.
    for _ in 0..64 {
        let visit = desk.visit(&guest, START);
        let change = Change { edit: patch(r#"{"cart":["a"]}"#).edit, ..log_in("alice") };
        let ticket = set(desk.commit(&visit, &change, START));
        let session = desk.session(&ticket, START);
        assert_eq!((session.user.as_deref(), session.data.as_str()), (Some("alice"), r#"{"cart":["a"]}"#));
        if let Some(before) = before.replace(ticket) {
            desk.assert_dead(&before, START);
        }
        assert_eq!(desk.live(), 1);
        assert_balanced(&desk);
    }
}

#[test]
fn a_session_that_is_being_renewed_counts_once() {
    let desk = Desk::new().limited_to(2);
    let renewing = desk.login("alice", START);
    // A move writes the new entry first and leaves the old one then.
    let moved = Session { renewed_from: Some(Box::new(desk.key(&renewing))), ..desk.session(&renewing, START) };
    ready(desk.store.insert(&Secret::random().store_key(), moved)).expect("there is room");
    let second = desk.login("alice", at(1));
    assert!(is_live(&desk, &renewing, at(1)) && is_live(&desk, &second, at(1)));
    assert_eq!((desk.live(), ended(&desk)), (3, 0));
    desk.login("alice", at(2));
    desk.assert_dead(&renewing, at(2));
    assert_eq!((desk.live(), ended(&desk)), (2, 1), "it ends in both places, once");
}

/// There is no standing behind the last version, nor by chance behind the last of a million keys.
#[test]
fn a_login_that_finds_no_place_fails_and_leaves_the_limit_as_it_is() {
    let desk = Desk::new().limited_to(1);
    let key = (0..1_000_000).map(|_| Secret::random().store_key()).max().expect("a key");
    let last = Session { user: Some("alice".into()), version: u32::MAX, ..Session::new(key, START) };
    ready(desk.store.insert(&key, last)).expect("there is room");
    let login = desk.try_commit(&desk.stranger(START), &log_in("alice"), START);
    assert_eq!(login, Err(Error::Contended));
    let listed = ready(desk.sessions.list("alice", START)).expect("memory does not fail");
    assert!(listed.len() == 1 && listed[0].version == u32::MAX, "{listed:?}");
    // A second later there is no doubt which is the newer one.
    let login = desk.login("alice", at(1));
    assert!(is_live(&desk, &login, at(1)));
    assert_eq!(desk.live(), 1);
}

#[test]
fn a_user_without_a_limit_has_as_many_sessions_as_wanted() {
    let desk = Desk::new();
    let tickets: Vec<Signed> = (0..100).map(|second| desk.login("alice", at(second))).collect();
    assert!(tickets.iter().all(|ticket| is_live(&desk, ticket, at(100))));
    assert_eq!(ended(&desk), 0);
}

#[test]
fn logins_in_parallel_leave_as_many_as_the_limit_allows() {
    const LOGINS: usize = 4;
    for limit in 1..=2 {
        let desk = Desk::new().limited_to(limit);
        let start = Barrier::new(LOGINS);
        for round in 0..300 {
            let user = format!("user-{round}");
            let tickets: Vec<Signed> = thread::scope(|scope| {
                let logins: Vec<_> = (0..LOGINS)
                    .map(|_| {
                        scope.spawn(|| {
                            start.wait();
                            desk.login(&user, START)
                        })
                    })
                    .collect();
                logins.into_iter().map(|login| login.join().expect("nobody panics")).collect()
            });
            assert!(tickets.iter().all(|ticket| desk.read(ticket).kind == Kind::Session));
            let live = tickets.iter().filter(|ticket| is_live(&desk, ticket, START)).count();
            let listed = ready(desk.sessions.list(&user, START)).expect("memory does not fail").len();
            assert_eq!((live, listed), (limit, limit), "round {round}: live tickets, and live sessions");
        }
        assert_balanced(&desk);
    }
}
