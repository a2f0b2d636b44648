//! Settings as used: every part's own, gathered.

use std::path::PathBuf;

use crate::{admin, listener, proxy, sessions, store, telemetry, tls};

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
    pub store: store::Settings,
    /// `[session]` cookie and headers, `[upstream.*]` and `[[route]]`
    pub proxy: proxy::Settings,
    /// `[admin]`
    pub admin: Option<admin::Settings>,
    /// `[log]`
    pub log: telemetry::Settings,
}
