//! What a Redis error means to the gateway.
//!
//! A server's own words are never kept: they may quote what it was sent, a password or a session's data.

use redis::{ErrorKind, RedisError, ServerErrorKind};

use super::settings::Address;
use crate::store::record::Flaw;
use crate::store::{Error, Outage};

/// Why a question has no answer.
pub(super) enum Failure {
    /// For this reason.
    Error(Error),
    /// The key belongs to another server of a cluster.
    Moved(Redirect),
    /// The key is just being handed over to another server of a cluster.
    Asking(Redirect),
}

/// Another server, as one of a cluster names it.
pub(super) struct Redirect {
    /// Nothing where it is the same host.
    host: String,
    port: u16,
}

impl Redirect {
    /// Where it leads from `here`.
    pub(super) fn from(self, here: &Address) -> Address {
        Address { host: if self.host.is_empty() { here.host.clone() } else { self.host }, port: self.port }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl Failure {
    /// What became of a question to a server.
    pub(super) fn new(error: &RedisError) -> Self {
        let redirect = error.redirect_node().and_then(|(address, _)| {
            let (host, port) = address.rsplit_once(':')?;
            Some(Redirect { host: host.to_owned(), port: port.parse().ok()? })
        });
        match (redirect, error.kind()) {
            (Some(redirect), ErrorKind::Server(ServerErrorKind::Ask)) => Self::Asking(redirect),
            (Some(redirect), _) => Self::Moved(redirect),
            (None, _) => Self::Error(cause(error)),
        }
    }

    /// What it is to those who know of one server only.
    pub(super) fn into_error(self) -> Error {
        match self {
            Self::Error(error) => error,
            Self::Moved(_) | Self::Asking(_) => Error::Unavailable(Outage::Elsewhere),
        }
    }
}

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
            ServerErrorKind::Moved | ServerErrorKind::Ask => Outage::Elsewhere,
            _ => return told(error.code().unwrap_or_default(), error.detail().unwrap_or_default()),
        },
        ErrorKind::Extension => return told(error.code().unwrap_or_default(), error.detail().unwrap_or_default()),
        _ => Outage::Incomprehensible,
    };
    Error::Unavailable(outage)
}

/// What a server means by a code of its own. Before Redis 7 an error within a script has the code `ERR`, and the real
/// one is somewhere in the text.
fn told(code: &str, detail: &str) -> Error {
    let is = |word: &str| code == word || code == "ERR" && detail.contains(word);
    Error::Unavailable(match () {
        () if is("WRONGTYPE") => return Error::Unreadable(Flaw::Type),
        () if is("READONLY") => Outage::ReadOnly,
        () if is("OOM") => Outage::OutOfMemory,
        () if is("LOADING") => Outage::Loading,
        () if is("MISCONF") || is("NOREPLICAS") => Outage::Unsaved,
        () if is("NOAUTH") || is("WRONGPASS") || is("NOPERM") => Outage::Denied,
        // The library keeps the text of an answer to a greeting, and not its code.
        () if detail.contains("no permissions") => Outage::Denied,
        () if detail.contains("DB index") => Outage::NoDatabase,
        () if is("BUSY") => Outage::TimedOut,
        () if is("MASTERDOWN") || is("CLUSTERDOWN") => Outage::NoMaster,
        () => Outage::Incomprehensible,
    })
}

/// Whether the server does not know the script any more: it has been restarted, or told to forget.
pub(super) fn is_unknown_script(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
}
