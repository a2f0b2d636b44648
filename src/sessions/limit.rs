//! How many sessions a user may have at once: what a login ends when it is one more.
//!
//! A login is stored first, and then looks at the sessions of its user until it stands among no more than are allowed.
//! The last of several logins to look sees all of them. So however many there are at once, in whatever store and
//! through however many gateways, no more than the limit are left.
//!
//! - What ends is what has been idle longest, of what stands *before* the login in an order that all of them see alike. So
//!   logins at once do not end each other.
//! - A login that others have outrun, or ended before it was done, begins again behind all that it has seen. So the one that
//!   is answered last is live, and a double click on "log in" logs in.
//! - It waits for some looks before it does so, the more the oftener it has been outrun, and no two the same: those who
//!   begin again all the time would outrun each other for ever. If it finds no place for all that, it ends itself and fails.
//!   That takes a dozen logins of one user in the same moment. The limit holds; whose login failed may try again.
//! - A store that fails once the login is stored costs nobody the login, whose old ticket is dead by then. What is too many
//!   stays until the user's next login.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::sync::Arc;

use super::{Error, Sessions};
use crate::session::{Entry, PublicId, Secret, Session, StoreKey, UnixTime};

/// How often a login looks. More than three looks take logins of the same user at the same time.
const MOST_LOOKS: usize = 64;
/// Fewer looks than this pass before a login that is outrun begins again.
const MOST_PATIENCE: usize = 16;

/// A session that has just begun by a login, and what its ticket is made of.
pub(super) struct Login {
    pub(super) session: Arc<Session>,
    pub(super) secret: Secret,
    pub(super) key: StoreKey,
}

type Stored = (StoreKey, Arc<Session>);

impl Sessions {
    /// Ends what a login has made too many, and says as what it stands in the end. Where no limit is set, nothing is
    /// asked.
    pub(super) async fn keep_to_limit(&self, mut login: Login, now: UnixTime) -> Result<Login, Error> {
        let Some(most) = self.settings.max_per_user else { return Ok(login) };
        // Boxed, for most do without it.
        match Box::pin(self.make_room(most, &mut login, now)).await {
            Err(Error::Contended) => Err(Error::Contended),
            Ok(()) | Err(Error::Store(_)) => Ok(login),
        }
    }

    async fn make_room(&self, most: NonZeroUsize, login: &mut Login, now: UnixTime) -> Result<(), Error> {
        // Whoever stands behind this one is done, or about to end it: a second look tells.
        let (mut patience, mut below) = (1, 1);
        for _ in 0..MOST_LOOKS {
            let user = login.session.user.as_deref().expect("a login has a user");
            let found = self.store.by_user(user, now).await?;
            let is_there = found.iter().any(|(key, _)| *key == login.key);
            // By id: a session that is just being renewed stands in two places.
            let ids: BTreeSet<PublicId> = found.iter().map(|(_, session)| session.id).collect();
            let excess = ids.len().saturating_sub(most.get());
            let ending = longest_idle(&found, login, excess, now);
            if is_there && ending.len() == excess {
                if self.end_each(&found, &ending, now).await? && (excess == 0 || self.stands(login, now).await?) {
                    return Ok(());
                }
            } else if patience > 0 {
                patience -= 1;
            } else {
                self.begin_again(login, &found, is_there, now).await?;
                below = (below * 2).min(MOST_PATIENCE);
                // A key is random.
                patience = usize::from(login.key.as_bytes()[0]) % below;
            }
        }
        self.counters.over_limit.add(u64::from(self.end_stored(login.key, now).await?));
        Err(Error::Contended)
    }

    /// Says whether all were ended here, and not some of them changed by others meanwhile.
    async fn end_each(&self, found: &[Stored], ending: &BTreeSet<PublicId>, now: UnixTime) -> Result<bool, Error> {
        let mut ended = BTreeSet::new();
        for (key, session) in found.iter().filter(|(_, session)| ending.contains(&session.id)) {
            if self.end_stored(*key, now).await? && ended.insert(session.id) {
                self.counters.over_limit.increment();
            }
        }
        Ok(ended.len() == ending.len())
    }

    /// Whether no other login has ended it.
    async fn stands(&self, login: &Login, now: UnixTime) -> Result<bool, Error> {
        Ok(matches!(self.store.load_anew(&login.key, now).await?, Some(Entry::Live(_))))
    }

    /// The same session behind all that were found, under another secret: nobody has the ticket yet. Stored before what
    /// it replaces ends, so that there is one at any time.
    async fn begin_again(
        &self,
        login: &mut Login,
        found: &[Stored],
        is_there: bool,
        now: UnixTime,
    ) -> Result<(), Error> {
        let secret = Secret::random();
        let key = secret.store_key();
        let others = found.iter().map(|(_, session)| session.version).max().unwrap_or_default();
        let version = others.max(login.session.version).saturating_add(1);
        let session = Session { id: key.into(), version, ..Session::clone(&login.session) };
        let session = self.store.insert(&key, session).await?;
        let before = std::mem::replace(login, Login { session, secret, key });
        // Where another login has ended it, that is counted, and so is this second beginning.
        if !(is_there && self.end_stored(before.key, now).await?) {
            self.counters.logged_in.increment();
        }
        Ok(())
    }
}

/// The ids of so many sessions before a login, the longest idle ones, or of all there are.
fn longest_idle(found: &[Stored], login: &Login, count: usize, now: UnixTime) -> BTreeSet<PublicId> {
    // A session from a gateway whose clock is ahead of ours has not begun after this login.
    let place = |key: &StoreKey, session: &Session| (session.created.min(now), session.version, *key);
    let own = place(&login.key, &login.session);
    let mut before: Vec<_> = found.iter().filter(|(key, session)| place(key, session) < own).collect();
    before.sort_by_key(|(key, session)| (session.last_seen, place(key, session)));
    let mut ids = BTreeSet::new();
    for (_, session) in before {
        if ids.len() == count {
            break;
        }
        ids.insert(session.id);
    }
    ids
}
