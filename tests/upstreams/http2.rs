//! Servers that speak HTTP/2: what passes is what would pass over HTTP/1.1, and more of it at once.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use h2::Reason;
use http::Version;

use crate::support::wire::chunk;
use crate::support::*;

/// A gateway of one worker in front of this backend: what it has open is counted more easily.
fn site(backend: &Http2Backend) -> Site {
    site_with(backend, "")
}

fn site_with(backend: &Http2Backend, lines: &str) -> Site {
    Site::build().listen("workers = 1").servers(&[backend.server()]).upstream(lines).start()
}

/// An upload that goes on as long as the test likes.
fn upload(browser: &Browser) -> Pending {
    browser.send(request("POST", "/upload").with("Transfer-Encoding", "chunked"))
}

#[test]
fn a_request_and_its_answer_pass_in_clear_text_and_over_tls() {
    let authority = Authority::new();
    let lines = format!("tls.ca = \"{}\"", authority.path().display());
    for (backend, lines, scheme) in [
        (Http2Backend::start(), "", "http"),
        (Http2Backend::secure(authority.server(&["localhost"])), &*lines, "https"),
    ] {
        let site = site_with(&backend, lines);
        for browser in [site.browser(), site.plain()] {
            browser.plant("theirs", "1");
            browser.plant("others", "2");
            let asked = post("/form?a=b").with("X-Custom", "Value").with("Connection", "X-Hop").with("X-Hop", "1");
            let pending = browser.send(asked.with("X-Session-User", "forged").body("question"));
            let mut stream = backend.next();
            let uri = &stream.head.uri;
            assert_eq!((stream.head.method.as_str(), uri.scheme_str()), ("POST", Some(scheme)));
            assert_eq!(
                (uri.authority().unwrap().as_str(), uri.path_and_query().unwrap().as_str()),
                ("localhost", "/form?a=b")
            );
            assert_eq!((stream.header("x-custom"), stream.header("x-hop")), (Some("Value"), None));
            assert_eq!((stream.header("host"), stream.header("transfer-encoding")), (None, None));
            assert_eq!((stream.header("content-length"), stream.header("te")), (Some("8"), None));
            assert_eq!(stream.header("cookie"), Some("others=2; theirs=1"));
            assert!(stream.session("id").is_some() && stream.session("user").is_none());
            assert_eq!(
                (stream.header("x-forwarded-for"), stream.header("via")),
                (Some("127.0.0.1"), Some("1.1 session-gateway"))
            );
            assert_eq!(stream.body(), b"question");
            stream.respond(200, &[("x-session-user", "alice"), ("x-own", "1"), ("set-cookie", "a=b")], b"answer");
            let answer = pending.answer();
            assert_eq!((answer.status(), &*answer.text(), answer.complete), (200, "answer", true));
            assert_eq!((answer.header("x-own"), answer.header("via")), (Some("1"), Some("2 session-gateway")));
            assert!(answer.head.fields.aliases_of("X-Session-").is_empty());
            let pending = browser.send(get("/"));
            let stream = backend.next();
            assert_eq!(stream.session("user"), Some("alice"));
            stream.ok(&[]);
            assert_eq!(pending.answer().text(), "the backend's body");
        }
        assert_eq!(backend.connections(), 1);
    }
}

#[test]
fn a_client_of_http2_is_served_by_it() {
    let backend = Http2Backend::start();
    let site = site(&backend);
    let client = site.http2();
    let pending = client.send_with("POST", "/a", &[("cookie", "a=1"), ("cookie", "b=2")], "question", None);
    let mut stream = backend.next();
    assert_eq!((stream.header("cookie"), stream.header("via")), (Some("a=1; b=2"), Some("2 session-gateway")));
    assert_eq!((stream.head.version, stream.body().as_slice()), (Version::HTTP_2, &b"question"[..]));
    stream.respond(201, &[("content-length", "6")], b"answer");
    let answer = pending.answer();
    assert_eq!((answer.status, &answer.body[..]), (201, &b"answer"[..]));
}

#[test]
fn a_client_of_http2_is_served_by_a_server_of_http1() {
    let site = Site::new();
    let client = site.http2();
    let pending = client.send_with("POST", "/a", &[], "question", None);
    let mut exchange = site.backend.next();
    assert_eq!(exchange.body().bytes, b"question");
    exchange.reply(ok());
    assert_eq!(&pending.answer().body[..], b"the backend's body");
}

