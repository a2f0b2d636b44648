//! Upstream servers as users of other proxies expect them.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "upstreams/balance.rs"]
mod balance;
#[path = "upstreams/broken_off.rs"]
mod broken_off;
#[path = "hygiene/frames.rs"]
#[allow(dead_code)]
mod frames;
#[path = "upstreams/health.rs"]
mod health;
#[path = "upstreams/http2.rs"]
mod http2;
#[path = "upstreams/kept.rs"]
mod kept;
mod support;
#[path = "upstreams/tls.rs"]
mod tls;
