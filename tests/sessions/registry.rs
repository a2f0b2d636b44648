//! Sessions seen from outside while they are being renewed.

use std::sync::atomic::{AtomicBool, Ordering};
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

/// Calls `renew` for each of `rounds` in one thread and `revoke` in another, in the same moment but for a little while
/// that differs from round to round; `prepare` before both, `check` after both.
fn collide<T: Sync>(
    rounds: usize,
    prepare: impl Fn() -> T,
    renew: impl Fn(&T) + Sync,
    revoke: impl Fn(&T),
    check: impl Fn(&T),
) {
    for round in 0..rounds {
        let prepared = prepare();
        let ready = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                ready.store(true, Ordering::Release);
                renew(&prepared);
            });
            while !ready.load(Ordering::Acquire) {
                std::hint::spin_loop();
            }
            for _ in 0..round % 256 {
                std::hint::spin_loop();
            }
            revoke(&prepared);
        });
        check(&prepared);
    }
}

#[test]
fn no_revocation_by_id_misses_a_session_because_it_is_being_renewed() {
    let (desk, now) = (Desk::new(), at(RENEWAL_DUE));
    let visit = || desk.visit(&desk.login("alice", START), now);
    collide(
        3000,
        visit,
        |visit| assert_ne!(desk.commit(visit, &nothing(), now), Cookie::Clear),
        |visit| assert_eq!(ready(desk.sessions.revoke(visit.id(), now)), Ok(true)),
        |_| assert_eq!(desk.live(), 0),
    );
}

/// They are so many that some are renewed between the look into the index and the look at them.
#[test]
fn no_revocation_by_user_misses_a_session_because_it_is_being_renewed() {
    let (desk, now) = (Desk::new(), at(RENEWAL_DUE));
    let visits = || (0..100).map(|_| desk.visit(&desk.login("alice", START), now)).collect::<Vec<_>>();
    collide(
        200,
        visits,
        |visits| {
            for visit in visits {
                assert_ne!(desk.commit(visit, &nothing(), now), Cookie::Clear);
            }
        },
        |visits| {
            // In the middle of its move a session stands in two places.
            let ended = ready(desk.sessions.revoke_user("alice", now)).expect("memory does not fail");
            assert!(ended >= visits.len() as u64, "{ended}");
        },
        |_| assert_eq!(desk.live(), 0),
    );
}

/// An edit that comes between a move's two steps has it undone; the revocation may have been told where it led.
#[test]
fn no_revocation_by_id_is_undone_with_a_move() {
    let (desk, now) = (Desk::new(), at(RENEWAL_DUE));
    let visits = || {
        let ticket = desk.login("alice", START);
        (desk.visit(&ticket, now), desk.visit(&ticket, now))
    };
    let survived = std::cell::Cell::new(0);
    collide(
        10_000,
        visits,
        |(visit, other)| {
            thread::scope(|scope| {
                scope.spawn(|| desk.commit(visit, &nothing(), now));
                desk.commit(other, &patch(r#"{"a":1}"#), now);
            });
        },
        |(visit, _)| assert_eq!(ready(desk.sessions.revoke(visit.id(), now)), Ok(true)),
        |(visit, _)| {
            survived.set(survived.get() + desk.live());
            ready(desk.sessions.revoke(visit.id(), now)).expect("memory does not fail");
        },
    );
    assert_eq!(survived.get(), 0, "sessions live on after a revocation that said it had ended them");
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
