//! A reverse proxy that gives any HTTP backend server-side sessions.
//!
//! # One request
//!
//! ```text
//!  client ── TLS ──▶ listener ──▶ proxy ───────────────────────────────────────────────▶ upstream
//!                                   │ route · take ticket · open · identity headers          │
//!                                   │                                                        │
//!  client ◀──────── listener ◀──── proxy ◀───────────────────────────────────────────────────┘
//!                                   │ take change · commit · our Set-Cookie · cache headers
//!                                   ▼
//!                                sessions ──▶ store
//! ```
//!
//! [`proxy`] reads in this order, top to bottom. Opening and committing are the only awaits on a store. A change is
//! committed before the response's head leaves: the cookie is in the head, and a redirect must not overtake its own
//! session.
//!
//! # Floors
//!
//! A module uses lower floors only; `tests/floors.rs` reads every import and holds the house to it.
//!
//! ```text
//! 6  main, cli, gateway       wiring: config → parts → listeners → drain
//! 5  config                   gateway.toml as written → settings as used; every mistake reported at once
//! 4  listener, tls, admin,    the edges; listener takes its handler as an argument
//!    telemetry
//! 3  proxy                    HTTP: the request's path; routes, header rules, cookies, upstreams, error → status
//! 2  sessions                 open / commit / list / revoke: the only caller of a store
//! 1  store                    contract, memory and its file, redis, near cache
//! 0  session, metrics,        plain values: ticket, keys, session, lifetime, change, jar. No I/O, no hyper, no clock
//!    deadline                 but that of waits
//! ```
//!
//! # Words
//!
//! | word | meaning |
//! |---|---|
//! | ticket | what our cookie carries: a signed, opaque, fixed-size token |
//! | guest | a visitor with a valid ticket and nothing stored |
//! | session | a stored record that a ticket names |
//! | change | what one response asks of the session |
//! | renew | same session, new ticket |
//! | end | the session is gone; its ticket is dead at once |
//! | jar | the backend's own cookies, kept in the session instead of the browser |
//!
//! # What stays true
//!
//! 1. A client's own `X-Session-*` never reaches an upstream; an upstream's never reaches a client.
//! 2. No upstream ever sees our cookie. No log, error or `Debug` ever shows a secret, a key, or session data.
//! 3. A failing store logs nobody out.
//! 4. Logout wins: nothing in flight brings a session back, for the server or for the browser.
//! 5. Parallel writes to different keys all survive.
//! 6. A ticket not issued by us, or not live, is never adopted.
//! 7. A visitor costs no memory and no store call until a backend keeps something.
//! 8. Every wait has a timeout; every queue, map, header and body buffer has a limit.
//! 9. One malformed request, response, cookie, config or stored record costs one clear error, and nothing else.
//!
//! Each of these is a test of that name in `tests/invariants.rs`.

pub mod admin;
pub mod config;
mod deadline;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod gateway;
pub mod listener;
pub mod metrics;
pub mod proxy;
pub mod session;
pub mod sessions;
pub mod store;
pub mod telemetry;
pub mod tls;
