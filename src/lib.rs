//! A reverse proxy that gives any HTTP backend server-side sessions.
pub mod admin;
pub mod config;
pub mod gateway;
pub mod listener;
pub mod metrics;
pub mod proxy;
pub mod session;
pub mod sessions;
pub mod store;
pub mod telemetry;
pub mod tls;
