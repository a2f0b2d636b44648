//! Header values that keep nothing but themselves.

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::HeaderValue;

/// A longer value is copied by itself, lest a small one of the same message keep it.
const SMALL: usize = 128;

/// Copies values out of the buffers in which they came. HTTP/2 remembers what it has compressed, 4 KiB of it, for as
/// long as the connection lasts (RFC 7541 section 2.3.2): some sixty values, each of which would keep a whole buffer of
/// 8 to 64 KiB.
pub fn own_values(headers: &mut HeaderMap) {
    let small = headers.values().map(HeaderValue::len).filter(|length| *length <= SMALL);
    let mut together = BytesMut::with_capacity(small.sum());
    for value in headers.values_mut() {
        let bytes = if value.len() <= SMALL {
            together.extend_from_slice(value.as_bytes());
            together.split().freeze()
        } else {
            Bytes::copy_from_slice(value.as_bytes())
        };
        let mut owned = HeaderValue::from_maybe_shared(bytes).expect("it was a value before");
        owned.set_sensitive(value.is_sensitive());
        *value = owned;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::{ETAG, SERVER, SET_COOKIE, VIA};

    #[test]
    fn values_are_what_they_were_and_keep_nothing_else() {
        let buffer = Bytes::from(vec![b'x'; 8192]);
        let of = |from, to| HeaderValue::from_maybe_shared(buffer.slice(from..to)).expect("a value");
        let mut headers = HeaderMap::new();
        headers.append(SERVER, of(0, 5));
        headers.append(SET_COOKIE, of(10, 20));
        headers.append(SET_COOKIE, of(20, 4000));
        headers.append(ETAG, of(30, 30));
        headers.append(VIA, HeaderValue::from_static("1.1 session-gateway"));
        let mut secret = of(30, 40);
        secret.set_sensitive(true);
        headers.append("x-secret", secret);
        let before = headers.clone();

        own_values(&mut headers);
        assert_eq!(headers, before);
        assert!(headers["x-secret"].is_sensitive() && !headers[SERVER].is_sensitive());
        drop(before);
        assert!(buffer.is_unique(), "somebody still keeps the buffer");
    }
}
