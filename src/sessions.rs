//! Open, commit, list, revoke: the only caller of a store.
//!
//! [`Sessions::open`] says where a visitor stands, [`Sessions::commit`] applies what the response asks and says what
//! becomes of the browser's cookie. The rules are the entry table of [`Entry`]: whatever is in flight, a ticket that
//! was superseded or ended gets neither a change nor a cookie.

mod commit;
mod cookie;
pub mod counters;
mod limit;
mod privilege;
mod registry;
mod watched;

use std::num::NonZeroUsize;
use std::sync::Arc;

use crate::session::{Entry, KeyRing, Kind, Lifetimes, PublicId, Secret, Session, StoreKey, Ticket, UnixTime};
use crate::session::{lifetime, ticket::Refusal, ticket::Verified};
use crate::store::{self, Store};

pub use cookie::{Answer, Cookie};
pub use counters::Counters;
pub use watched::Watched;

/// What governs sessions, whatever store holds them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long sessions live.
    pub lifetimes: Lifetimes,
    /// Whether a visitor without a session is given a guest ticket before anything is stored.
    pub guest_cookie: bool,
    /// The most bytes of data (as JSON) one session may hold.
    pub max_data: usize,
    /// How many sessions a user may have at once; as many as there are where it is not set.
    pub max_per_user: Option<NonZeroUsize>,
}

/// How many renewals a ticket is followed through. Each is `renew_after` from the last and remembered for minutes: more
/// in a row than this takes a `renew_after` of seconds.
const MOST_RENEWALS: usize = 16;

/// Opens and commits; one for each worker, over one store.
#[derive(Clone, Debug)]
pub struct Sessions {
    store: Store,
    ring: Arc<KeyRing>,
    settings: Arc<Settings>,
    counters: Arc<Counters>,
}

/// Why a session could not be opened or a change not be stored. Nothing has changed then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The store's reason.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// Others changed the session again and again while this change was tried.
    #[error("the session kept changing while it was to be moved to a new ticket")]
    Contended,
}

/// One request's view of its session, from opening to commit.
#[derive(Debug)]
pub struct Visit {
    /// Where the visitor stands.
    pub standing: Standing,
    /// The secret of the session as it is now, or of the one that would be born.
    secret: Secret,
    key: StoreKey,
    id: PublicId,
    opened_at: UnixTime,
    /// Whether the browser's ticket is not the one it should have: renewed meanwhile, or signed by an older key.
    outdated: bool,
}

/// Where a visitor stands.
#[derive(Clone, Debug)]
pub enum Standing {
    /// Without a valid ticket; `expired` is the key of a ticket of which the store knows nothing any more.
    New {
        /// That key.
        expired: Option<StoreKey>,
    },
    /// With a guest's ticket. The store has not been asked.
    Guest,
    /// In a session.
    Live(Arc<Session>),
    /// With the ticket of a session that was ended or superseded a moment ago.
    Dead,
    /// With the ticket of a session of which nothing is known, because the store could not be asked.
    Unknown(store::Error),
    /// In a session as it was a while ago, for the store cannot be asked how it is now.
    Stale(Arc<Session>, store::Error),
}

impl Visit {
    /// What the upstream is told the session is called.
    pub fn id(&self) -> &PublicId {
        &self.id
    }

    /// The session, where there is one.
    pub fn session(&self) -> Option<&Session> {
        match &self.standing {
            Standing::Live(session) | Standing::Stale(session, _) => Some(session),
            Standing::New { .. } | Standing::Guest | Standing::Dead | Standing::Unknown(_) => None,
        }
    }

    /// Whether the session may be another by now.
    pub fn is_stale(&self) -> bool {
        matches!(self.standing, Standing::Stale(..))
    }

    /// The version of the session, where there is one.
    pub fn version(&self) -> Option<u32> {
        self.session().map(|session| session.version)
    }

    /// Whether the visitor came without a valid ticket.
    pub fn is_new(&self) -> bool {
        matches!(self.standing, Standing::New { .. } | Standing::Dead)
    }

    fn fresh(standing: Standing, now: UnixTime) -> Self {
        let secret = Secret::random();
        let key = secret.store_key();
        Self { standing, secret, key, id: PublicId::from(key), opened_at: now, outdated: false }
    }
}

/// What a ticket is followed for. What was opened in time is committed, however late.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Open,
    Commit,
}

/// What a ticket leads to.
enum Found {
    Live { session: Arc<Session>, secret: Secret, key: StoreKey, moved: bool },
    Dead,
    Nothing,
}

impl Sessions {
    /// One worker's view of a store. `counters` are that worker's alone.
    pub fn new(store: Store, ring: Arc<KeyRing>, settings: Arc<Settings>, counters: Arc<Counters>) -> Self {
        Self { store, ring, settings, counters }
    }

    /// The same view of the same store, by another configuration.
    #[must_use]
    pub fn under(&self, ring: Arc<KeyRing>, settings: Arc<Settings>) -> Self {
        Self { ring, settings, ..self.clone() }
    }

