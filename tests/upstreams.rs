//! Upstream servers as users of other proxies expect them.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;
#[path = "upstreams/tls.rs"]
mod tls;
