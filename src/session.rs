//! A session, as a plain value: who it belongs to, what it holds, how long it lives.

pub mod lifetime;
pub mod time;

pub use lifetime::Lifetimes;
pub use time::UnixTime;