#[test]
fn answers_without_a_body_have_none() {
    let backend = Http2Backend::start();
    let site = site(&backend);
    let mut client = site.browser().connect();
    for (method, status, fields) in [
        ("HEAD", 200, &[("content-length", "1000")][..]),
        ("HEAD", 200, &[]),
        ("GET", 204, &[]),
        ("GET", 304, &[("etag", "\"1\"")]),
        ("GET", 200, &[]),
        ("DELETE", 404, &[("content-length", "0")]),
    ] {
        client.send(&request(method, "/"));
        backend.next().answer(status, fields);
        let answer = client.next_answer();
        assert_eq!((answer.status(), answer.body.len(), answer.complete), (status, 0, true), "{method} {status}");
        let length = fields.iter().find(|(name, _)| *name == "content-length");
        if let Some((_, length)) = length {
            assert_eq!(answer.header("content-length"), Some(*length), "{method} {status}");
        }
    }
}

/// Clients that are built on nghttp2, such as curl, take a length in a 204 for a malformed answer.
#[test]
fn an_answer_without_content_announces_none_to_clients_of_http2() {
    let backend = Http2Backend::start();
    let site = site(&backend);
    let client = site.http2();
    let pending = client.send("GET", "/", &[]);
    backend.next().answer(204, &[("content-length", "0")]);
    let answer = pending.answer();
    assert_eq!((answer.status, answer.headers.get("content-length")), (204, None));
}

#[test]
fn a_question_about_the_server_as_a_whole_passes() {
    let backend = Http2Backend::start();
    let site = site(&backend);
    let pending = site.browser().send(request("OPTIONS", "*"));
    let stream = backend.next();
    assert_eq!((stream.head.method.as_str(), stream.head.uri.path()), ("OPTIONS", "*"));
    stream.answer(200, &[("allow", "GET")]);
    assert_eq!(pending.answer().header("allow"), Some("GET"));
}

#[test]
fn requests_share_a_connection_up_to_what_its_server_allows() {
    let backend = Http2Backend::of_streams(3);
    let site = site(&backend);
    let browser = site.browser();
    let pending: Vec<_> = (0..7).map(|_| browser.send(get("/"))).collect();
    let streams: Vec<_> = (0..7).map(|_| backend.next()).collect();
    let mut on = [0; 3];
    for stream in &streams {
        on[stream.connection()] += 1;
    }
    on.sort_unstable();
    assert_eq!(on, [1, 3, 3]);
    for stream in streams {
        stream.ok(&[]);
    }
    for pending in pending {
        assert_eq!(pending.answer().status(), 200);
    }
}

#[test]
fn many_requests_that_come_at_once_make_one_connection() {
    let backend = Http2Backend::start();
    let site = site(&backend);
    let client = site.http2();
    let pending: Vec<_> = (0..50).map(|_| client.send("GET", "/", &[])).collect();
    for _ in 0..50 {
        backend.next().ok(&[]);
    }
    for pending in pending {
        assert_eq!(pending.answer().status, 200);
    }
    assert_eq!(backend.connections(), 1);
}

#[test]
fn an_idle_connection_is_closed_after_its_time() {
    let backend = Http2Backend::start();
    let site = site_with(&backend, "keepalive = \"1s\"");
    let (slow, quick) = (site.browser().send(get("/")), site.browser().send(get("/")));
    let (held, done) = (backend.next(), backend.next());
    done.ok(&[]);
    held.ok(&[]);
    assert_eq!((slow.answer().status(), quick.answer().status()), (200, 200));
    assert_eq!(backend.open_connections(), 1);
    eventually("it is closed", || (backend.open_connections() == 0).then_some(()));
    let again = site.browser().send(get("/"));
    backend.next().ok(&[]);
    assert_eq!((again.answer().status(), backend.connections()), (200, 2));
}

#[test]
fn a_server_that_goes_away_finishes_what_it_has_and_gets_no_more() {
    let backend = Http2Backend::start();
    let site = site(&backend);
    let first = site.browser().send(get("/first"));
    let held = backend.next();
    backend.goes_away();
    // Until the gateway has heard of it, requests may still be on their way to the old connection.
    let stream = eventually("a request comes on another connection", || {
        let pending = site.browser().send(post("/next"));
        let stream = backend.next();
        if stream.connection() == 0 {
            stream.ok(&[]);
            assert_eq!(pending.answer().status(), 200);
            return None;
        }
        Some((pending, stream))
    });
    stream.1.ok(&[]);
    assert_eq!(stream.0.answer().status(), 200);
    held.respond(200, &[], b"held");
    assert_eq!(first.answer().text(), "held");
    eventually("the old connection is closed", || (backend.open_connections() == 1).then_some(()));
}

