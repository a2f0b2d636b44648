//! The gateway's edge towards clients, as operators of other proxies expect it.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "edges/certificates.rs"]
mod certificates;
#[path = "edges/clients.rs"]
mod clients;
#[path = "edges/forwarded.rs"]
mod forwarded;
#[path = "edges/headers.rs"]
mod headers;
#[path = "edges/proxy_protocol.rs"]
mod proxy_protocol;
#[path = "edges/resumption.rs"]
mod resumption;
mod support;
