//! The real binary under signals: what it is told while it runs, and how it goes.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "reload/changes.rs"]
mod changes;
#[path = "reload/drain.rs"]
mod drain;
#[path = "reload/load.rs"]
mod load;
#[path = "reload/mistakes.rs"]
mod mistakes;
#[path = "reload/sockets.rs"]
mod sockets;
#[path = "reload/stand.rs"]
mod stand;
mod support;
