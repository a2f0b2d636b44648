//! How long sessions live: idle and absolute limits by kind, touching, renewal, tombstones.

use std::time::Duration;

use super::{Kind, Session, Ticket, UnixTime};

/// The two limits of one kind of session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How long a session lives without a request.
    pub idle: Duration,
    /// How long a session lives at all, counted from login (from birth where nobody logged in).
    pub lifetime: Duration,
}

/// Every duration that governs a session's life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    /// Sessions with a user.
    pub user: Limits,
    /// Sessions without one.
    pub anonymous: Limits,
    /// Sessions the backend asked to persist, with or without a user.
    pub persistent: Limits,
    /// The age at which a ticket is replaced while privilege stays the same.
    pub renew_after: Duration,
    /// How stale the stored last-seen time may grow before a request writes it again.
    pub touch_after: Duration,
    /// How long a superseded or ended ticket is remembered. At least the longest time a response head may take,
    /// so that no response begun under the ticket can outlive the memory of its end.
    pub tombstone: Duration,
}

/// How long an old ticket still works once its renewed one has come back.
pub const OLD_TICKET_AFTER_NEW: Duration = Duration::from_secs(10);
/// How long an old ticket still works where its renewed one never comes back.
pub const OLD_TICKET: Duration = Duration::from_mins(5);

impl Lifetimes {
    /// The limits that hold for one session.
    pub fn limits(&self, session: &Session) -> Limits {
        match (session.persistent, &session.user) {
            (true, _) => self.persistent,
            (false, Some(_)) => self.user,
            (false, None) => self.anonymous,
        }
    }

    /// When a session's time is up whatever happens.
    pub fn end(&self, session: &Session) -> UnixTime {
        session.created.after(self.limits(session).lifetime)
    }

    /// The first moment at which a session is no more, unless a request comes before.
    pub fn expiry(&self, session: &Session) -> UnixTime {
        session.last_seen.after(self.limits(session).idle).min(self.end(session))
    }

    /// Whether the last-seen time is worth writing.
    pub fn touch_due(&self, session: &Session, now: UnixTime) -> bool {
        // A tenth of the idle time at most, or a visitor could be taken for idle who never was.
        let due = self.touch_after.min(self.limits(session).idle / 10);
        now.since(session.last_seen) >= due.max(Duration::from_secs(1))
    }

    /// Whether the ticket has reached the age at which it is replaced.
    pub fn renewal_due(&self, session: &Session, now: UnixTime) -> bool {
        now.since(session.issued_at) >= self.renew_after
    }

    /// Whether no session of this ticket's kind could be as old as it.
    pub fn outlived(&self, ticket: &Ticket, now: UnixTime) -> bool {
        let longest = match ticket.kind {
            Kind::Guest => self.anonymous.lifetime,
            Kind::Session => self.user.lifetime.max(self.anonymous.lifetime).max(self.persistent.lifetime),
        };
        now.since(ticket.issued_at) >= longest
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::session::Secret;

    fn hours(idle: u64, lifetime: u64) -> Limits {
        Limits { idle: Duration::from_hours(idle), lifetime: Duration::from_hours(lifetime) }
    }

    pub(crate) fn lifetimes() -> Lifetimes {
        Lifetimes {
            user: hours(1, 12),
            anonymous: hours(24, 168),
            persistent: hours(744, 744),
            renew_after: Duration::from_hours(1),
            touch_after: Duration::from_mins(1),
            tombstone: Duration::from_mins(1),
        }
    }

    fn session(user: bool, persistent: bool) -> Session {
        let key = Secret::random().store_key();
        Session { user: user.then(|| "alice".into()), persistent, ..Session::new(key, UnixTime(1000)) }
    }

    #[test]
    fn each_kind_has_its_own_limits() {
        let lifetimes = lifetimes();
        assert_eq!(lifetimes.limits(&session(true, false)), lifetimes.user);
        assert_eq!(lifetimes.limits(&session(false, false)), lifetimes.anonymous);
        assert_eq!(lifetimes.limits(&session(false, true)), lifetimes.persistent);
        assert_eq!(lifetimes.limits(&session(true, true)), lifetimes.persistent);
    }

    #[test]
    fn activity_extends_a_session_up_to_its_lifetime() {
        let (lifetimes, mut session) = (lifetimes(), session(true, false));
        assert_eq!(lifetimes.expiry(&session), UnixTime(1000 + 3600));
        session.last_seen = UnixTime(1000 + 12 * 3600 - 1);
        assert_eq!(lifetimes.expiry(&session), UnixTime(1000 + 12 * 3600));
    }

    #[test]
    fn the_last_seen_time_is_written_once_a_minute() {
        let (lifetimes, session) = (lifetimes(), session(true, false));
        assert!(!lifetimes.touch_due(&session, UnixTime(1059)));
        assert!(lifetimes.touch_due(&session, UnixTime(1060)));
    }

    #[test]
    fn a_ticket_is_refused_once_no_session_can_be_that_old() {
        let lifetimes = lifetimes();
        let ticket = |kind| Ticket { kind, issued_at: UnixTime(0), secret: Secret::random() };
        let (week, month) = (UnixTime(168 * 3600), UnixTime(744 * 3600));
        assert!(!lifetimes.outlived(&ticket(Kind::Guest), UnixTime(week.0 - 1)));
        assert!(lifetimes.outlived(&ticket(Kind::Guest), week));
        assert!(!lifetimes.outlived(&ticket(Kind::Session), UnixTime(month.0 - 1)));
        assert!(lifetimes.outlived(&ticket(Kind::Session), month));
    }
}
