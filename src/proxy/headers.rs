//! Every header rule, once.

mod hop;
mod names;
mod session;

pub use hop::{answer, answered_via, forward, keep_from_caches, strip_hop_by_hop, vary_by_cookie};
pub use names::{Names, Settings};
pub use session::{ChangeError, Taken, identify, take_change};
