//! Every header rule, once.

mod caches;
mod field;
mod hop;
mod names;
mod owned;
mod request;
mod session;
mod streaming;

use http::header::HeaderName;

pub use caches::{answer, keep_from_caches, unasked, vary_by_cookie};
pub use field::{ConnectionOptions, Field, has_option};
pub use hop::{Unframed, answered_via, strip_trailers};
pub use names::{Names, Settings};
pub use owned::own_values;
pub use request::{Asked, Length, Outgoing, is_idempotent};
pub use session::{ChangeError, Taken, take_change};
pub use streaming::Streaming;

/// What browsers say of where a request comes from, and of what it is to be (Fetch Metadata).
pub const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// See [`SEC_FETCH_SITE`].
pub const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// Writes one header.
pub(crate) fn push_line(bytes: &mut Vec<u8>, name: &str, value: &[u8]) {
    bytes.extend_from_slice(name.as_bytes());
    bytes.extend_from_slice(b": ");
    bytes.extend_from_slice(value);
    bytes.extend_from_slice(b"\r\n");
}
