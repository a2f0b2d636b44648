//! What every wire test stands on: a gateway in this process, a backend that the test plays itself, and browsers.
//!
//! ```text
//! Browser ── send ──▶ gateway ──▶ Backend ── next ──▶ Exchange
//!    ▲                                                   │ the test decides when, and what
//!    └── answer ◀────── gateway ◀────── respond ◀────────┘
//! ```
//!
//! Nothing sleeps in the hope that it is enough: the backend holds its answer until it is told, the clock stands until
//! it is turned, and every wait ends after [`PATIENCE`] with a panic that says what was waited for. A Redis is a real
//! one, and the network to it can be made to fail.
#![allow(dead_code, unused_imports, unreachable_pub)] // Each test file is its own crate and uses its own part of this.

pub mod authority;
pub mod backend;
pub mod browser;
pub mod http2;
pub mod http2_backend;
pub mod http2_socket;
pub mod load;
pub mod mirror;
pub mod process;
pub mod redis;
pub mod relay;
pub mod setup;
pub mod site;
pub mod wire;

use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

pub use authority::Authority;
pub use backend::{Backend, Exchange, Reply, ok, status};
pub use browser::{Answer, Browser, Pending, Request, SetCookie, Ticket, get, post, request};
pub use http2::Http2;
pub use http2_backend::Http2Backend;
pub use http2_socket::{Http2Socket, Http2Sockets};
pub use load::Load;
pub use mirror::Mirror;
pub use process::Process;
pub use redis::Redis;
pub use relay::{Fault, Relay};
pub use setup::Setup;
pub use site::{COOKIE, START, Seen, Site};
pub use wire::{Fields, Head};

/// How long a test waits for anything before it fails.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// Asks again and again until there is an answer, for what no event tells of.
pub fn eventually<T>(what: &str, ask: impl FnMut() -> Option<T>) -> T {
    eventually_within(PATIENCE, what, ask)
}

/// The same for what takes longer than anything of ours.
pub fn eventually_within<T>(patience: Duration, what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// How a log might write a secret.
pub fn ways_to_write(secret: &[u8]) -> Vec<String> {
    let hex = secret.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
    let list = format!("{secret:?}").trim_matches(['[', ']']).to_owned();
    vec![hex.to_uppercase(), hex, list, URL_SAFE_NO_PAD.encode(secret), STANDARD_NO_PAD.encode(secret)]
}
