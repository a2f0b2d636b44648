//! Bodies both ways, and how they end.

use super::support::wire::chunk;
use super::support::*;
use super::{MIB, pattern};

#[test]
fn ten_mebibytes_pass_intact_both_ways() {
    let site = Site::new();
    let body = pattern(10 * MIB);
    for browser in [site.browser(), site.plain()] {
        let sent = body.clone();
        // Neither side can send all of it before the other reads.
        let mut pending = browser.send(request("PUT", "/big").with("Content-Length", &sent.len().to_string()));
        let mut exchange = site.backend.next();
        let reading = std::thread::spawn(move || {
            let got = exchange.body().clone();
            exchange.reply(ok().body(&got.bytes));
            got
        });
        pending.write(&sent);
        let answered = pending.next_answer();
        let got = reading.join().expect("the backend's half");
        assert!(got.complete && got.bytes == sent, "the upload should be intact");
        assert_eq!(answered.status(), 200);
        assert!(answered.complete && answered.body == body, "the download should be intact");
    }
}

#[test]
fn a_request_body_arrives_before_it_is_complete() {
    let site = Site::new();
    let mut pending = site.browser().send(request("POST", "/up").with("Transfer-Encoding", "chunked"));
    pending.write(&chunk(b"first"));
    let mut exchange = site.backend.next();
    exchange.until(b"first");
    pending.write(&chunk(b"last"));
    pending.write(b"0\r\n\r\n");
    exchange.until(b"last");
    exchange.until(b"0\r\n\r\n");
    exchange.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    exchange.keep();
    assert_eq!(pending.answer().status(), 200);
}

#[test]
fn a_get_keeps_its_body() {
    let site = Site::new();
    let mut pending = site.browser().send(get("/_search").with("Transfer-Encoding", "chunked"));
    pending.write(&chunk(b"query"));
    pending.write(b"0\r\n\r\n");
    let mut exchange = site.backend.next();
    assert_eq!(exchange.body().bytes, b"query");
    exchange.reply(ok());
    assert_eq!(pending.answer().status(), 200);
    let pending = site.browser().send(get("/_search").body("query"));
    let mut exchange = site.backend.next();
    assert_eq!(exchange.header("Content-Length"), Some("5"));
    assert_eq!(exchange.body().bytes, b"query");
    exchange.reply(ok());
    assert_eq!(pending.answer().status(), 200);
    let client = site.http2();
    let pending = client.send_with("GET", "/_search", &[], "query", None);
    let mut exchange = site.backend.next();
    assert_eq!(exchange.body().bytes, b"query");
    exchange.reply(ok());
    assert_eq!(pending.answer().status, 200);
}

