//! A session that something goes on in for longer than a request.

use super::{Error, Found, Sessions, Standing, Step, Visit};
use crate::session::{Secret, StoreKey, UnixTime};

/// Where a session was when it was last looked at.
#[derive(Debug)]
pub struct Watched {
    secret: Secret,
    key: StoreKey,
}

impl Visit {
    /// The session, to be looked at again; none where there is none, or nobody knows.
    pub fn watched(&self) -> Option<Watched> {
        matches!(self.standing, Standing::Live(_)).then(|| Watched { secret: self.secret.clone(), key: self.key })
    }
}

impl Sessions {
    /// Whether a session is still there and still the same visitor's: not ended, expired, or moved on by a login. It is
    /// followed through renewals, if it is looked at more often than tickets are remembered. To look at it is no activity.
    pub async fn still_stands(&self, watched: &mut Watched, now: UnixTime) -> Result<bool, Error> {
        match self.find(watched.secret.clone(), watched.key, Step::Open, now).await? {
            Found::Live { secret, key, .. } => {
                *watched = Watched { secret, key };
                Ok(true)
            }
            Found::Dead | Found::Nothing => Ok(false),
        }
    }
}
