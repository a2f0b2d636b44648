//! Sessions over a store in memory, asked directly: no sockets, and every step is told the time.

use std::num::NonZeroUsize;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use session_gateway::session::lifetime::{self, Limits};
use session_gateway::session::ticket::{Signed, Verified};
use session_gateway::session::{
    Change, Edit, End, KeyRing, Lifetimes, Patch, PublicId, Session, StoreKey, Ticket, UnixTime, change,
};
use session_gateway::sessions::{Answer, Cookie, Counters, Error, Sessions, Settings, Standing, Visit};
use session_gateway::store::{Memory, Store, memory};

/// When the first request comes.
pub(crate) const START: UnixTime = UnixTime(1_800_000_000);
/// After how many seconds a ticket is renewed.
pub(crate) const RENEWAL_DUE: u64 = 3600;
/// For how many seconds after that the old one opens the session, where nobody has shown the new one.
pub(crate) const OLD_TICKET: u64 = lifetime::OLD_TICKET.as_secs();
/// After how many seconds without a request a user's session expires.
pub(crate) const IDLE: u64 = 7200;
/// For how many seconds a dead ticket is remembered.
pub(crate) const TOMBSTONE: u64 = 60;

/// So many seconds after the start.
pub(crate) fn at(seconds: u64) -> UnixTime {
    UnixTime(START.0 + seconds)
}

/// What a future is at once: a store in memory is waited for by nobody.
pub(crate) fn ready<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("a store in memory never waits"),
    }
}

pub(crate) fn nothing() -> Change {
    Change::default()
}

pub(crate) fn patch(json: &str) -> Change {
    let patch = Patch::parse(json.as_bytes()).expect("a patch");
    Change { edit: Edit { patch: Some(patch), ..Edit::default() }, ..Change::default() }
}

pub(crate) fn log_in(user: &str) -> Change {
    Change { user: Some(change::user(user.as_bytes()).expect("a user")), ..Change::default() }
}

pub(crate) fn end(which: End) -> Change {
    Change { end: Some(which), ..Change::default() }
}

pub(crate) fn renew() -> Change {
    Change { renew: true, ..Change::default() }
}

/// The ticket that a cookie sets.
pub(crate) fn set(cookie: Cookie) -> Signed {
    let Cookie::Set { ticket, .. } = cookie else { panic!("a ticket should be set: {cookie:?}") };
    ticket
}

/// One worker's sessions, with all that they stand on.
pub(crate) struct Desk {
    pub(crate) store: Store,
    pub(crate) ring: Arc<KeyRing>,
    pub(crate) counters: Arc<Counters>,
    settings: Arc<Settings>,
    pub(crate) sessions: Sessions,
}

impl Desk {
    pub(crate) fn new() -> Self {
        Self::with_room_for(100_000)
    }

    pub(crate) fn with_room_for(max_sessions: usize) -> Self {
        let limits =
            |idle, lifetime| Limits { idle: Duration::from_secs(idle), lifetime: Duration::from_secs(lifetime) };
        let lifetimes = Lifetimes {
            user: limits(IDLE, 43_200),
            anonymous: limits(86_400, 604_800),
            persistent: limits(2_678_400, 2_678_400),
            renew_after: Duration::from_secs(RENEWAL_DUE),
            touch_after: Duration::from_mins(1),
            tombstone: Duration::from_secs(TOMBSTONE),
        };
        let memory = Memory::new(memory::Settings { max_sessions, max_bytes: 1 << 30 }, lifetimes.clone());
        let store = Store::Memory(Arc::new(memory));
        let ring = Arc::new(KeyRing::new(&[[1; 32]], "__Host-sid").expect("a key"));
        let settings = Arc::new(Settings { lifetimes, guest_cookie: true, max_data: 1000, max_per_user: None });
        let counters = Arc::new(Counters::default());
        let sessions = Sessions::new(store.clone(), Arc::clone(&ring), Arc::clone(&settings), Arc::clone(&counters));
        Self { store, ring, counters, settings, sessions }
    }

    /// The same, where a user may have so many sessions from now on.
    pub(crate) fn limited_to(self, max_per_user: usize) -> Self {
        let max_per_user = NonZeroUsize::new(max_per_user);
        let settings = Arc::new(Settings { max_per_user, ..Settings::clone(&self.settings) });
        let (ring, counters) = (Arc::clone(&self.ring), Arc::clone(&self.counters));
        let sessions = Sessions::new(self.store.clone(), ring, Arc::clone(&settings), counters);
        Self { settings, sessions, ..self }
    }