    /// The first of a request's cookie values that is a ticket of ours. No store is asked.
    pub fn ticket<'a>(&self, candidates: impl Iterator<Item = &'a [u8]>, now: UnixTime) -> Option<Verified> {
        for value in candidates {
            match Ticket::verify(value, &self.ring) {
                Ok(verified) if self.settings.lifetimes.outlived(&verified.ticket, now) => {
                    self.counters.outlived.increment();
                }
                Ok(verified) => {
                    self.counters.valid.of(self.ring.id(verified.key)).increment();
                    return Some(verified);
                }
                Err(Refusal::Malformed) => self.counters.malformed.increment(),
                Err(Refusal::UnknownKey) => self.counters.unknown_key.increment(),
                Err(Refusal::Forged) => self.counters.forged.increment(),
            }
        }
        None
    }

    /// Where the bearer of `ticket` stands. Only a session's ticket asks the store. `active` says whether the request
    /// counts as activity.
    pub async fn open(&self, ticket: Option<Verified>, active: bool, now: UnixTime) -> Result<Visit, Error> {
        let Some(Verified { ticket, key: signed_by }) = ticket else {
            return Ok(Visit::fresh(Standing::New { expired: None }, now));
        };
        let outdated = signed_by != 0;
        let key = ticket.secret.store_key();
        if ticket.kind == Kind::Guest {
            let (standing, secret, id) = (Standing::Guest, ticket.secret, PublicId::from(key));
            return Ok(Visit { standing, secret, key, id, opened_at: now, outdated });
        }
        match self.find(ticket.secret, key, Step::Open, now).await? {
            Found::Dead => Ok(Visit::fresh(Standing::Dead, now)),
            Found::Nothing => Ok(Visit::fresh(Standing::New { expired: Some(key) }, now)),
            Found::Live { mut session, secret, key, moved } => {
                // Both are upkeep: a store that has the session and takes no changes serves it all the same, and the
                // next request tries again.
                if !moved && let Some(old) = &session.renewed_from {
                    let _ = self.store.settle(&key, old, now.after(lifetime::OLD_TICKET_AFTER_NEW)).await;
                }
                let is_touched = active
                    && self.settings.lifetimes.touch_due(&session, now)
                    && self.store.touch(&key, now).await.is_ok();
                if is_touched {
                    Arc::make_mut(&mut session).last_seen = now;
                }
                let (id, standing) = (session.id, Standing::Live(session));
                Ok(Visit { standing, secret, key, id, opened_at: now, outdated: outdated || moved })
            }
        }
    }

    /// A visitor whose session could not be opened, and who is served all the same, as one without a session. The
    /// browser's cookie stays as it is, and whatever the response asks is refused.
    pub fn stranger(because: store::Error, now: UnixTime) -> Visit {
        Visit::fresh(Standing::Unknown(because), now)
    }

    /// Where the bearer of a ticket stood a while ago, if that is still known: for who would rather have an old session
    /// than none while the store cannot be asked. As with a stranger, the cookie stays, and whatever the response asks
    /// is refused.
    pub fn open_old(&self, ticket: &Ticket, because: store::Error, now: UnixTime) -> Option<Visit> {
        let key = ticket.secret.store_key();
        let session = self.store.load_old(&key, now)?;
        let (secret, id, standing) = (ticket.secret.clone(), session.id, Standing::Stale(session, because));
        Some(Visit { standing, secret, key, id, opened_at: now, outdated: false })
    }

    /// Whether the store can be asked, by asking it.
    pub async fn check(&self, now: UnixTime) -> Result<(), Error> {
        self.store.load_anew(&StoreKey::FIRST, now).await?;
        Ok(())
    }

    /// Follows a secret to where its session is now.
    async fn find(&self, mut secret: Secret, mut key: StoreKey, step: Step, now: UnixTime) -> Result<Found, Error> {
        for renewals in 0..MOST_RENEWALS {
            // A request may be shown what has just changed; what is decided on its answer's cookie may not rest on
            // that.
            let entry = match step {
                Step::Open => self.store.load(&key, now).await?,
                Step::Commit => self.store.load_anew(&key, now).await?,
            };
            match entry {
                Some(Entry::Live(session)) => {
                    return Ok(Found::Live { session, secret, key, moved: renewals > 0 });
                }
                Some(Entry::Renewed(renewed)) if step == Step::Open && now >= renewed.until => return Ok(Found::Dead),
                Some(Entry::Renewed(renewed)) => match self.ring.follow(&secret, &renewed) {
                    Some(next) => (secret, key) = (next, renewed.to),
                    // Renewed under a key that this gateway does not have.
                    None => return Ok(Found::Dead),
                },
                Some(Entry::Superseded { .. } | Entry::Ended { .. }) => return Ok(Found::Dead),
                // The session that was renewed is gone, and its old ticket is no fresh guest's to overwrite.
                None if renewals > 0 => return Ok(Found::Dead),
                None => return Ok(Found::Nothing),
            }
        }
        Ok(Found::Dead)
    }

    /// When a ticket that dies now may be forgotten.
    fn tombstone(&self, now: UnixTime) -> UnixTime {
        now.after(self.settings.lifetimes.tombstone)
    }

    /// How long sessions live.
    pub fn lifetimes(&self) -> &Lifetimes {
        &self.settings.lifetimes
    }

    /// The keys that sign and verify.
    pub fn ring(&self) -> &KeyRing {
        &self.ring
    }
}
