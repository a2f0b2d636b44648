//! What goes on behind the head of an answer: WebSocket, and streams that end with their session.

mod connect;
mod frames;
mod open;
mod tunnel;

use bytes::Buf;
use http_body::Body;
use http_body_util::{Empty, Full};

pub use connect::{Connect, NotOpened};
pub use open::{SessionEnd, Streams, Why, unless_ended};
pub use tunnel::Tunnel;

/// A body of an answer behind whose head another protocol may begin.
pub trait MaySwitch: Body {
    /// What follows the head in place of a body, where the answer is 101.
    fn switched(&mut self) -> Option<Box<Tunnel>> {
        None
    }
}

impl<D: Buf> MaySwitch for Full<D> {}
impl<D: Buf> MaySwitch for Empty<D> {}
