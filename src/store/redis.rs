//! Sessions in a Redis, or Valkey, that many gateways share.
//!
//! | key | what it holds |
//! |---|---|
//! | `PREFIX:s:KEY` | one entry, as a hash: see `record.rs`. The key is a hash of the ticket's secret, never the secret |
//! | `PREFIX:u:USER` | a sorted set: the keys of a user's sessions by the end of their lives. The name is hashed |
//! | `PREFIX:i:ID` | the key of a session that renewal has moved away from the one that its id tells |
//!
//! A change is one script over one key: what is there is looked at, changed and given a time to live in one step.
//! Whether an entry has expired is judged by what it says and by the time that the gateway says it is; the time to live
//! only sees to it that what nobody asks for goes away. No step takes two keys, which may be on two servers of a
//! cluster: see `moves`.

mod cluster;
mod connect;
mod failure;
mod index;
mod link;
mod moves;
mod patience;
mod reply;
mod script;
mod sentinel;
pub mod settings;
mod shared;
mod tracking;

use std::sync::Arc;

use redis::Value;
use tokio::time::timeout;
use tokio_rustls::rustls::ClientConfig;

use super::near_cache::{Found, Tracking};
use super::record::{self, Flaw};
use super::{EditRules, Edited, Ended, Error, Outage, Replaced};
use crate::deadline::Deadline;
use crate::session::{Edit, Entry, Lifetimes, Patch, Session, StoreKey, UnixTime, entry::Renewed, jar};
use connect::{Answer, Question, Verb};
use reply::{INCOMPREHENSIBLE, Reply, pairs};
use script::Script;
use shared::{Loads, Shared, Way};

pub use settings::{Address, Password, Servers, Settings};
pub use shared::{NearStats, Stats};

/// One worker's view of it, over a connection of its own.
#[derive(Clone)]
pub struct Redis {
    shared: Arc<Shared>,
    way: Way,
    loads: Arc<Loads>,
}

impl Redis {
    /// A first view. Nothing is connected before something is asked. `tls` is for a server that is spoken to over TLS.
    pub fn new(settings: Settings, lifetimes: Lifetimes, tls: Option<Arc<ClientConfig>>) -> Self {
        let shared = Arc::new(Shared::new(settings, lifetimes, tls));
        Self { way: Way::new(&shared), loads: shared.loads(), shared }
    }

    /// Another worker's view.
    #[must_use]
    pub fn for_worker(&self) -> Self {
        Self { way: Way::new(&self.shared), loads: self.shared.loads(), shared: Arc::clone(&self.shared) }
    }

    pub(super) fn live_by(&self, lifetimes: &Arc<Lifetimes>) {
        self.shared.live_by(lifetimes);
    }

    /// How it has been doing.
    pub fn stats(&self) -> Stats {
        self.shared.stats()
    }

    pub(super) async fn load(&self, key: &StoreKey, now: UnixTime) -> Result<Option<Entry>, Error> {
        let Some(near) = &self.shared.near else { return self.load_anew(key, now).await };
        let reading = match near.find(key, now) {
            Found::Session(session) => {
                self.loads.near.increment();
                return Ok(Some(Entry::Live(session)));
            }
            Found::Nothing(reading) => reading,
        };
        self.loads.far.increment();
        let (entry, tracking) = self.read(key, now).await?;
        reading.done(entry.as_ref(), &tracking, now);
        Ok(entry)
    }

    /// The session under a key as it was when it was last read, where that is not too long ago.
    pub(super) fn load_old(&self, key: &StoreKey, now: UnixTime) -> Option<Arc<Session>> {
        self.shared.near.as_ref()?.find_old(key, now)
    }

    pub(super) async fn load_anew(&self, key: &StoreKey, now: UnixTime) -> Result<Option<Entry>, Error> {
        self.read(key, now).await.map(|(entry, _)| entry)
    }

    /// The entry under a key as Redis has it, and whether it will say when that changes.
    async fn read(&self, key: &StoreKey, now: UnixTime) -> Result<(Option<Entry>, Arc<Tracking>), Error> {
        let Answer { value, tracking } = self.ask(&self.entry_key(key), Verb::Command("HGETALL"), &[]).await?;
        let entry = self.readable(record::read(&pairs(value)?))?;
        Ok((entry.and_then(|entry| entry.at(now, &self.shared.lifetimes.load().lifetimes)), tracking))
    }

    pub(super) async fn touch(&self, key: &StoreKey, now: UnixTime) -> Result<(), Error> {
        // Where it fails, what is kept is as good as before.
        self.run(&self.shared.scripts.touch, key, now, &[]).await?;
        self.forget_kept(key);
        Ok(())
    }

