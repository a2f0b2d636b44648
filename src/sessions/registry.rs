//! Sessions seen from outside: listed, shown, revoked.

use std::sync::Arc;

use super::{Error, MOST_RENEWALS, Sessions};
use crate::session::{PublicId, Session, StoreKey, UnixTime};
use crate::store::Ended;

/// How often a user's sessions are looked for again. More than two looks take logins that race with the logout.
const MOST_LOOKS: usize = 32;

impl Sessions {
    /// Every live session of a user.
    pub async fn list(&self, user: &str, now: UnixTime) -> Result<Vec<Arc<Session>>, Error> {
        Ok(self.store.by_user(user, now).await?.into_iter().map(|(_, session)| session).collect())
    }

    /// The live session with a public id.
    pub async fn show(&self, id: &PublicId, now: UnixTime) -> Result<Option<Arc<Session>>, Error> {
        Ok(self.store.by_id(id, now).await?.map(|(_, session)| session))
    }

    /// Ends one session; says whether there was one.
    pub async fn revoke(&self, id: &PublicId, now: UnixTime) -> Result<bool, Error> {
        // Found again after each try: renewal may have moved it in between.
        for _ in 0..MOST_RENEWALS {
            let Some((key, _)) = self.store.by_id(id, now).await? else {
                return Ok(false);
            };
            if self.end_stored(key, now).await? {
                self.counters.revoked.increment();
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Ends every session of a user; says how many.
    pub async fn revoke_user(&self, user: &str, now: UnixTime) -> Result<u64, Error> {
        let ended = self.end_all_of(user, None, now).await?;
        self.counters.revoked.add(ended);
        Ok(ended)
    }

    /// Ends every session of a user but the one with that id. A session that is just being moved to a new ticket stands
    /// in the index under the new key before the old one is left: what one look misses, the next one finds.
    pub(super) async fn end_all_of(&self, user: &str, except: Option<PublicId>, now: UnixTime) -> Result<u64, Error> {
        let mut ended = 0;
        for _ in 0..MOST_LOOKS {
            let mut found = self.store.by_user(user, now).await?;
            found.retain(|(_, session)| Some(session.id) != except);
            if found.is_empty() {
                return Ok(ended);
            }
            for (key, _) in found {
                ended += u64::from(self.end_stored(key, now).await?);
            }
        }
        Err(Error::Contended)
    }

    /// Ends the session under a key, wherever renewal has moved it; says whether there was one.
    pub(super) async fn end_stored(&self, mut key: StoreKey, now: UnixTime) -> Result<bool, Error> {
        for _ in 0..MOST_RENEWALS {
            match self.store.end(&key, false, self.tombstone(now), now).await? {
                Ended::Session(_) => return Ok(true),
                Ended::Renewed(renewed) => key = renewed.to,
                Ended::Marked | Ended::Dead | Ended::Nothing => return Ok(false),
            }
        }
        Ok(false)
    }
}