#[test]
fn a_refused_request_is_sent_once_more() {
    let backend = Http2Backend::start();
    let site = site(&backend);
    // Whatever its method: nothing was done about it (RFC 9113 section 8.7).
    let pending = site.browser().send(post("/once"));
    backend.next().reset(Reason::REFUSED_STREAM);
    let again = backend.next();
    assert_eq!(again.head.uri.path(), "/once");
    again.ok(&[]);
    assert_eq!(pending.answer().status(), 200);

    let pending = site.browser().send(get("/never"));
    backend.next().reset(Reason::REFUSED_STREAM);
    backend.next().reset(Reason::REFUSED_STREAM);
    assert_eq!(pending.answer().status(), 502);
    backend.saw_nothing();
}

#[test]
fn a_request_whose_body_is_gone_or_that_was_taken_up_is_not_sent_again() {
    let backend = Http2Backend::start();
    let site = site(&backend);
    for (asked, reason) in [(post("/").body("gone"), Reason::REFUSED_STREAM), (get("/"), Reason::INTERNAL_ERROR)] {
        let pending = site.browser().send(asked);
        let mut stream = backend.next();
        stream.body();
        stream.reset(reason);
        assert_eq!(pending.answer().status(), 502);
        backend.saw_nothing();
    }
}

/// Frames as they are (RFC 9113 section 4.1).
mod frames {
    pub(super) fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let head = [length[1], length[2], length[3], kind, flags, 0, 0, 0, stream];
        [&head[..], payload].concat()
    }
}

/// A server of HTTP/2 whose every byte is the test's; it has said hello.
struct Raw {
    socket: TcpStream,
}

impl Raw {
    fn accept(listener: &TcpListener) -> Self {
        let (socket, _) = listener.accept().unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut this = Self { socket };
        this.take(24);
        this.write(4, 0, 0, b"");
        this
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.socket.read_exact(&mut bytes).unwrap();
        bytes
    }

    fn write(&mut self, kind: u8, flags: u8, stream: u8, payload: &[u8]) {
        self.socket.write_all(&frames::frame(kind, flags, stream, payload)).unwrap();
    }

    /// Reads until a frame of this kind has come; its stream. Pings are answered.
    fn until(&mut self, kind: u8) -> u8 {
        loop {
            let head = self.take(9);
            let payload = self.take(usize::from(head[1]) * 256 + usize::from(head[2]));
            if (head[3], head[4]) == (6, 0) {
                self.write(6, 1, 0, &payload);
            }
            if head[3] == kind {
                return head[8];
            }
        }
    }
}

const HEADERS: u8 = 1;
const GOAWAY: u8 = 7;
/// `:status: 200`, of HPACK's static table.
const OK: &[u8] = &[0x88];

#[test]
fn what_a_server_has_not_taken_up_before_it_went_away_is_sent_again_and_no_other() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = format!("h2c://{}", listener.local_addr().unwrap());
    let site = Site::build().listen("workers = 1").servers(&[&server]).start();
    for (last, status) in [(0, 200), (1, 502)] {
        let pending = site.browser().send(post("/"));
        let mut first = Raw::accept(&listener);
        assert_eq!(first.until(HEADERS), 1);
        // The last stream that it has taken up, and no error.
        first.write(GOAWAY, 0, 0, &[0, 0, 0, last, 0, 0, 0, 0]);
        drop(first);
        if status == 200 {
            let mut second = Raw::accept(&listener);
            let stream = second.until(HEADERS);
            second.write(HEADERS, 5, stream, OK);
            assert_eq!(pending.answer().status(), status);
            drop(second);
        } else {
            assert_eq!(pending.answer().status(), status);
        }
    }
}

