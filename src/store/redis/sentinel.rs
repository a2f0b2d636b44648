//! Sentinels: who is master now.

use std::sync::Arc;

use redis::{Value, cmd};
use tokio::task::JoinSet;

use super::connect::{ConnectError, Connection, Who, connect};
use super::settings::Address;
use super::shared::Shared;
use crate::store::{Error, Outage};

/// A connection to the master. All sentinels are asked at once, for some of them may be as dead as the last master: the
/// first who names a server that says it is one is believed.
pub(super) async fn connect_to_master(
    sentinels: &[Address],
    name: &str,
    shared: &Arc<Shared>,
) -> Result<Connection, ConnectError> {
    let mut asked = JoinSet::new();
    for sentinel in sentinels {
        let (sentinel, name, shared) = (sentinel.clone(), name.to_owned(), Arc::clone(shared));
        asked.spawn(async move {
            let master = master(&sentinel, &name, &shared).await?;
            let connection = connect(&master, Who::User, &shared).await?;
            if is_master(&connection).await { Ok(connection) } else { Err(ConnectError::NoMaster) }
        });
    }
    let mut why = ConnectError::NoMaster;
    while let Some(joined) = asked.join_next().await {
        match joined {
            Ok(Ok(connection)) => return Ok(connection),
            // A password that is wrong is wrong for all of them, and says more than that another is down.
            Ok(Err(error @ ConnectError::Refused(_))) => why = error,
            Ok(Err(_)) | Err(_) => {}
        }
    }
    Err(why)
}

async fn master(sentinel: &Address, name: &str, shared: &Shared) -> Result<Address, ConnectError> {
    let connection = match connect(sentinel, Who::Nobody, shared).await {
        Err(ConnectError::Refused(Error::Unavailable(Outage::Denied))) if shared.settings.password.is_some() => {
            connect(sentinel, Who::SentinelUser, shared).await?
        }
        connected => connected?,
    };
    let mut question = cmd("SENTINEL");
    question.arg("GET-MASTER-ADDR-BY-NAME").arg(name);
    match connection.tell(question).await {
        Ok(Value::Array(master)) => match &master[..] {
            [Value::BulkString(host), Value::BulkString(port)] => address(host, port).ok_or(ConnectError::NoMaster),
            _ => Err(ConnectError::NoMaster),
        },
        _ => Err(ConnectError::NoMaster),
    }
}

fn address(host: &[u8], port: &[u8]) -> Option<Address> {
    Some(Address { host: str::from_utf8(host).ok()?.to_owned(), port: str::from_utf8(port).ok()?.parse().ok()? })
}

/// One who has just been demoted may still be named.
async fn is_master(connection: &Connection) -> bool {
    match connection.tell(cmd("ROLE")).await {
        Ok(Value::Array(role)) => role.first() == Some(&Value::BulkString(b"master".to_vec())),
        _ => false,
    }
}
