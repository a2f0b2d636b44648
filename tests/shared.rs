//! Several gateways on one Redis, and the servers that tests of them start.

#[path = "shared/harness.rs"]
mod harness;
mod support;
