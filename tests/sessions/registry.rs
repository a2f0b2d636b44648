//! Sessions seen from outside while they are being renewed.

use std::sync::Barrier;
use std::thread;

use session_gateway::session::{Kind, PublicId, Session, UnixTime};
use session_gateway::sessions::Cookie;

use super::desk::*;

/// The one session of alice's that a list shows.
fn listed(desk: &Desk, now: UnixTime) -> PublicId {
    let sessions = ready(desk.sessions.list("alice", now)).expect("memory does not fail");
    assert_eq!(sessions.len(), 1, "{sessions:?}");
    sessions[0].id
}

#[test]
fn a_session_that_is_being_renewed_is_listed_once_under_its_id() {
    let desk = Desk::new();
    let old = desk.login("alice", START);
    let id = PublicId::from(desk.key(&old));
    let now = at(RENEWAL_DUE);
    assert_eq!(listed(&desk, now), id, "before");
    let new = set(desk.ask(&old, &nothing(), now));
    assert_eq!(listed(&desk, now), id, "renewed");
    desk.visit(&old, now);
    assert_eq!(listed(&desk, now), id, "and the old ticket shown again");
    desk.visit(&new, now);
    assert_eq!(listed(&desk, now), id, "and the new one shown");
    assert_eq!(listed(&desk, at(RENEWAL_DUE + OLD_TICKET)), id, "and the old one forgotten");
    assert_eq!(ready(desk.sessions.show(&id, now)).expect("memory does not fail").map(|session| session.id), Some(id));
}

#[test]
fn a_revocation_by_id_ends_a_session_that_is_being_renewed() {
    for shown in [false, true] {
        let desk = Desk::new();
        let old = desk.login("alice", START);
        let id = PublicId::from(desk.key(&old));
        let now = at(RENEWAL_DUE);
        let slow = desk.visit(&old, now);
        let new = set(desk.ask(&old, &nothing(), now));
        if shown {
            desk.visit(&new, now);
        }
        assert_eq!(ready(desk.sessions.revoke(&id, now)), Ok(true));
        assert_eq!(ready(desk.sessions.revoke(&id, now)), Ok(false), "there is nothing left to revoke");
        for ticket in [&old, &new] {
            desk.assert_dead(ticket, now);
        }
        assert_eq!(desk.commit(&slow, &patch(r#"{"late":true}"#), now), Cookie::Keep);
        assert_eq!((desk.live(), desk.counters.revoked.get()), (0, 1));
    }
}

#[test]
fn a_revocation_by_user_ends_a_session_that_is_being_renewed() {
    let desk = Desk::new();
    let (old, bob) = (desk.login("alice", START), desk.login("bob", START));
    let now = at(RENEWAL_DUE);
    let slow = desk.visit(&old, now);
    let new = set(desk.ask(&old, &nothing(), now));
    assert_eq!(ready(desk.sessions.revoke_user("alice", now)), Ok(1));
    assert_eq!(ready(desk.sessions.revoke_user("alice", now)), Ok(0));
    for ticket in [&old, &new] {
        desk.assert_dead(ticket, now);
    }
    assert_eq!(desk.commit(&slow, &nothing(), now), Cookie::Keep);
    desk.assert_live(&bob, "bob", "{}", now);
}

/// A move writes the new entry first and leaves the old one then; a store that breaks off in between is left with both.
#[test]
fn a_revocation_by_user_ends_a_session_in_the_middle_of_its_move() {
    let desk = Desk::new();
    let old = desk.login("alice", START);
    let moved = Session { renewed_from: Some(Box::new(desk.key(&old))), ..desk.session(&old, START) };
    ready(desk.store.insert(&desk.key(&desk.guest(START)), moved)).expect("there is room");
    assert_eq!((desk.live(), ready(desk.sessions.revoke_user("alice", START))), (2, Ok(2)));
    assert_eq!(desk.live(), 0);
}

/// Renewals and revocations meet in every order, again and again.
#[test]
fn no_revocation_misses_a_session_because_it_is_being_renewed() {
    let (desk, now, rounds) = (Desk::new(), at(RENEWAL_DUE), 4000);
    for round in 0..rounds {
        let old = desk.login("alice", START);
        let id = PublicId::from(desk.key(&old));
        let visit = desk.visit(&old, now);
        let start = Barrier::new(2);
        thread::scope(|scope| {
            scope.spawn(|| {
                start.wait();
                desk.commit(&visit, &nothing(), now)
            });
            start.wait();
            for _ in 0..round % 64 {
                std::hint::spin_loop();
            }
            if round % 2 == 0 {
                // In the middle of its move it stands in two places.
                assert!(matches!(ready(desk.sessions.revoke_user("alice", now)), Ok(1 | 2)), "round {round}");
            } else {
                assert_eq!(ready(desk.sessions.revoke(&id, now)), Ok(true), "round {round}");
            }
        });
        assert_eq!(desk.live(), 0, "round {round}");
        desk.sweep(at(2 * RENEWAL_DUE));
    }
}

/// A guest's ticket that two hold, one of whom planted it.
#[test]
fn two_sessions_born_of_one_guests_ticket_are_never_renewed_into_one() {
    let desk = Desk::new();
    let guest = desk.guest(START);
    let first = set(desk.ask(&guest, &patch(r#"{"who":"first"}"#), START));
    let first = set(desk.ask(&first, &nothing(), at(RENEWAL_DUE)));
    desk.visit(&first, at(RENEWAL_DUE));
    // The old ticket is forgotten by now, and its key is free.
    let later = RENEWAL_DUE + 600;
    desk.sweep(at(later));
    let second = set(desk.ask(&guest, &patch(r#"{"who":"second"}"#), at(later)));
    let second = set(desk.ask(&second, &nothing(), at(later + RENEWAL_DUE)));
    let now = at(later + RENEWAL_DUE);
    assert_eq!((desk.read(&first).kind, desk.read(&second).kind), (Kind::Session, Kind::Session));
    assert_eq!(desk.session(&first, now).data.as_str(), r#"{"who":"first"}"#);
    assert_eq!(desk.session(&second, now).data.as_str(), r#"{"who":"second"}"#);
}
