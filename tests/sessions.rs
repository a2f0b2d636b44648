//! The entry table of DESIGN section 4, asked of the sessions directly: what becomes of a request and of a change
//! through it, by what the store has under its ticket's key.

#[path = "sessions/desk.rs"]
mod desk;
#[path = "sessions/limit.rs"]
mod limit;
#[path = "sessions/registry.rs"]
mod registry;
#[path = "sessions/silence.rs"]
mod silence;
#[path = "support/mod.rs"]
mod support;

use desk::*;
use session_gateway::session::ticket::Signed;
use session_gateway::session::{Change, End, Kind, PublicId, UnixTime};
use session_gateway::sessions::{Cookie, Standing, Visit};

/// When a request was let in whose answer comes now.
#[derive(Clone, Copy, Debug)]
enum LetIn {
    /// While its ticket's session was live.
    Before,
    /// Now, with the ticket's entry as it is.
    After,
}

const BOTH: [LetIn; 2] = [LetIn::Before, LetIn::After];

/// A ticket whose entry is one row of the table. Its session was alice's, with `{"a":1}`.
struct Row {
    desk: Desk,
    ticket: Signed,
    /// The ticket that the browser has instead.
    next: Option<Signed>,
    /// A request let in while the session was live, and not yet answered.
    before: Visit,
    now: UnixTime,
}

