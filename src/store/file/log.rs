//! The file itself: a redb database that holds a log of groups, each written in one transaction, the newest last.
//!
//! A log, and not a table of sessions: keys are hashes, so that a table would be rewritten a page here and a page
//! there, thirty times as many bytes as have changed. What is said of a key is what its newest record says. The oldest
//! groups are read again and again, to write anew what is still true in them, and then removed.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use redb::backends::FileBackend;
use redb::{Builder, Database, ReadableDatabase, ReadableTable, TableDefinition, TableError};

use super::error::{Damage, Error};
use crate::session::UnixTime;

/// Groups by their number.
const GROUPS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("groups");
/// What the file says of itself.
const ABOUT: TableDefinition<'_, &str, u64> = TableDefinition::new("session gateway");
const VERSION: u64 = 1;

/// What redb keeps in memory. The log is written at its end and read at its beginning, so that more is of no use.
const CACHE: usize = 16 << 20;

/// Bytes of a group. It takes pages of a power of two, and this fills 64 KiB well.
pub(super) const GROUP: usize = 60 << 10;

/// An open file. Nobody else has it open.
#[derive(Debug)]
pub(super) struct Log {
    path: PathBuf,
    /// Device and inode of what stood there when it was opened.
    identity: (u64, u64),
    database: Database,
    /// Bytes of all groups, by which it is decided when the oldest are worth reading.
    pub(super) bytes: u64,
}

/// A log that can be written.
pub(super) enum Opened {
    /// It was there, and holds what was written.
    Old(Log),
    /// It holds nothing: there was no file, or an empty one, or one that cannot be read and was moved aside.
    New(Log),
}

impl Log {
    /// Opens the file, or makes it. One that cannot be read is moved aside as it is.
    pub(super) fn open(path: &Path, now: UnixTime) -> Result<Opened, Error> {
        match Self::open_as_it_is(path) {
            Ok(opened) => Ok(opened),
            Err(Failure::Refused(error)) => Err(error),
            Err(Failure::Damaged(damage)) => Self::instead(path, &damage, now).map(Opened::New),
        }
    }

    /// Moves the file aside, of which nobody has anything open, and makes a new one.
    pub(super) fn instead(path: &Path, damage: &Damage, now: UnixTime) -> Result<Self, Error> {
        let unmoved = |source| Error::Unmoved { path: path.into(), source };
        let to = name_beside(path, now).map_err(unmoved)?;
        std::fs::rename(path, &to).map_err(unmoved)?;
        let (path_shown, to) = (path.display(), to.display());
        tracing::error!(
            error = damage as &dyn std::error::Error,
            "the session file {path_shown} cannot be read: it is {to} now, untouched, and a new one begins"
        );
        match Self::open_as_it_is(path) {
            Ok(Opened::Old(log) | Opened::New(log)) => Ok(log),
            Err(Failure::Refused(error)) => Err(error),
            Err(Failure::Damaged(source)) => Err(Error::Damaged { path: path.into(), source }),
        }
    }

    fn open_as_it_is(path: &Path) -> Result<Opened, Failure> {
        let unusable = |source| Failure::Refused(Error::Unusable { path: path.into(), source });
        let (file, identity) = file(path).map_err(unusable)?;
        let classify = |error: redb::Error| classify(path, error);
        let backend = FileBackend::new(file).map_err(|error| classify(error.into()))?;
        // Every checksum is verified, so that a damaged file is an error here and no surprise later.
        let database =
            Builder::new().set_cache_size(CACHE).set_check_integrity_on_open(true).create_with_backend(backend);
        let database = database.map_err(|error| classify(error.into()))?;
        let version = read(&database, |reading| match reading.open_table(ABOUT) {
            Ok(about) => Ok(Some(about.get("version")?.map(|version| version.value()))),
            Err(TableError::TableDoesNotExist(_)) => match reading.list_tables()?.next() {
                None => Ok(None),
                Some(_) => Ok(Some(None)),
            },
            Err(error) => Err(error.into()),
        });
        match version.map_err(classify)? {
            Some(Some(VERSION)) => {}
            Some(Some(version)) if version > VERSION => {
                return Err(Failure::Refused(Error::Newer { path: path.into(), version, known: VERSION }));
            }
            Some(_) => return Err(Failure::Refused(Error::Foreign { path: path.into() })),
            None => {
                write(&database, |writing| {
                    writing.open_table(GROUPS)?;
                    writing.open_table(ABOUT)?.insert("version", VERSION)?;
                    Ok(())
                })
                .map_err(classify)?;
                return Ok(Opened::New(Self { path: path.into(), identity, database, bytes: 0 }));
            }
        }
        Ok(Opened::Old(Self { path: path.into(), identity, database, bytes: 0 }))
    }

    /// Whether it still has its name, by which the next start will find it.
    pub(super) fn is_in_place(&self) -> bool {
        std::fs::metadata(&self.path).is_ok_and(|metadata| identity(&metadata) == self.identity)
    }