    pub(super) async fn settle(&self, key: &StoreKey, old: &StoreKey, until: UnixTime) -> Result<(), Error> {
        // The old ticket first: whoever is interrupted in between finds both still to be done.
        let (to, until, always) = (record::key(key), until.0.to_string(), UnixTime(0));
        self.change(&self.shared.scripts.shorten, old, always, &[&to, until.as_bytes()]).await?;
        // As with touching.
        self.run(&self.shared.scripts.settle, key, always, &[]).await?;
        self.forget_kept(key);
        Ok(())
    }

    pub(super) async fn edit(
        &self,
        key: &StoreKey,
        edit: &Edit,
        rules: EditRules,
        now: UnixTime,
    ) -> Result<Edited, Error> {
        let (mut sets, mut removals) = (Vec::new(), Vec::new());
        for (key, value) in edit.patch.iter().flat_map(Patch::fields) {
            match value {
                Some(value) => sets.extend([record::data_field(&key), value]),
                None => removals.push(record::data_field(&key)),
            }
        }
        let birth = rules.birth.map_or_else(String::new, |since| since.0.to_string());
        let persist = edit.persist.map_or("", |persist| if persist { "p" } else { "-" });
        let (most, id) = (rules.max_data.to_string(), record::key(key));
        let counts = [sets.len() / 2, removals.len()].map(|count| count.to_string());
        let jar = edit.jar.as_deref();
        let seen = jar.and_then(|jar| jar.seen).map_or_else(String::new, |seen| seen.to_string());
        let remembered = jar.map_or_else(String::new, |jar| jar.remembered.0.to_string());
        let cookies: Vec<_> = jar.into_iter().flat_map(jar::Changes::fields).collect();
        let cookies: Vec<_> = cookies.iter().map(|of| (record::cookie_field(&of.field), of.verb, &*of.rest)).collect();
        let mut arguments = vec![birth.as_bytes(), most.as_bytes(), persist.as_bytes(), id.as_slice()];
        arguments.extend([&*counts[0], &*counts[1], &*seen, &*remembered].map(str::as_bytes));
        arguments.extend(sets.iter().chain(&removals).map(String::as_bytes));
        arguments.extend(cookies.iter().flat_map(|(field, verb, rest)| [&**field, verb.as_bytes(), rest]));

        let mut reply = self.change(&self.shared.scripts.edit, key, now, &arguments).await?;
        let edited = match reply.word() {
            b"live" => Edited::Live(self.session(&mut reply)?),
            b"born" => Edited::Born(self.session(&mut reply)?),
            b"emptied" => Edited::Emptied,
            b"renewed" => Edited::Renewed(self.renewed(&mut reply)?),
            b"dead" => Edited::Dead,
            b"not theirs" => Edited::NotTheirs,
            b"missing" => Edited::Missing,
            b"jar over" => return Err(Error::JarOverLimit),
            b"over" => return Err(Error::DataOverLimit { size: reply.size()?, limit: rules.max_data }),
            _ => return Err(INCOMPREHENSIBLE),
        };
        // Its life ends at another time now, for which its place in the index must last.
        if let (Edited::Live(session), Some(_)) = (&edited, edit.persist) {
            let (this, key, session) = (self.clone(), *key, Arc::clone(session));
            self.whole(async move { this.enter(&key, &session, now).await }).await?;
        }
        Ok(edited)
    }

    pub(super) async fn insert(&self, key: &StoreKey, session: Session) -> Result<Arc<Session>, Error> {
        // It begins now, and so nobody has seen it later.
        let now = session.last_seen;
        let (this, key, session) = (self.clone(), *key, Arc::new(session));
        self.whole(async move {
            // Twice, lest somebody who reads the index in between drops what has no session yet.
            this.enter(&key, &session, now).await?;
            this.create(&key, &session, b"over", now).await?;
            this.enter(&key, &session, now).await?;
            Ok(session)
        })
        .await
    }

    pub(super) async fn bar(&self, key: &StoreKey, until: UnixTime, now: UnixTime) -> Result<Replaced, Error> {
        let leave = record::meta(&Entry::Superseded { until });
        let reply = self.change(&self.shared.scripts.bar, key, now, &[leave.as_bytes()]).await?;
        match reply.word() {
            b"done" => Ok(Replaced::Done),
            b"changed" => Ok(Replaced::Changed),
            _ => Err(INCOMPREHENSIBLE),
        }
    }