impl Row {
    fn live() -> Self {
        let desk = Desk::new();
        let ticket = desk.login("alice", START);
        assert_eq!(desk.ask(&ticket, &patch(r#"{"a":1}"#), START), Cookie::Keep);
        let before = desk.visit(&ticket, at(5));
        Self { desk, ticket, next: None, before, now: at(10) }
    }

    /// Renewed because of its age, in the last second in which the old ticket opens the session.
    fn renewed() -> Self {
        let Self { desk, ticket, .. } = Self::live();
        let due = at(RENEWAL_DUE);
        let before = desk.visit(&ticket, due);
        let next = set(desk.ask(&ticket, &nothing(), due));
        assert_ne!(desk.key(&next), desk.key(&ticket));
        Self { desk, ticket, next: Some(next), before, now: at(RENEWAL_DUE + OLD_TICKET - 1) }
    }

    /// The same, one second on.
    fn renewed_until_now() -> Self {
        Self { now: at(RENEWAL_DUE + OLD_TICKET), ..Self::renewed() }
    }

    /// By another login of alice's, in the last second in which that is remembered.
    fn superseded() -> Self {
        let Self { desk, ticket, before, now, .. } = Self::live();
        let next = set(desk.ask(&ticket, &log_in("alice"), now));
        Self { desk, ticket, next: Some(next), before, now: UnixTime(now.0 + TOMBSTONE - 1) }
    }

    /// By a logout, in the last second in which that is remembered.
    fn ended() -> Self {
        let Self { desk, ticket, before, now, .. } = Self::live();
        assert_eq!(desk.ask(&ticket, &end(End::This), now), Cookie::Clear);
        Self { desk, ticket, next: None, before, now: UnixTime(now.0 + TOMBSTONE - 1) }
    }

    /// A moment ago, with a request under way that came just before.
    fn expired() -> Self {
        let Self { desk, ticket, .. } = Self::live();
        let before = desk.poll(&ticket, at(IDLE - 1));
        Self { desk, ticket, next: None, before, now: at(IDLE + 5) }
    }

    /// The answer to a request asks for this change.
    fn ask(&self, let_in: LetIn, change: &Change) -> Cookie {
        match let_in {
            LetIn::Before => {
                assert!(matches!(self.before.standing, Standing::Live(_)));
                self.desk.commit(&self.before, change, self.now)
            }
            LetIn::After => self.desk.ask(&self.ticket, change, self.now),
        }
    }

    fn next(&self) -> &Signed {
        self.next.as_ref().expect("a row whose session has another ticket now")
    }

    fn dropped(&self) -> u64 {
        self.desk.counters.dropped.get()
    }

    /// Fails unless a change is dropped and counted, without a cookie and without anything being stored.
    fn assert_drops(&self, let_in: LetIn, change: &Change) {
        let (live, dropped) = (self.desk.live(), self.dropped());
        assert_eq!(self.ask(let_in, change), Cookie::Keep, "let in {let_in:?}: {change:?}");
        assert_eq!((self.desk.live(), self.dropped()), (live, dropped + 1), "let in {let_in:?}: {change:?}");
    }

    /// Fails unless the session's old and new tickets are dead and `fresh` opens this user's session.
    fn assert_moved(&self, fresh: &Signed, user: &str, data: &str) {
        let desk = &self.desk;
        let session = desk.session(fresh, self.now);
        assert_eq!((session.user.as_deref(), session.data.as_str()), (Some(user), data));
        assert_eq!(session.id, PublicId::from(desk.key(fresh)), "a new secret, and a new id with it");
        desk.assert_dead(&self.ticket, self.now);
        if let Some(next) = &self.next {
            desk.assert_dead(next, self.now);
        }
        assert_eq!(desk.live(), 1);
    }
}

// ---- Live

#[test]
fn a_live_ticket_opens_its_session() {
    let Row { desk, ticket, now, .. } = Row::live();
    let visit = desk.visit(&ticket, now);
    assert!(matches!(visit.standing, Standing::Live(_)) && !visit.is_new());
    assert_eq!(*visit.id(), PublicId::from(desk.key(&ticket)));
    desk.assert_live(&ticket, "alice", r#"{"a":1}"#, now);
    assert_eq!(desk.commit(&visit, &nothing(), now), Cookie::Keep);
}

#[test]
fn an_edit_through_a_live_ticket_is_applied_to_the_session_as_it_stands() {
    let row = Row::live();
    assert_eq!(row.ask(LetIn::After, &patch(r#"{"a":null,"b":2}"#)), Cookie::Keep);
    assert_eq!(row.ask(LetIn::Before, &patch(r#"{"c":3}"#)), Cookie::Keep);
    row.desk.assert_live(&row.ticket, "alice", r#"{"b":2,"c":3}"#, row.now);
}

#[test]
fn a_login_through_a_live_ticket_supersedes_it() {
    for let_in in BOTH {
        for (user, data) in [("alice", r#"{"a":1}"#), ("bob", "{}")] {
            let row = Row::live();
            let fresh = set(row.ask(let_in, &log_in(user)));
            row.assert_moved(&fresh, user, data);
            assert_eq!(row.desk.session(&fresh, row.now).created, row.now, "a lifetime begins at login");
        }
    }
}

#[test]
fn an_end_through_a_live_ticket_ends_its_session() {
    for let_in in BOTH {
        for ending in [End::This, End::All] {
            let row = Row::live();
            assert_eq!(row.ask(let_in, &end(ending)), Cookie::Clear);
            row.desk.assert_dead(&row.ticket, row.now);
            assert_eq!(row.desk.live(), 0);
        }
    }
}

#[test]
fn a_renewal_asked_for_through_a_live_ticket_supersedes_it() {
    for let_in in BOTH {
        let row = Row::live();
        let fresh = set(row.ask(let_in, &renew()));
        row.assert_moved(&fresh, "alice", r#"{"a":1}"#);
        assert_eq!(row.desk.session(&fresh, row.now).created, START, "a renewal begins no lifetime");
    }
}

// ---- Renewed, before `until`

#[test]
fn a_renewed_ticket_opens_the_session_where_it_is_now_and_gets_its_ticket() {
    for let_in in BOTH {
        let row = Row::renewed();
        row.desk.assert_live(&row.ticket, "alice", r#"{"a":1}"#, row.now);
        assert_eq!(row.desk.session(&row.ticket, row.now).id, PublicId::from(row.desk.key(&row.ticket)), "the same id");
        assert_eq!(set(row.ask(let_in, &nothing())), *row.next(), "let in {let_in:?}");
    }
}

#[test]
fn an_edit_through_a_renewed_ticket_reaches_the_session_and_gets_its_ticket() {
    for let_in in BOTH {
        let row = Row::renewed();
        assert_eq!(set(row.ask(let_in, &patch(r#"{"b":2}"#))), *row.next(), "let in {let_in:?}");
        row.desk.assert_live(row.next(), "alice", r#"{"a":1,"b":2}"#, row.now);
        assert_eq!(row.desk.live(), 1);
    }
}

#[test]
fn a_login_through_a_renewed_ticket_supersedes_the_new_one() {
    for let_in in BOTH {
        let row = Row::renewed();
        let fresh = set(row.ask(let_in, &log_in("alice")));
        row.assert_moved(&fresh, "alice", r#"{"a":1}"#);
    }
}

#[test]
fn an_end_through_a_renewed_ticket_ends_the_session_where_it_is_now() {
    for let_in in BOTH {
        let row = Row::renewed();
        assert_eq!(row.ask(let_in, &end(End::This)), Cookie::Clear, "let in {let_in:?}");
        row.desk.assert_dead(&row.ticket, row.now);
        row.desk.assert_dead(row.next(), row.now);
        assert_eq!(row.desk.live(), 0);
    }
}

#[test]
fn a_renewal_asked_for_through_a_renewed_ticket_supersedes_the_new_one() {
    for let_in in BOTH {
        let row = Row::renewed();
        let fresh = set(row.ask(let_in, &renew()));
        row.assert_moved(&fresh, "alice", r#"{"a":1}"#);
    }
}

// ---- Renewed, from `until` on: nobody new is let in, and who was let in before is followed

#[test]
fn a_renewed_ticket_opens_nothing_from_until_on() {
    let row = Row::renewed_until_now();
    row.desk.assert_dead(&row.ticket, row.now);
    assert_eq!(row.ask(LetIn::After, &nothing()), Cookie::Keep);
    row.desk.assert_live(row.next(), "alice", r#"{"a":1}"#, row.now);
    // Ten seconds after the new ticket has come back, where that is sooner.
    let row = Row::renewed();
    row.desk.visit(row.next(), at(RENEWAL_DUE + 20));
    row.desk.assert_live(&row.ticket, "alice", r#"{"a":1}"#, at(RENEWAL_DUE + 29));
    row.desk.assert_dead(&row.ticket, at(RENEWAL_DUE + 30));
}

#[test]
fn an_edit_through_a_renewed_ticket_is_dropped_from_until_on_unless_let_in_before() {
    let row = Row::renewed_until_now();
    row.assert_drops(LetIn::After, &patch(r#"{"b":2}"#));
    row.desk.assert_live(row.next(), "alice", r#"{"a":1}"#, row.now);
    assert_eq!(set(row.ask(LetIn::Before, &patch(r#"{"c":3}"#))), *row.next());
    row.desk.assert_live(row.next(), "alice", r#"{"a":1,"c":3}"#, row.now);
}

#[test]
fn a_login_through_a_renewed_ticket_from_until_on_is_a_session_of_its_own_unless_let_in_before() {
    let row = Row::renewed_until_now();
    let fresh = set(row.ask(LetIn::After, &log_in("alice")));
    row.desk.assert_live(&fresh, "alice", "{}", row.now);
    row.desk.assert_live(row.next(), "alice", r#"{"a":1}"#, row.now);
    let row = Row::renewed_until_now();
    let fresh = set(row.ask(LetIn::Before, &log_in("alice")));
    row.assert_moved(&fresh, "alice", r#"{"a":1}"#);
}

#[test]
fn an_end_through_a_renewed_ticket_is_dropped_from_until_on_unless_let_in_before() {
    let row = Row::renewed_until_now();
    row.assert_drops(LetIn::After, &end(End::This));
    row.desk.assert_live(row.next(), "alice", r#"{"a":1}"#, row.now);
    assert_eq!(row.ask(LetIn::Before, &end(End::This)), Cookie::Clear);
    row.desk.assert_dead(row.next(), row.now);
    assert_eq!(row.desk.live(), 0);
}

#[test]
fn a_renewal_asked_for_through_a_renewed_ticket_is_dropped_from_until_on_unless_let_in_before() {
    let row = Row::renewed_until_now();
    row.assert_drops(LetIn::After, &renew());
    row.desk.assert_live(row.next(), "alice", r#"{"a":1}"#, row.now);
    let fresh = set(row.ask(LetIn::Before, &renew()));
    row.assert_moved(&fresh, "alice", r#"{"a":1}"#);
}

// ---- Superseded

#[test]
fn a_superseded_ticket_opens_nothing_and_gets_no_cookie() {
    for let_in in BOTH {
        let row = Row::superseded();
        row.desk.assert_dead(&row.ticket, row.now);
        assert_eq!(row.ask(let_in, &nothing()), Cookie::Keep, "let in {let_in:?}");
    }
}

#[test]
fn an_edit_through_a_superseded_ticket_is_dropped() {
    for let_in in BOTH {
        let row = Row::superseded();
        row.assert_drops(let_in, &patch(r#"{"b":2}"#));
        row.desk.assert_live(row.next(), "alice", r#"{"a":1}"#, row.now);
    }
}

#[test]
fn a_login_through_a_superseded_ticket_is_a_session_of_its_own() {
    for let_in in BOTH {
        let row = Row::superseded();
        let fresh = set(row.ask(let_in, &log_in("bob")));
        row.desk.assert_live(&fresh, "bob", "{}", row.now);
        row.desk.assert_live(row.next(), "alice", r#"{"a":1}"#, row.now);
        row.desk.assert_dead(&row.ticket, row.now);
    }
}

#[test]
fn an_end_through_a_superseded_ticket_is_void() {
    for let_in in BOTH {
        for ending in [End::This, End::Others] {
            let row = Row::superseded();
            assert_eq!(row.ask(let_in, &end(ending)), Cookie::Keep, "let in {let_in:?}: {ending:?}");
            row.desk.assert_live(row.next(), "alice", r#"{"a":1}"#, row.now);
        }
    }
}

#[test]
fn a_renewal_asked_for_through_a_superseded_ticket_is_dropped() {
    for let_in in BOTH {
        let row = Row::superseded();
        row.assert_drops(let_in, &renew());
        row.desk.assert_live(row.next(), "alice", r#"{"a":1}"#, row.now);
    }
}

// ---- Ended

#[test]
fn an_ended_ticket_opens_nothing_and_gets_no_cookie() {
    for let_in in BOTH {
        let row = Row::ended();
        row.desk.assert_dead(&row.ticket, row.now);
        assert_eq!(row.ask(let_in, &nothing()), Cookie::Keep, "let in {let_in:?}");
    }
}

#[test]
fn an_edit_through_an_ended_ticket_is_dropped() {
    for let_in in BOTH {
        let row = Row::ended();
        row.assert_drops(let_in, &patch(r#"{"b":2}"#));
        row.desk.assert_dead(&row.ticket, row.now);
    }
}

#[test]
fn a_login_through_an_ended_ticket_is_a_session_of_its_own() {
    for let_in in BOTH {
        let row = Row::ended();
        let fresh = set(row.ask(let_in, &log_in("alice")));
        row.assert_moved(&fresh, "alice", "{}");
    }
}

#[test]
fn an_end_through_an_ended_ticket_is_void() {
    for let_in in BOTH {
        for ending in [End::This, End::Others, End::All] {
            let row = Row::ended();
            assert_eq!(row.ask(let_in, &end(ending)), Cookie::Keep, "let in {let_in:?}: {ending:?}");
        }
    }
}

#[test]
fn a_renewal_asked_for_through_an_ended_ticket_is_dropped() {
    for let_in in BOTH {
        let row = Row::ended();
        row.assert_drops(let_in, &renew());
        row.desk.assert_dead(&row.ticket, row.now);
    }
}

// ---- nothing: expired, forgotten, or never there

#[test]
fn a_ticket_under_which_nothing_is_stored_makes_a_fresh_guest() {
    let row = Row::expired();
    // Another gateway's, with the same key and another store.
    let foreign = Desk::new().login("mallory", row.now);
    for ticket in [&row.ticket, &foreign] {
        row.desk.assert_unknown(ticket, row.now);
        let guest = row.desk.read(&set(row.desk.ask(ticket, &nothing(), row.now)));
        assert_eq!((guest.kind, guest.issued_at), (Kind::Guest, row.now));
        assert_ne!(guest.secret, row.desk.read(ticket).secret);
    }
    assert_eq!(row.ask(LetIn::Before, &nothing()), Cookie::Keep);
}

#[test]
fn an_edit_where_nothing_is_stored_gives_birth_under_another_secret() {
    for let_in in BOTH {
        let row = Row::expired();
        row.desk.sweep(row.now);
        let born = set(row.ask(let_in, &patch(r#"{"b":2}"#)));
        let session = row.desk.session(&born, row.now);
        assert_eq!((session.user.as_deref(), session.data.as_str()), (None, r#"{"b":2}"#));
        assert_eq!(row.desk.read(&born).kind, Kind::Session);
        assert_ne!(row.desk.key(&born), row.desk.key(&row.ticket), "the old key is never revived");
        row.desk.assert_dead(&row.ticket, row.now);
        // The next one's answer does not overwrite the first one's cookie.
        row.assert_drops(LetIn::Before, &patch(r#"{"c":3}"#));
        row.assert_drops(LetIn::After, &patch(r#"{"c":3}"#));
    }
}

#[test]
fn an_edit_is_dropped_where_nothing_is_stored_and_what_was_may_be_forgotten() {
    for row in [Row::superseded(), Row::ended(), Row::expired(), Row::renewed()] {
        // Past every tombstone, and past what a renewed ticket is remembered for.
        let row = Row { now: UnixTime(row.now.0 + 2 * OLD_TICKET), ..row };
        if let Some(next) = &row.next {
            assert_eq!(row.desk.ask(next, &end(End::This), row.now), Cookie::Clear);
        }
        let row = Row { now: UnixTime(row.now.0 + 2 * OLD_TICKET), ..row };
        row.desk.sweep(row.now);
        row.desk.assert_unknown(&row.ticket, row.now);
        row.assert_drops(LetIn::Before, &patch(r#"{"late":true}"#));
        assert_eq!(row.ask(LetIn::Before, &nothing()), Cookie::Keep);
    }
}

#[test]
fn a_login_where_nothing_is_stored_is_a_session_of_its_own() {
    for let_in in BOTH {
        let row = Row::expired();
        row.desk.sweep(row.now);
        let fresh = set(row.ask(let_in, &log_in("alice")));
        row.assert_moved(&fresh, "alice", "{}");
    }
}

#[test]
fn an_end_where_nothing_is_stored_ends_nothing() {
    let row = Row::expired();
    row.desk.sweep(row.now);
    let other = row.desk.login("alice", row.now);
    assert_eq!(row.ask(LetIn::Before, &end(End::This)), Cookie::Keep);
    assert_eq!(row.desk.read(&set(row.ask(LetIn::After, &end(End::This)))).kind, Kind::Guest);
    row.desk.assert_live(&other, "alice", "{}", row.now);
}

#[test]
fn a_renewal_asked_for_where_nothing_is_stored_leaves_a_fresh_guest() {
    for let_in in BOTH {
        let row = Row::expired();
        row.desk.sweep(row.now);
        let guest = row.desk.read(&set(row.ask(let_in, &renew())));
        assert_eq!(guest.kind, Kind::Guest);
        assert_ne!(guest.secret, row.desk.read(&row.ticket).secret);
        row.desk.assert_dead(&row.ticket, row.now);
        assert_eq!(row.desk.live(), 0);
    }
}
