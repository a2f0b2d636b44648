//! Requests over HTTP/2.

use super::MIB;
use super::support::*;

#[test]
fn http2_requests_are_http1_upstream() {
    let site = Site::new();
    let client = site.http2();
    let body = "x".repeat(MIB);
    let pending = client.send_with("POST", "/a%2Fb?c=d", &[("x-twice", "1"), ("x-twice", "2")], &body, None);
    let mut exchange = site.backend.next();
    assert_eq!(exchange.head.start, "POST /a%2Fb?c=d HTTP/1.1");
    assert_eq!(exchange.header("Host"), Some("localhost"), "from :authority");
    assert_eq!(exchange.headers_all("X-Twice"), ["1", "2"]);
    assert_eq!(exchange.header("X-Forwarded-Proto"), Some("https"));
    assert_eq!(exchange.header("X-Forwarded-Host"), Some("localhost"));
    assert!(exchange.header("Via").is_some_and(|via| via.starts_with('2')), "the version that was received");
    assert!(!exchange.text().contains("\r\n:"), "no pseudo-header is passed on");
    assert_eq!(exchange.body().bytes, body.as_bytes());
    exchange.reply(ok().with("Connection", "close").with("Keep-Alive", "timeout=1").body(&body));
    let answer = pending.answer();
    assert_eq!((answer.status, answer.body.len()), (200, MIB));
    assert!(answer.headers.get("connection").is_none() && answer.headers.get("keep-alive").is_none());
}

/// Clients that know a body's length in advance may still end an empty one in a frame of its own.
#[test]
fn an_empty_http2_body_may_end_after_its_head() {
    let site = Site::new();
    let client = site.http2();
    let pending = client.send_with("POST", "/", &[("content-length", "0")], "", Some(&[]));
    let mut exchange = site.backend.next();
    assert_eq!(exchange.header("Content-Length"), Some("0"));
    assert!(exchange.body().complete);
    exchange.reply(ok());
    assert_eq!(pending.answer().status, 200);
}

#[test]
fn http2_requests_share_a_connection_without_waiting_for_each_other() {
    let site = Site::new();
    let client = site.http2();
    let slow = client.send("GET", "/slow", &[]);
    let held = site.backend.next();
    let fast = client.send("GET", "/fast", &[]);
    site.backend.next().reply(ok());
    assert_eq!(fast.answer().status, 200);
    held.reply(ok());
    assert_eq!(slow.answer().status, 200);
}

#[test]
fn trailers_pass_over_http2() {
    let site = Site::new();
    let client = site.http2();
    let pending = client.send("GET", "/", &[("te", "trailers")]);
    site.backend.next().respond_raw(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Checksum\r\n\r\n2\r\nok\r\n0\r\nX-Checksum: 7\r\n\r\n",
    );
    let answer = pending.answer();
    assert_eq!(
        (&answer.body[..], answer.trailers.get("x-checksum").map(http::HeaderValue::as_bytes)),
        (&b"ok"[..], Some(&b"7"[..]))
    );
}
