//! Settings as used: every part's own, gathered. [`load`] makes them of a file, or tells every mistake in it.

use std::path::{Path, PathBuf};

use crate::{admin, listener, proxy, sessions, telemetry, tls};

use mistake::{Fault, Place};
use reader::Reading;

pub use doubt::Doubt;
pub use mistake::{Kind, Mistake, Mistakes};

mod cookies;
mod doubt;
mod file;
mod health;
mod host;
mod jar;
#[cfg(test)]
mod manual;
mod mistake;
mod nearest;
mod reader;
mod route;
mod section;
mod servers;
mod session;
mod store;
mod units;
mod upstream;
mod value;

/// A whole, valid configuration. Nothing in it is optional that must be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `[listen]`
    pub listen: listener::Settings,
    /// `[tls]`; present where `listen.https` is.
    pub tls: Option<tls::Settings>,
    /// The key files of `[session] keys`, in order: the first signs, all verify.
    pub keys: Vec<PathBuf>,
    /// `[session]`
    pub sessions: sessions::Settings,
    /// `[store]`
    pub store: crate::store::Settings,
    /// `[session]` cookie and headers, `[upstream.*]` and `[[route]]`
    pub proxy: proxy::Settings,
    /// `[admin]`
    pub admin: Option<admin::Settings>,
    /// `[log]`
    pub log: telemetry::Settings,
}

/// Reads the file at `path`. Relative paths in it start from its folder.
///
/// Certificates and keys are named, not opened: that is for those who start, or check that they could. The admin's
/// token and Redis' password alone are read from their files.
pub fn load(path: &Path) -> Result<Config, Mistakes> {
    let unread = |kind, found: String, expected: &str| {
        let place = Place { key: String::new(), span: None };
        Err(Mistakes::new(path, "", vec![Mistake::new(place, Fault::new(kind, found, expected))]))
    };
    let content = match file::start_of(path, LARGEST + 1) {
        Ok(content) if content.len() > LARGEST => {
            return unread(Kind::OutOfRange, "the file is too large".to_owned(), "a file of at most 1MiB");
        }
        Ok(content) => content,
        Err(error) => return unread(Kind::Unreadable, error.to_string(), "a file that can be read"),
    };
    match String::from_utf8(content) {
        Ok(text) => parse(&text, path, path.parent().unwrap_or(Path::new(""))),
        Err(error) => {
            // What is good before the first bad byte stays as it is, so that its place is the same in the lossy text.
            let bad = error.utf8_error().valid_up_to();
            let text = String::from_utf8_lossy(error.as_bytes());
            let place = Place { key: String::new(), span: Some(bad..bad + '\u{FFFD}'.len_utf8()) };
            let fault = Fault::new(Kind::Syntax, "not UTF-8", "text in UTF-8");
            Err(Mistakes::new(path, &text, vec![Mistake::new(place, fault)]))
        }
    }
}

/// Reads `text`, which reports call `name` and whose relative paths start from `base`.
pub fn parse(text: &str, name: &Path, base: &Path) -> Result<Config, Mistakes> {
    Reading::new(text, base).read(name, file::file)
}

/// More than anyone writes by hand, and less than hurts.
const LARGEST: usize = 1 << 20;