/// RFC 9112 section 6.3: with both, the transfer coding alone tells where a message ends.
#[test]
fn a_length_beside_a_transfer_coding_is_void() {
    let site = Site::new();
    let pending = site.browser().send(get("/"));
    let mut exchange = site.backend.next();
    exchange.write(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n");
    exchange.write(&chunk(b"hello"));
    exchange.write(b"0\r\n\r\n");
    exchange.keep();
    let answer = pending.answer();
    assert_eq!((answer.text().as_str(), answer.complete), ("hello", true), "{}", answer.text_head());
    assert_ne!(answer.header("Content-Length"), Some("3"));
}

#[test]
fn a_transfer_coding_other_than_chunked_is_passed_on_in_neither_direction() {
    let site = Site::new();
    for coding in ["gzip, chunked", "identity, chunked"] {
        let mut pending = site.browser().send(request("POST", "/").with("Transfer-Encoding", coding));
        pending.write(&chunk(b"zzz"));
        pending.write(b"0\r\n\r\n");
        assert_eq!(pending.head().status(), 501, "{coding}: RFC 9112 section 6.1");
        site.backend.saw_nothing();

        let pending = site.browser().send(post("/"));
        let head = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: {coding}\r\n\r\n3\r\nzzz\r\n0\r\n\r\n");
        site.backend.next().respond_and_close(head.as_bytes());
        assert_eq!(pending.answer().status(), 502, "{coding}");
    }
}

#[test]
fn an_answers_body_arrives_before_it_is_complete() {
    let site = Site::new();
    for framing in ["Transfer-Encoding: chunked", "Content-Length: 9"] {
        let chunked = framing.starts_with("Transfer");
        let part = |bytes: &[u8]| if chunked { chunk(bytes) } else { bytes.to_vec() };
        let mut pending = site.browser().send(get("/down"));
        let mut exchange = site.backend.next();
        exchange.write(format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n").as_bytes());
        assert_eq!(pending.head().status(), 200, "the head goes out before the body");
        exchange.write(&part(b"first"));
        pending.until(b"first");
        exchange.write(&part(b"last"));
        if chunked {
            exchange.write(b"0\r\n\r\n");
        }
        pending.until(b"last");
        exchange.keep();
    }
}

#[test]
fn a_client_that_does_not_read_slows_the_upstream_down() {
    let site = Site::new();
    let total = 256 * MIB;
    let mut pending = site.plain().send(get("/flood"));
    let mut exchange = site.backend.next();
    exchange.write(format!("HTTP/1.1 200 OK\r\nContent-Length: {total}\r\n\r\n").as_bytes());
    assert_eq!(pending.head().status(), 200);
    let taken = exchange.pour(total);
    assert!(taken < 64 * MIB, "the gateway took {} MiB that nobody read", taken / MIB);
}

#[test]
fn an_upstream_that_does_not_read_slows_the_client_down() {
    let site = Site::new();
    let total = 256 * MIB;
    let mut pending = site.plain().send(request("PUT", "/flood").with("Content-Length", &total.to_string()));
    let _held = site.backend.next();
    let taken = pending.pour(total);
    assert!(taken < 64 * MIB, "the gateway took {} MiB that nobody read", taken / MIB);
}

#[test]
fn head_and_bodiless_answers_have_no_body_and_keep_their_headers() {
    let site = Site::new();
    let browser = site.browser();
    let (seen, answer) = site.visit(&browser, request("HEAD", "/"), ok().with("ETag", "\"a\""));
    assert_eq!(seen.head.start, "HEAD / HTTP/1.1");
    assert_eq!((answer.status(), answer.header("Content-Length")), (200, Some("18")), "{}", answer.text_head());
    let (_, answer) = site.visit(&browser, get("/"), status("204 No Content").with("X-A", "1"));
    assert_eq!((answer.status(), answer.header("X-A"), answer.header("Content-Length")), (204, Some("1"), None));
    let (_, answer) = site.visit(&browser, get("/"), status("304 Not Modified").with("ETag", "\"a\""));
    assert_eq!((answer.status(), answer.header("ETag")), (304, Some("\"a\"")));
}

#[test]
fn one_connection_serves_many_requests() {
    let site = Site::new();
    let browser = site.browser();
    let mut line = browser.connect();
    let replies =
        [ok(), status("204 No Content"), status("404 Not Found").body("no"), status("304 Not Modified"), ok()];
    for (i, reply) in replies.into_iter().enumerate() {
        let method = if i == 4 { "HEAD" } else { "GET" };
        line.send(&request(method, &format!("/{i}")));
        let exchange = site.backend.next();
        assert_eq!(exchange.target(), format!("/{i}"));
        exchange.reply(reply);
        assert!(line.next_answer().complete);
    }
    // An error of ours does not end it either.
    line.send(&get("/last"));
    site.backend.next().reply(ok().session("Patch", "["));
    assert_eq!(line.next_answer().status(), 502);
    line.send(&get("/after"));
    site.backend.next().reply(ok());
    assert_eq!(line.next_answer().status(), 200);
}

#[test]
fn an_answer_that_ends_with_its_connection_is_whole() {
    let site = Site::new();
    for version in ["1.1", "1.0"] {
        let pending = site.browser().send(get("/"));
        site.backend.next().respond_and_close(format!("HTTP/{version} 200 OK\r\n\r\nuntil the end").as_bytes());
        let answer = pending.answer();
        assert_eq!((answer.status(), answer.text().as_str(), answer.complete), (200, "until the end", true));
    }
}
