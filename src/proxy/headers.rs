//! Every header rule, once.

mod caches;
mod hop;
mod names;
mod session;

pub use caches::{answer, keep_from_caches, unasked, vary_by_cookie};
pub use hop::{ForeignCoding, answered_via, check_framing, forward, frame, strip_hop_by_hop, strip_trailers};
pub use names::{Names, Settings};
pub use session::{ChangeError, Taken, identify, take_change};
