//! A session that something goes on in for longer than a request.

use super::{Cookie, Error, Found, Sessions, Standing, Step, Visit};
use crate::session::{Kind, Secret, StoreKey, Ticket, UnixTime};

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
    /// The session that a visitor is in by this cookie, if it is one of a session.
    pub fn watched_by(&self, cookie: &Cookie) -> Option<Watched> {
        let Cookie::Set { ticket, .. } = cookie else { return None };
        let ticket = Ticket::verify(ticket.as_bytes(), &self.ring).ok()?.ticket;
        let key = ticket.secret.store_key();
        (ticket.kind == Kind::Session).then_some(Watched { secret: ticket.secret, key })
    }

    /// Whether a session is still there and still the same visitor's: not ended, expired, or moved on by a login. It is
    /// followed through renewals, if it is looked at more often than tickets are remembered. To look at it is no
    /// activity.
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