#[test]
fn a_client_that_leaves_cancels_its_request_and_no_other() {
    let backend = Http2Backend::start();
    let site = site(&backend);
    let (leaves, stays) = (site.browser().send(get("/leaves")), site.browser().send(get("/stays")));
    let (one, other) = (backend.next(), backend.next());
    let (mut left, stayed) = if one.head.uri.path() == "/leaves" { (one, other) } else { (other, one) };
    drop(leaves);
    assert_eq!(left.is_reset(), Reason::CANCEL);
    let mut answering = stayed.begin(200, &[]);
    answering.send(b"half");
    answering.send(b"whole");
    answering.end();
    assert_eq!(stays.answer().text(), "halfwhole");

    let mut leaves = site.browser().send(get("/"));
    let mut answering = backend.next().begin(200, &[]);
    answering.send(b"half");
    leaves.until(b"half");
    drop(leaves);
    assert_eq!(answering.is_reset(), Reason::CANCEL);
    assert_eq!(backend.connections(), 1);
}

#[test]
fn a_body_that_is_reset_is_not_whole() {
    let backend = Http2Backend::start();
    let site = site(&backend);
    for reason in [Reason::INTERNAL_ERROR, Reason::NO_ERROR, Reason::CANCEL] {
        let mut pending = site.browser().send(get("/"));
        let mut answering = backend.next().begin(200, &[]);
        answering.send(b"half of it");
        pending.until(b"half of it");
        answering.reset(reason);
        let rest = pending.until_closed();
        assert!(!String::from_utf8_lossy(&rest).contains("0\r\n\r\n"), "{reason}: the client should learn of it");
    }
}

#[test]
fn an_upload_waits_for_a_server_that_does_not_read() {
    const SIZE: usize = 16 * 1024 * 1024;
    let backend = Http2Backend::start();
    let site = site(&backend);
    let mut pending = site.plain().send(request("POST", "/").with("Content-Length", &SIZE.to_string()));
    let mut stream = backend.next();
    let taken = pending.pour(SIZE);
    assert!(taken < SIZE, "nobody reads, and {taken} bytes are taken");
    let reader = std::thread::spawn(move || {
        assert_eq!(stream.body().len(), SIZE);
        stream.ok(&[]);
    });
    pending.write(&vec![0; SIZE - taken]);
    assert_eq!(pending.answer().status(), 200);
    reader.join().unwrap();
}

#[test]
fn a_download_waits_for_its_client_and_no_other_waits_for_it() {
    const SIZE: usize = 64 * 1024 * 1024;
    let backend = Http2Backend::start();
    let site = site(&backend);
    let mut slow = site.plain().send(get("/"));
    let mut answering = backend.next().begin(200, &[("content-length", &SIZE.to_string())]);
    let sent = answering.pour(SIZE);
    assert!(sent < SIZE, "nobody reads, and {sent} bytes are taken");
    let quick = site.browser().send(get("/"));
    let stream = backend.next();
    assert_eq!(stream.connection(), 0);
    stream.respond(200, &[], &vec![b'a'; 1024 * 1024]);
    assert_eq!(quick.answer().body.len(), 1024 * 1024);
    let sender = std::thread::spawn(move || {
        let rest = answering.pour(SIZE - sent);
        answering.end();
        rest
    });
    slow.head();
    assert!(slow.takes(SIZE));
    assert_eq!(sender.join().unwrap(), SIZE - sent);
}

#[test]
fn an_answer_and_its_request_flow_at_once() {
    let backend = Http2Backend::start();
    let site = site(&backend);
    let mut client = upload(&site.browser());
    let mut stream = backend.next();
    client.write(&chunk(b"one"));
    assert_eq!(stream.data().as_deref(), Some(&b"one"[..]));
    let mut answering = stream.begin(200, &[]);
    for round in 0..5 {
        answering.send(format!("answer {round}").as_bytes());
        client.until(format!("answer {round}").as_bytes());
        client.write(&chunk(format!("question {round}").as_bytes()));
        assert_eq!(answering.asked.data().as_deref(), Some(format!("question {round}").as_bytes()));
    }
    // Nobody reads the answer any more, and the request still flows.
    answering.pour(64 * 1024 * 1024);
    client.write(&chunk(b"last"));
    assert_eq!(answering.asked.data().as_deref(), Some(&b"last"[..]));
    client.write(b"0\r\n\r\n");
    assert_eq!(answering.asked.data(), None);
}