    /// A request without a ticket.
    pub(crate) fn stranger(&self, now: UnixTime) -> Visit {
        ready(self.sessions.open(None, true, now)).expect("memory does not fail")
    }

    /// A request with this ticket.
    pub(crate) fn visit(&self, ticket: &Signed, now: UnixTime) -> Visit {
        ready(self.sessions.open(self.verified(ticket, now), true, now)).expect("memory does not fail")
    }

    /// The same, where it is no activity.
    pub(crate) fn poll(&self, ticket: &Signed, now: UnixTime) -> Visit {
        ready(self.sessions.open(self.verified(ticket, now), false, now)).expect("memory does not fail")
    }

    fn verified(&self, ticket: &Signed, now: UnixTime) -> Option<Verified> {
        self.sessions.ticket(std::iter::once(&ticket.as_bytes()[..]), now)
    }

    pub(crate) fn try_commit(&self, visit: &Visit, change: &Change, now: UnixTime) -> Result<Cookie, Error> {
        ready(self.sessions.commit(visit, change, Answer::Private, now))
    }

    /// The answer to a request, which asks for this change.
    pub(crate) fn commit(&self, visit: &Visit, change: &Change, now: UnixTime) -> Cookie {
        self.try_commit(visit, change, now).expect("there is room")
    }

    /// A request and its answer at once.
    pub(crate) fn ask(&self, ticket: &Signed, change: &Change, now: UnixTime) -> Cookie {
        self.commit(&self.visit(ticket, now), change, now)
    }

    /// Somebody who logs in.
    pub(crate) fn login(&self, user: &str, now: UnixTime) -> Signed {
        set(self.commit(&self.stranger(now), &log_in(user), now))
    }

    /// A guest.
    pub(crate) fn guest(&self, now: UnixTime) -> Signed {
        set(self.commit(&self.stranger(now), &nothing(), now))
    }

    /// What a cookie's value says.
    pub(crate) fn read(&self, ticket: &Signed) -> Ticket {
        Ticket::verify(ticket.as_bytes(), &self.ring).expect("a ticket of ours").ticket
    }

    pub(crate) fn key(&self, ticket: &Signed) -> StoreKey {
        self.read(ticket).secret.store_key()
    }

    /// The session that a ticket opens.
    pub(crate) fn session(&self, ticket: &Signed, now: UnixTime) -> Session {
        let visit = self.poll(ticket, now);
        visit.session().unwrap_or_else(|| panic!("it should open a session: {:?}", visit.standing)).clone()
    }

    /// Fails unless a ticket opens this user's session with this data.
    pub(crate) fn assert_live(&self, ticket: &Signed, user: &str, data: &str, now: UnixTime) {
        let session = self.session(ticket, now);
        assert_eq!((session.user.as_deref(), session.data.as_str()), (Some(user), data));
    }

    /// Fails unless a ticket is known to be dead.
    pub(crate) fn assert_dead(&self, ticket: &Signed, now: UnixTime) {
        let visit = self.poll(ticket, now);
        assert!(matches!(visit.standing, Standing::Dead), "{:?}", visit.standing);
        self.assert_strange(&visit, ticket);
    }

    /// Fails unless the store knows nothing of a ticket.
    pub(crate) fn assert_unknown(&self, ticket: &Signed, now: UnixTime) {
        let visit = self.poll(ticket, now);
        assert!(matches!(visit.standing, Standing::New { expired: Some(_) }), "{:?}", visit.standing);
        self.assert_strange(&visit, ticket);
    }

    fn assert_strange(&self, visit: &Visit, ticket: &Signed) {
        assert!(visit.is_new() && visit.session().is_none());
        assert_ne!(*visit.id(), PublicId::from(self.key(ticket)), "the old id is not used again");
    }

    /// How many sessions there are.
    pub(crate) fn live(&self) -> usize {
        let Store::Memory(memory) = &self.store else { panic!("it is in memory") };
        memory.stats().live
    }

    /// Drops what has expired, as happens now and then.
    pub(crate) fn sweep(&self, now: UnixTime) {
        let Store::Memory(memory) = &self.store else { panic!("it is in memory") };
        memory.sweep(now);
    }
}