    /// Shows every group, the newest first, until one is refused.
    pub(super) fn read_back(&mut self, mut show: impl FnMut(&[u8]) -> Result<(), Damage>) -> Result<(), Failure> {
        let mut bytes = 0;
        let shown = read(&self.database, |reading| {
            for group in reading.open_table(GROUPS)?.iter()?.rev() {
                let (_, group) = group?;
                bytes += group.value().len() as u64;
                if let Err(damage) = show(group.value()) {
                    return Ok(Err(damage));
                }
            }
            Ok(Ok(()))
        });
        self.bytes = bytes;
        shown.map_err(|error| classify(&self.path, error))?.map_err(Failure::Damaged)
    }

    /// Shows the oldest groups, until so many bytes were seen; how many groups that were.
    pub(super) fn read_oldest(&self, most: u64, mut show: impl FnMut(&[u8])) -> Result<usize, redb::Error> {
        read(&self.database, |reading| {
            let (mut groups, mut seen) = (0, 0);
            for group in reading.open_table(GROUPS)?.iter()? {
                if seen >= most {
                    break;
                }
                let (_, group) = group?;
                seen += group.value().len() as u64;
                groups += 1;
                show(group.value());
            }
            Ok(groups)
        })
    }

    /// Appends the groups that `next` makes, until it makes none, and removes so many of the oldest; all of it or
    /// nothing.
    pub(super) fn append(
        &mut self,
        mut next: impl FnMut(&mut Vec<u8>),
        remove_oldest: usize,
    ) -> Result<(), redb::Error> {
        let mut bytes = self.bytes;
        write(&self.database, |writing| {
            let mut groups = writing.open_table(GROUPS)?;
            let mut number = groups.last()?.map_or(0, |(number, _)| number.value() + 1);
            let mut group = Vec::with_capacity(GROUP + GROUP / 8);
            loop {
                group.clear();
                next(&mut group);
                if group.is_empty() {
                    break;
                }
                groups.insert(number, &*group)?;
                number += 1;
                bytes += group.len() as u64;
            }
            for _ in 0..remove_oldest {
                if let Some((_, group)) = groups.pop_first()? {
                    bytes = bytes.saturating_sub(group.value().len() as u64);
                }
            }
            Ok(())
        })?;
        self.bytes = bytes;
        Ok(())
    }

    /// Closes it in order, so that the next start has nothing to repair.
    pub(super) fn close(self) -> Result<(), redb::Error> {
        Ok(self.database.close()?)
    }
}

/// Why a file could not be opened, or not be read.
pub(super) enum Failure {
    /// It is not ours to touch.
    Refused(Error),
    /// It can be moved aside.
    Damaged(Damage),
}

/// What an error of redb's says about the file.
fn classify(path: &Path, error: redb::Error) -> Failure {
    match error {
        redb::Error::DatabaseAlreadyOpen => Failure::Refused(Error::Locked { path: path.into() }),
        redb::Error::Io(source) if !is_damage(&source) => {
            Failure::Refused(Error::Unusable { path: path.into(), source })
        }
        error => Failure::Damaged(Damage::Database(Box::new(error))),
    }
}

/// Whether an error of the file system's is one of what stands in the file: redb says so of a file that is none of its
/// own, and the system of one that ends too soon.
fn is_damage(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof)
}

/// What [`file`] would stumble over, looked at without making anything.
pub(super) fn check(path: &Path) -> io::Result<()> {
    match OpenOptions::new().read(true).write(true).open(path) {
        Ok(file) => regular(&file.metadata()?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            std::fs::read_dir(folder).map(drop)
        }
        Err(error) => Err(error),
    }
}

fn regular(metadata: &Metadata) -> io::Result<()> {
    if metadata.is_file() { Ok(()) } else { Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")) }
}

/// Opens a regular file, or makes one that nobody else can read; the file, and which one it is.
fn file(path: &Path) -> io::Result<(File, (u64, u64))> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    let metadata = file.metadata()?;
    regular(&metadata)?;
    if metadata.permissions().mode() & 0o004 != 0 {
        tracing::warn!(path = %path.display(), "every user of this machine can read the session file; chmod 600 it");
    }
    Ok((file, identity(&metadata)))
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// Another name for the file, under which nothing stands yet.
fn name_beside(path: &Path, now: UnixTime) -> io::Result<PathBuf> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".unreadable-{}", now.0));
    while Path::new(&name).try_exists()? {
        name.push("+");
    }
    Ok(name.into())
}

fn read<T>(
    database: &Database,
    read: impl FnOnce(&redb::ReadTransaction) -> Result<T, redb::Error>,
) -> Result<T, redb::Error> {
    read(&database.begin_read()?)
}

/// One transaction. It is on the disk when this returns, power cuts included: with fewer promises the file would be as
/// fast, and no better than none after the one event it is kept for.
fn write<T>(
    database: &Database,
    write: impl FnOnce(&redb::WriteTransaction) -> Result<T, redb::Error>,
) -> Result<T, redb::Error> {
    let writing = database.begin_write()?;
    let written = write(&writing)?;
    writing.commit()?;
    Ok(written)
}
