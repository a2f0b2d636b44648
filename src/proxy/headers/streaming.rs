//! Messages whose bodies go on for as long as both sides like.

use http::HeaderMap;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};

/// What a body goes on as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Streaming {
    /// Server-sent events, which may end after any; and gRPC for browsers, which has its trailers in the body.
    Events,
    /// gRPC over HTTP/2, whose trailers say how it has ended.
    Grpc,
}

impl Streaming {
    /// What the body behind these headers is, if it is of that kind.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get(CONTENT_TYPE)?.as_bytes();
        let is = |kind: &[u8]| {
            let (begin, rest) = value.split_at(value.len().min(kind.len()));
            begin.eq_ignore_ascii_case(kind) && rest.first().is_none_or(|byte| b"; \t+".contains(byte))
        };
        if is(b"application/grpc") {
            return Some(Self::Grpc);
        }
        [&b"text/event-stream"[..], b"application/grpc-web", b"application/grpc-web-text"]
            .into_iter()
            .any(is)
            .then_some(Self::Events)
    }

    /// What it ends with when its session has ended.
    pub fn farewell(self) -> Option<HeaderMap> {
        const STATUS: HeaderName = HeaderName::from_static("grpc-status");
        const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
        // UNAUTHENTICATED: who tries again with new credentials may succeed.
        let trailers = [(STATUS, "16"), (MESSAGE, "the session has ended")];
        let trailers = trailers.map(|(name, value)| (name, HeaderValue::from_static(value)));
        (self == Self::Grpc).then(|| trailers.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_on_is_known_by_its_content_type() {
        for (value, expected) in [
            ("text/event-stream", Some(Streaming::Events)),
            ("Text/Event-Stream; charset=utf-8", Some(Streaming::Events)),
            ("text/event-stream2", None),
            ("application/grpc", Some(Streaming::Grpc)),
            ("application/grpc+proto", Some(Streaming::Grpc)),
            ("application/grpc;a=b", Some(Streaming::Grpc)),
            ("application/grpc-web+proto", Some(Streaming::Events)),
            ("application/grpc-web-text", Some(Streaming::Events)),
            ("application/grpcx", None),
            ("text/html", None),
            ("", None),
        ] {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(value))]);
            assert_eq!(Streaming::of(&headers), expected, "{value}");
        }
        assert_eq!(Streaming::of(&HeaderMap::new()), None);
    }
}
