//! What can be wrong with the file, and who has to do something about it.

use std::io;
use std::path::PathBuf;

/// Why the gateway cannot work with the file. What is in it is as it was.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process has it open.
    #[error("the session file {path} is in use by another gateway; stop that one, or give this one a file of its own")]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// A later version of the gateway wrote it.
    #[error(
        "the session file {path} is of format {version}, and this version reads {known}: run the gateway that wrote it, \
         or move the file away and have everybody log in again"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        version: u64,
        /// The newest format known here.
        known: u64,
    },
    /// It is sound, and no session file.
    #[error("{path} is a database, and not one of sessions: name another file")]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The system does not let it be read and written.
    #[error("the session file {path} cannot be used")]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It cannot be read, and not be moved aside either.
    #[error("the session file {path} cannot be read, and not be moved aside either: do it by hand")]
    Unmoved {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A new one cannot be read.
    #[error("the session file {path} cannot be read although it is new")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Damage,
    },
}

/// Why what stands in a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    /// It is no sound database: torn, cut off, overwritten, or something else altogether.
    #[error("it is damaged, or no session file")]
    Database(#[source] Box<redb::Error>),
    /// A group in it does not end where its last entry does.
    #[error("a group of entries in it is cut off")]
    Group,
}

/// Why changes could not be written. They wait.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The file cannot be opened again.
    #[error(transparent)]
    Open(#[from] Error),
    /// It was deleted, or given another name. Another is made with everything in it.
    #[error("it is no longer there")]
    Gone,
    /// The transaction failed.
    #[error("the disk took no changes")]
    Database(#[source] Box<redb::Error>),
    /// A bug in what writes it.
    #[error("the writer panicked")]
    Panicked,
}

impl From<redb::Error> for WriteError {
    fn from(error: redb::Error) -> Self {
        Self::Database(Box::new(error))
    }
}