#[test]
fn an_answer_may_be_whole_before_its_request() {
    let backend = Http2Backend::start();
    let site = site(&backend);
    let mut client = upload(&site.browser());
    let stream = backend.next();
    stream.respond(413, &[], b"too much");
    let head = client.head();
    assert_eq!(head.status(), 413);
    client.until(b"too much");
    let next = site.browser().send(get("/"));
    backend.next().ok(&[]);
    assert_eq!((next.answer().status(), backend.connections()), (200, 1));
}

#[test]
fn an_upload_that_breaks_off_is_cancelled() {
    let backend = Http2Backend::start();
    let site = site(&backend);
    let mut client = upload(&site.browser());
    client.write(&chunk(b"half"));
    let mut stream = backend.next();
    assert_eq!(stream.data().as_deref(), Some(&b"half"[..]));
    client.write(b"no chunk");
    assert_eq!(stream.is_reset(), Reason::CANCEL);
    assert_eq!(client.answer().status(), 400);
}

#[test]
fn trailers_pass_both_ways_without_what_may_not_be_in_them() {
    let backend = Http2Backend::start();
    let site = site(&backend);
    let client = site.http2();
    let sent = [("x-sum", "1"), ("x-session-user", "forged"), ("x_session_user", "forged"), ("cookie", "a=b")];
    let pending = client.send_with("POST", "/", &[("te", "trailers")], "question", Some(&sent));
    let mut stream = backend.next();
    assert_eq!(stream.header("te"), Some("trailers"));
    assert_eq!(stream.body(), b"question");
    assert_eq!(stream.trailers().keys().map(http::HeaderName::as_str).collect::<Vec<_>>(), ["x-sum"]);
    let mut answering = stream.begin(200, &[]);
    answering.send(b"answer");
    answering.trailers(&[("grpc-status", "0"), ("x-session-user", "mallory"), ("set-cookie", "a=b")]);
    let answer = pending.answer();
    assert_eq!((answer.status, &answer.body[..]), (200, &b"answer"[..]));
    assert_eq!(answer.trailers.keys().map(http::HeaderName::as_str).collect::<Vec<_>>(), ["grpc-status"]);
    assert_eq!(answer.all("set-cookie").iter().filter(|line| line.contains("a=b")).count(), 0);
    let pending = client.send("GET", "/", &[]);
    let stream = backend.next();
    assert_eq!((stream.session("user"), stream.header("te")), (None, None));
    // Nothing but a head, which has all there is to say.
    stream.answer(200, &[("grpc-status", "12"), ("content-type", "application/grpc")]);
    let answer = pending.answer();
    assert_eq!((answer.all("grpc-status"), answer.body.len(), answer.trailers.len()), (vec!["12"], 0, 0));
}

#[test]
fn trailers_reach_a_client_of_http1_that_asks_for_them() {
    let backend = Http2Backend::start();
    let site = site(&backend);
    for (asks, expected) in [(true, Some("1")), (false, None)] {
        let asked = get("/");
        let asked = if asks { asked.with("TE", "trailers").with("Connection", "TE") } else { asked };
        let pending = site.browser().send(asked);
        let stream = backend.next();
        assert_eq!(stream.header("te"), asks.then_some("trailers"));
        let mut answering = stream.begin(200, &[("trailer", "x-sum")]);
        answering.send(b"answer");
        answering.trailers(&[("x-sum", "1")]);
        let answer = pending.answer();
        assert_eq!((&*answer.text(), answer.trailers.one("x-sum"), answer.complete), ("answer", expected, true));
    }
}

#[test]
fn a_silent_server_is_given_up_and_its_connection_with_it() {
    let backend = Http2Backend::start();
    let site = site_with(&backend, "response_timeout = \"300ms\"\nconnect_timeout = \"700ms\"");
    let pending = site.browser().send(get("/"));
    let mut slow = backend.next();
    assert_eq!(pending.answer().status(), 504);
    assert_eq!(slow.is_reset(), Reason::CANCEL);
    // It was only slow: it answers pings.
    eventually("its connection is used again", || {
        let pending = site.browser().send(get("/"));
        let stream = backend.next();
        let connection = stream.connection();
        stream.ok(&[]);
        assert_eq!(pending.answer().status(), 200);
        (connection == 0).then_some(())
    });
    let before = backend.open_connections();
    backend.freezes();
    let began = Instant::now();
    eventually("no request goes to a server that says nothing", || {
        let pending = site.browser().send(get("/"));
        let answered = backend.next_within(Duration::from_millis(100));
        if let Some(stream) = answered {
            stream.ok(&[]);
        }
        (pending.answer().status() == 200).then_some(())
    });
    assert!(began.elapsed() < PATIENCE && before > 0);
}

