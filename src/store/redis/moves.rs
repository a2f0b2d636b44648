//! A session moves to another key.
//!
//! The two keys may be on two servers, so no one step changes both. The session is stored under its new key first, and
//! its old one is left only if nobody has changed it meanwhile. Whoever is cut off in between leaves the session twice,
//! and nobody without it; the spare one is known to no browser, and expires. Renewal arrives at the same new key every
//! time: it takes over what an earlier attempt has left there.

use super::Redis;
use super::reply::INCOMPREHENSIBLE;
use crate::session::{Entry, Session, StoreKey, UnixTime};
use crate::store::record;
use crate::store::{Error, Replace, Replaced};

struct Move {
    old: StoreKey,
    seen: Option<u32>,
    leave: Entry,
    new: StoreKey,
    session: Session,
}

impl Redis {
    pub(in crate::store) async fn replace(&self, step: Replace<'_>, now: UnixTime) -> Result<Replaced, Error> {
        let Replace { old, seen, leave, new, session } = step;
        let (this, step) = (self.clone(), Move { old: *old, seen, leave, new: *new, session });
        self.whole(async move { this.make(step, now).await }).await
    }

    async fn make(&self, step: Move, now: UnixTime) -> Result<Replaced, Error> {
        // Asked first because another mover may have been here: what it wrote under the new key must stand.
        let as_expected = match (self.load_anew(&step.old, now).await?, step.seen) {
            (Some(Entry::Live(session)), Some(version)) => session.version == version,
            (None, None) => true,
            _ => false,
        };
        if !as_expected {
            return Ok(Replaced::Changed);
        }
        let from = step.session.renewed_from.as_ref().filter(|from| ***from == step.old);
        let from = from.map_or_else(Vec::new, |from| record::key(from).to_vec());
        // Before the session is there, since whoever reads the index must not miss it; and after, since whoever reads
        // it in between drops what has no session.
        self.enter(&step.new, &step.session, now).await?;
        match self.create(&step.new, &step.session, &from, now).await?.word() {
            b"done" => {}
            b"taken" => return Ok(Replaced::Taken),
            _ => return Err(INCOMPREHENSIBLE),
        }
        self.enter(&step.new, &step.session, now).await?;
        self.leave(&step, now).await
    }

    async fn leave(&self, step: &Move, now: UnixTime) -> Result<Replaced, Error> {
        let seen = step.seen.map_or_else(String::new, |version| version.to_string());
        let leave = record::meta(&step.leave);
        let arguments = [seen.as_bytes(), leave.as_bytes()];
        let mut reply = self.change(&self.shared.scripts.leave, &step.old, now, &arguments).await?;
        match reply.word() {
            b"done" => {
                self.moved(&step.old, &step.new, &step.session, now).await;
                return Ok(Replaced::Done);
            }
            b"changed" => {}
            _ => return Err(INCOMPREHENSIBLE),
        }
        // A parallel renewal has taken the session there, to the one that this has stored or the same of its own.
        let is_there = reply.text().is_some_and(
            |meta| matches!(record::read_meta(&meta), Ok(Entry::Renewed(renewed)) if renewed.to == step.new),
        );
        if is_there {
            return Ok(Replaced::Changed);
        }
        let version = step.session.version.to_string();
        let mut reply = self.change(&self.shared.scripts.undo, &step.new, now, &[version.as_bytes()]).await?;
        // It was found and ended under its new key meanwhile: it does not live on under the old one.
        if reply.word() == b"ended" {
            let until = reply.text().and_then(|until| str::from_utf8(&until).ok()?.parse().ok());
            self.end(&step.old, false, UnixTime(until.ok_or(INCOMPREHENSIBLE)?), now).await?;
        }
        Ok(Replaced::Changed)
    }
}
