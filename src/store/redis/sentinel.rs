//! Sentinels: who is master now, and whether that is still so.
//!
//! A master that is replaced in good order, or that only the gateway still reaches, goes on taking changes for seconds,
//! all of which are lost when it becomes a replica. So sentinels are asked not only for a new connection but all the
//! while.

use std::sync::{Arc, Weak};
use std::time::Duration;

use redis::{RedisResult, Value, cmd};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::connect::{ConnectError, Connection, Who, connect};
use super::link::Link;
use super::settings::Address;
use super::shared::Shared;
use crate::store::{Error, Outage};

/// How often each sentinel is asked whether there is another master.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How long after one could not be asked it is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// A master as a sentinel sees it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Master {
    /// Counts the elections: of two answers the one with the higher number is newer.
    epoch: u64,
    address: Address,
}

/// A connection to the master. All sentinels are asked at once, for some of them may be as dead as the last master. Of
/// what a majority says, or those who answer soon, the newest is believed, if the server says so too.
pub(super) async fn connect_to_master(
    sentinels: &[Address],
    name: &str,
    shared: &Arc<Shared>,
) -> Result<(Connection, Master), ConnectError> {
    let mut asked = JoinSet::new();
    for sentinel in sentinels {
        let (sentinel, name, shared) = (sentinel.clone(), name.to_owned(), Arc::clone(shared));
        asked.spawn(async move { master(&reach(&sentinel, &shared).await?, &name).await });
    }
    let (mut known, mut tried, mut why) = (Vec::<Master>::new(), Vec::new(), ConnectError::NoMaster);
    let mut newest = 0;
    let soon = Instant::now() + shared.settings.connect_timeout / 2;
    while known.len() <= sentinels.len() / 2
        && let Ok(Some(joined)) = timeout_at(soon, asked.join_next()).await
    {
        hear(joined, &mut known, &mut why);
    }
    loop {
        known.sort();
        while let Some(master) = known.pop() {
            newest = newest.max(master.epoch);
            // One that has been replaced is no help, even where its successor cannot be reached: what it takes is lost.
            if master.epoch == newest && !tried.contains(&master.address) {
                tried.push(master.address.clone());
                match connect(&master.address, Who::User, shared).await {
                    Ok(connection) if is_master(&connection).await => return Ok((connection, master)),
                    Ok(_) => {}
                    Err(error) => why = error,
                }
            }
        }
        // Whoever is late may know better.
        let Some(joined) = asked.join_next().await else { return Err(why) };
        hear(joined, &mut known, &mut why);
    }
}

type Heard = Result<Result<Master, ConnectError>, JoinError>;

fn hear(answer: Heard, known: &mut Vec<Master>, why: &mut ConnectError) {
    match answer {
        Ok(Ok(master)) => known.push(master),
        // A password that is wrong is wrong for all of them, and says more than that another is down.
        Ok(Err(error @ ConnectError::Refused(_))) => *why = error,
        Ok(Err(_)) | Err(_) => {}
    }
}

/// Leaves `connection` for another one as soon as a sentinel knows of a newer master.
pub(super) async fn watch(
    sentinels: Vec<Address>,
    name: String,
    current: Master,
    link: Weak<Link>,
    connection: impl Fn() -> Option<Connection>,
) {
    let mut watched = JoinSet::new();
    for sentinel in sentinels {
        let Some(shared) = link.upgrade().map(|link| link.shared()) else { return };
        watched.spawn(until_replaced(sentinel, name.clone(), current.clone(), shared));
    }
    loop {
        let replaced = timeout(PAUSE, watched.join_next()).await.is_ok();
        // The link has another one, or is gone: so is whoever holds this one.
        let (Some(link), Some(connection)) = (link.upgrade(), connection()) else { return };
        if replaced {
            return link.look_at(Outage::ReadOnly, &connection);
        }
    }
}

/// Asks one sentinel again and again; ends when it knows of a newer master.
async fn until_replaced(sentinel: Address, name: String, current: Master, shared: Arc<Shared>) {
    loop {
        let limit = shared.settings.connect_timeout;
        if let Ok(Ok(connection)) = timeout(limit, reach(&sentinel, &shared)).await {
            while let Ok(Ok(master)) = timeout(limit, master(&connection, &name)).await {
                if master.epoch > current.epoch && master.address != current.address {
                    return;
                }
                sleep(LOOK_EVERY).await;
            }
        }
        sleep(PAUSE).await;
    }
}

/// Most sentinels ask for no password, and get none.
async fn reach(sentinel: &Address, shared: &Shared) -> Result<Connection, ConnectError> {
    match connect(sentinel, Who::Nobody, shared).await {
        Err(ConnectError::Refused(Error::Unavailable(Outage::Denied))) if shared.settings.password.is_some() => {
            connect(sentinel, Who::SentinelUser, shared).await
        }
        connected => connected,
    }
}

async fn master(connection: &Connection, name: &str) -> Result<Master, ConnectError> {
    let ask = |what: &str| {
        let mut question = cmd("SENTINEL");
        question.arg(what).arg(name);
        question
    };
    // In this order: between the two there may be an election, and a new address with an old number is set right by the
    // next look, while an old address with the new one would be believed for ever.
    let epoch = epoch(connection.tell(ask("MASTER")).await);
    let address = address(connection.tell(ask("GET-MASTER-ADDR-BY-NAME")).await);
    address.zip(epoch).map(|(address, epoch)| Master { epoch, address }).ok_or(ConnectError::NoMaster)
}

fn address(answer: RedisResult<Value>) -> Option<Address> {
    let Ok(Value::Array(parts)) = answer else { return None };
    let [Value::BulkString(host), Value::BulkString(port)] = &parts[..] else { return None };
    Some(Address { host: str::from_utf8(host).ok()?.to_owned(), port: str::from_utf8(port).ok()?.parse().ok()? })
}

fn epoch(answer: RedisResult<Value>) -> Option<u64> {
    let is = |value: &Value, text: &[u8]| matches!(value, Value::BulkString(found) if found == text);
    let epoch = match answer.ok()? {
        Value::Map(fields) => fields.into_iter().find(|(name, _)| is(name, b"config-epoch"))?.1,
        Value::Array(fields) => {
            let at = fields.chunks(2).position(|pair| is(&pair[0], b"config-epoch"))?;
            fields.into_iter().nth(2 * at + 1)?
        }
        _ => return None,
    };
    let Value::BulkString(epoch) = epoch else { return None };
    str::from_utf8(&epoch).ok()?.parse().ok()
}

/// One who has just been demoted may still be named.
async fn is_master(connection: &Connection) -> bool {
    match connection.tell(cmd("ROLE")).await {
        Ok(Value::Array(role)) => role.first() == Some(&Value::BulkString(b"master".to_vec())),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
