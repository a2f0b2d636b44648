//! Upstream servers as users of other proxies expect them.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "upstreams/balance.rs"]
mod balance;
#[path = "upstreams/health.rs"]
mod health;
#[path = "upstreams/http2.rs"]
mod http2;
mod support;
#[path = "upstreams/tls.rs"]
mod tls;
