//! What the client is sent: an upstream's answer, or the protocol that it has switched to.

use http::header::{CONNECTION, HeaderMap, HeaderValue, SEC_WEBSOCKET_ACCEPT, UPGRADE};
use http::{Response, StatusCode, Version};

use super::access::Exchange;
use super::body::ResponseBody;
use super::headers::Streaming;
use super::stream::{SessionEnd, Tunnel};
use super::upstream;

/// Whether what follows the head goes on for as long as both sides like.
pub(super) fn stays_open(answer: &mut upstream::Answer) -> bool {
    answer.status() == StatusCode::SWITCHING_PROTOCOLS || Streaming::of(answer.headers()).is_some()
}

/// An upstream's answer, on its way to the client. `asked` are the request's headers, which nobody needs any more.
pub(super) fn respond(
    answer: upstream::Answer,
    end: Option<SessionEnd>,
    exchange: Exchange,
    mut asked: HeaderMap,
) -> Response<ResponseBody> {
    let status = answer.status();
    asked.clear();
    let (headers, body) = answer.into_parts(asked);
    let farewell = end.as_ref().and_then(|_| Streaming::of(&headers)).and_then(Streaming::farewell);
    let mut response = Response::new(ResponseBody::upstream(body, end, farewell, exchange));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// The head of an answer that switches to WebSocket, and, in place of a body, the connection that speaks it. Over
/// HTTP/2 it is a success, and nothing is switched but the stream (RFC 8441 section 5.1).
pub(super) fn switch(
    answer: upstream::Answer,
    end: Option<SessionEnd>,
    exchange: Exchange,
    version: Version,
) -> Response<ResponseBody> {
    let timeout = answer.websocket_timeout();
    let (mut headers, server) = answer.into_switched();
    let mut response = Response::new(ResponseBody::switched(Tunnel::new(server, timeout, end, exchange)));
    if version == Version::HTTP_2 {
        headers.remove(SEC_WEBSOCKET_ACCEPT);
    } else {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    }
    *response.headers_mut() = headers;
    response
}
