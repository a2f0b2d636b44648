//! How the near cache hears of changes: a server tells a connection of every key that was read over it and has changed
//! since (`CLIENT TRACKING`), in one stream with the answers.

use std::convert::Infallible;
use std::sync::{Arc, Weak};
use std::time::Duration;

use redis::{PushInfo, PushKind, Value, cmd};
use tokio::time::sleep;

use super::connect::{ConnectError, Connection};
use super::failure;
use super::link::Link;
use super::shared::Shared;
use crate::store::near_cache::{NearCache, Tracking};
use crate::store::record;
use crate::store::{Error, Outage};

/// How often a server is asked whether it is still there. While it is not, nobody says that a session has ended.
const PING_EVERY: Duration = Duration::from_secs(1);

/// Takes what a server says unasked, on the task that reads the connection: a change is known before any answer that
/// was sent after it.
pub(super) fn listener(
    near: &Arc<NearCache>,
    tracking: &Arc<Tracking>,
    key_prefix: &str,
) -> impl Fn(PushInfo) -> Result<(), Infallible> + Send + Sync + use<> {
    let (near, tracking) = (Arc::clone(near), Arc::clone(tracking));
    let entries = format!("{key_prefix}:s:");
    move |said| {
        match said.kind {
            PushKind::Invalidate => forget(&near, entries.as_bytes(), &said.data),
            PushKind::Disconnection => tracking.end(),
            _ => {}
        }
        Ok(())
    }
}

/// `[[key, …]]`, or `[nil]` where everything has changed.
fn forget(near: &NearCache, prefix: &[u8], data: &[Value]) {
    let [Value::Array(keys)] = data else { return near.forget_all() };
    for key in keys {
        // The indexes are read over the same connection, and are not kept.
        if let Value::BulkString(key) = key
            && let Some(key) = key.strip_prefix(prefix)
            && let Some(key) = record::read_key(key)
        {
            near.forget(&key);
        }
    }
}

/// Asks the server of a new connection to tell of changes. One that refuses is asked about every session instead.
pub(super) async fn begin(connection: &Connection, shared: &Shared) -> Result<(), ConnectError> {
    let mut command = cmd("CLIENT");
    command.arg("TRACKING").arg("ON");
    match connection.tell(command).await.map_err(|error| failure::cause(&error)) {
        Ok(_) => connection.tracking().begin(),
        Err(lost @ Error::Unavailable(Outage::Lost)) => return Err(ConnectError::Refused(lost)),
        Err(refused) => shared.is_not_told(&refused),
    }
    Ok(())
}

/// Asks again and again whether the server is still there, for as long as the connection is in use: one that has gone
/// without a word would be believed to say nothing because nothing happens.
pub(super) async fn supervise(link: Weak<Link>, connection: impl Fn() -> Option<Connection>) {
    loop {
        sleep(PING_EVERY).await;
        let (Some(link), Some(connection)) = (link.upgrade(), connection()) else { return };
        if link.ping(&connection).await.is_err() {
            return;
        }
    }
}