    pub(super) async fn end(&self, key: &StoreKey, mark: bool, until: UnixTime, now: UnixTime) -> Result<Ended, Error> {
        let leave = record::meta(&Entry::Ended { until });
        let mark: &[u8] = if mark { b"mark" } else { b"" };
        let mut reply = self.change(&self.shared.scripts.end, key, now, &[leave.as_bytes(), mark]).await?;
        Ok(match reply.word() {
            b"session" => {
                let session = self.session(&mut reply)?;
                self.forget(*key, Arc::clone(&session));
                Ended::Session(session)
            }
            b"renewed" => Ended::Renewed(self.renewed(&mut reply)?),
            b"marked" => Ended::Marked,
            b"dead" => Ended::Dead,
            b"nothing" => Ended::Nothing,
            _ => return Err(INCOMPREHENSIBLE),
        })
    }

    /// Writes a session, over whatever is there or where nothing is: see the script.
    async fn create(&self, key: &StoreKey, session: &Session, over: &[u8], now: UnixTime) -> Result<Reply, Error> {
        let (meta, fields) = (record::live(session), record::fields(session));
        let mut arguments = vec![over, meta.as_bytes()];
        arguments.extend(fields.iter().flat_map(|(field, value)| [&**field, &**value]));
        self.change(&self.shared.scripts.create, key, now, &arguments).await
    }

    /// Takes steps that belong together to their end, whether or not the request that wants them waits for it.
    async fn whole<T: Send + 'static>(
        &self,
        steps: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        match timeout(self.shared.settings.timeout, tokio::spawn(steps)).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(Error::Unavailable(Outage::Lost)),
            Err(_) => Err(Error::Unavailable(Outage::TimedOut)),
        }
    }

    /// The answer, if it comes in time.
    async fn ask(&self, key: &str, verb: Verb<'_>, arguments: &[&[u8]]) -> Result<Answer, Error> {
        let question = Question { key, verb, arguments, asking: false };
        let answer = self.way.ask(question, Deadline::after(self.shared.settings.timeout)).await;
        answer.inspect_err(|error| self.shared.count(error))
    }

    /// The near cache forgets an entry.
    fn forget_kept(&self, key: &StoreKey) {
        if let Some(near) = &self.shared.near {
            near.forget(key);
        }
    }

    /// Runs a script that changes an entry. Whatever becomes of it, and whether or not anybody waits for it, nobody
    /// here is shown afterwards what was before.
    async fn change(
        &self,
        script: &Script,
        key: &StoreKey,
        now: UnixTime,
        arguments: &[&[u8]],
    ) -> Result<Reply, Error> {
        let _forget = self.shared.near.as_ref().map(|near| near.forget_later(key));
        self.run(script, key, now, arguments).await
    }

    async fn command(&self, name: &str, key: &str, arguments: &[&[u8]]) -> Result<Value, Error> {
        self.ask(key, Verb::Command(name), arguments).await.map(|answer| answer.value)
    }

    /// Runs a script on an entry.
    async fn run(&self, script: &Script, key: &StoreKey, now: UnixTime, arguments: &[&[u8]]) -> Result<Reply, Error> {
        let (key, now) = (self.entry_key(key), now.0.to_string());
        let told = self.shared.lifetimes.load_full();
        let mut all = vec![now.as_bytes(), told.spans.as_bytes()];
        all.extend(arguments);
        let answer = self.ask(&key, Verb::Script(script), &all).await?;
        let mut reply = Reply::new(answer.value)?;
        if reply.word() != b"unreadable" {
            return Ok(reply);
        }
        let flaw = if reply.text().as_deref() == Some(b"type") { Flaw::Type } else { Flaw::Meta };
        self.readable(Err(flaw))
    }

    fn readable<T>(&self, read: Result<T, Flaw>) -> Result<T, Error> {
        read.map_err(|flaw| {
            let error = Error::Unreadable(flaw);
            self.shared.count(&error);
            error
        })
    }

    fn session(&self, reply: &mut Reply) -> Result<Arc<Session>, Error> {
        match self.readable(record::read(&pairs(reply.next().unwrap_or_default())?))? {
            Some(Entry::Live(session)) => Ok(session),
            _ => Err(INCOMPREHENSIBLE),
        }
    }

    fn renewed(&self, reply: &mut Reply) -> Result<Renewed, Error> {
        match self.readable(record::read_meta(&reply.text().ok_or(INCOMPREHENSIBLE)?))? {
            Entry::Renewed(renewed) => Ok(*renewed),
            _ => Err(INCOMPREHENSIBLE),
        }
    }

    fn entry_key(&self, key: &StoreKey) -> String {
        self.name("s", &record::key(key))
    }

    fn name(&self, kind: &str, of: &[u8]) -> String {
        let of = str::from_utf8(of).expect("base64url is ASCII");
        [&self.shared.settings.key_prefix, ":", kind, ":", of].concat()
    }
}

impl std::fmt::Debug for Redis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redis").field("settings", &self.shared.settings).finish_non_exhaustive()
    }
}