#[test]
fn a_stalled_body_is_given_up_and_one_that_moves_either_way_is_not() {
    let backend = Http2Backend::start();
    let site = site_with(&backend, "body_timeout = \"400ms\"");
    let mut client = upload(&site.browser());
    let mut answering = backend.next().begin(200, &[]);
    for moves in ["question", "answer"] {
        // More than twice the timeout.
        for _ in 0..10 {
            std::thread::sleep(Duration::from_millis(100));
            if moves == "question" {
                client.write(&chunk(b"question"));
                assert_eq!(answering.asked.data().as_deref(), Some(&b"question"[..]));
            } else {
                answering.send(b"answer");
                client.until(b"answer");
            }
        }
    }
    assert_eq!(answering.is_reset(), Reason::CANCEL);
    assert!(client.is_closed());
}

#[test]
fn a_server_that_does_not_speak_http2_is_none_that_can_be_connected_to() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = format!("h2c://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let mut socket = socket.unwrap();
            let _ = socket.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
        }
    });
    let authority = Authority::new();
    let secure = Backend::secure(authority.server(&["localhost"]));
    let lines = format!("tls.ca = \"{}\"", authority.path().display());
    let secure = secure.server().replace("https://", "h2://");
    for (server, lines, why) in [(&server, "", "HTTP/2"), (&secure, &*lines, "does not offer HTTP/2")] {
        let process = Process::start(&Site::build().servers(&[server]).upstream(lines), "access = \"off\"");
        assert_eq!(process.browser().send(get("/")).answer().status(), 502);
        let log = process.logged("cannot connect to");
        assert!(log.contains(server.as_str()) && log.to_lowercase().contains(&why.to_lowercase()), "{log}");
    }
}

#[test]
fn a_limit_on_requests_holds_for_those_that_share_a_connection() {
    let backend = Http2Backend::start();
    let site = site_with(&backend, "max_connections = 2");
    let browser = site.browser();
    let pending: Vec<_> = (0..3).map(|_| browser.send(get("/"))).collect();
    let (first, second) = (backend.next(), backend.next());
    std::thread::sleep(Duration::from_millis(200));
    backend.saw_nothing();
    first.ok(&[]);
    backend.next().ok(&[]);
    second.ok(&[]);
    for pending in pending {
        assert_eq!(pending.answer().status(), 200);
    }
}

#[test]
fn the_next_server_is_asked_where_one_cannot_be_connected_to() {
    let backend = Http2Backend::start();
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let site = Site::build().servers(&[&format!("h2c://{nobody}"), backend.server()]).start();
    for _ in 0..4 {
        let pending = site.browser().send(get("/"));
        backend.next().ok(&[]);
        assert_eq!(pending.answer().status(), 200);
    }
    let up = |server: &str| site.metric("session_gateway_upstream_server_up", &[("server", server)]);
    assert_eq!((up(backend.server()), up(&format!("h2c://{nobody}"))), (1, 0));
}

#[test]
fn health_checks_are_spoken_in_it() {
    let backend = Http2Backend::start();
    let lines = "health = { path = \"/healthz?from=gateway\", interval = \"20ms\", rise = 1, fall = 1 }";
    let site = site_with(&backend, lines);
    let up = || site.metric("session_gateway_upstream_server_up", &[("upstream", "app")]);
    for (status, expected) in [(500, 0), (204, 1)] {
        let check = backend.next();
        assert_eq!(
            (check.head.method.as_str(), check.head.uri.path_and_query().unwrap().as_str()),
            ("GET", "/healthz?from=gateway")
        );
        check.answer(status, &[]);
        eventually("the gateway has noticed", || (up() == expected).then_some(()));
    }
}

#[test]
fn a_websocket_is_not_asked_for_over_it() {
    let backend = Http2Backend::start();
    let site = site(&backend);
    let asked = get("/").with("Connection", "Upgrade").with("Upgrade", "websocket");
    assert_eq!(site.browser().send(asked).answer().status(), 501);
    backend.saw_nothing();
    let of = [("upstream", "app")];
    assert_eq!(site.metric("session_gateway_upstream_connects_total", &of), 0, "it was not even connected to");
    assert_eq!(site.metric("session_gateway_upstream_failures_total", &of), 0, "and nothing of it has failed");
}
