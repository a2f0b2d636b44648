//! WebSocket over HTTP/2: an extended CONNECT, and the handshake of HTTP/1.1 in its place (RFC 8441 section 5).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{CONNECTION, HeaderMap, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use http::{Method, StatusCode, request};
use hyper::ext::Protocol;
use sha1::{Digest, Sha1};

/// RFC 6455 section 1.3: what a server appends to a key to show that it has read it.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// That a request is an extended CONNECT in the form of a handshake. Kept among the request's extensions.
#[derive(Clone, Debug)]
pub struct Connect {
    /// What an answer to the handshake has to say.
    accept: String,
}

/// Why an answer opens no WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotOpened {
    /// A status of 2xx: over HTTP/2 it would say that the WebSocket is open.
    #[error("status {}, which over HTTP/2 would open it", .0.as_u16())]
    Status(StatusCode),
    /// It is not for the key that was sent.
    #[error("its Sec-WebSocket-Accept is not for the key that it was sent")]
    Accept,
}

impl Connect {
    /// Makes a handshake of an extended CONNECT for a WebSocket. Every other request stays what it is.
    pub fn take_up(head: &mut request::Parts) {
        let is_websocket = |protocol: &Protocol| protocol.as_str() == "websocket";
        if head.method != Method::CONNECT || !head.extensions.get().is_some_and(is_websocket) {
            return;
        }
        let mut random = [0; 16];
        getrandom::fill(&mut random).expect("the operating system gives random bytes");
        let key = STANDARD.encode(random);
        let accept = accept(&key);
        head.method = Method::GET;
        // HTTP/2 has none of these (section 5.1), and no client has a say in them.
        for (name, value) in [(CONNECTION, "upgrade"), (UPGRADE, "websocket"), (SEC_WEBSOCKET_KEY, &key)] {
            head.headers.insert(name, HeaderValue::try_from(value).expect("base64 is a header value"));
        }
        head.extensions.insert(Self { accept });
    }

    /// Makes sure that an answer of this status is none that the client would take for something else.
    pub fn check(&self, status: StatusCode, headers: &HeaderMap) -> Result<(), NotOpened> {
        if status.is_success() {
            return Err(NotOpened::Status(status));
        }
        let accept = headers.get(SEC_WEBSOCKET_ACCEPT).map(HeaderValue::as_bytes);
        if status == StatusCode::SWITCHING_PROTOCOLS && accept != Some(self.accept.as_bytes()) {
            return Err(NotOpened::Accept);
        }
        Ok(())
    }
}

fn accept(key: &str) -> String {
    STANDARD.encode(Sha1::new().chain_update(key).chain_update(GUID).finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_answered_as_the_rfc_says() {
        // RFC 6455 section 1.3.
        assert_eq!(accept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
