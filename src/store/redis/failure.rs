//! What a Redis error means to the gateway.
//!
//! A server's own words are never kept: they may quote what it was sent, a password or a session's data.

use redis::{ErrorKind, RedisError, ServerErrorKind};

use crate::store::record::Flaw;
use crate::store::{Error, Outage};

/// What became of a command that failed.
pub(super) fn cause(error: &RedisError) -> Error {
    let outage = match error.kind() {
        ErrorKind::Io => Outage::Lost,
        ErrorKind::AuthenticationFailed => Outage::Denied,
        ErrorKind::Server(kind) => match kind {
            ServerErrorKind::ReadOnly => Outage::ReadOnly,
            ServerErrorKind::BusyLoading => Outage::Loading,
            ServerErrorKind::NoPerm => Outage::Denied,
            ServerErrorKind::MasterDown | ServerErrorKind::ClusterDown | ServerErrorKind::TryAgain => Outage::NoMaster,
            _ => return told(error.code().unwrap_or_default(), error.detail().unwrap_or_default()),
        },
        ErrorKind::Extension => return told(error.code().unwrap_or_default(), error.detail().unwrap_or_default()),
        _ => Outage::Incomprehensible,
    };
    Error::Unavailable(outage)
}

/// What a server means by a code of its own. Before Redis 7 an error within a script has the code `ERR`, and the real one
/// is somewhere in the text.
fn told(code: &str, detail: &str) -> Error {
    let is = |word: &str| code == word || code == "ERR" && detail.contains(word);
    Error::Unavailable(match () {
        () if is("WRONGTYPE") => return Error::Unreadable(Flaw::Type),
        () if is("READONLY") => Outage::ReadOnly,
        () if is("OOM") => Outage::OutOfMemory,
        () if is("LOADING") => Outage::Loading,
        () if is("MISCONF") || is("NOREPLICAS") => Outage::ReadOnly,
        () if is("NOAUTH") || is("WRONGPASS") || is("NOPERM") => Outage::Denied,
        () if is("BUSY") => Outage::TimedOut,
        () if is("MASTERDOWN") || is("CLUSTERDOWN") => Outage::NoMaster,
        () => Outage::Incomprehensible,
    })
}

/// Whether the server does not know the script any more: it has been restarted, or told to forget.
pub(super) fn is_unknown_script(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
}
