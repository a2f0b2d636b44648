//! What a request is called, and what is passed on of the trace that it belongs to.

use crate::support::*;

const ID: &str = "x-request-id";

/// Every spelling of the header as the backend got it.
fn told(site: &Site, request: Request) -> Vec<String> {
    let pending = site.browser().send(request);
    let exchange = site.backend.next();
    let fields: Vec<_> = exchange.text().lines().map(str::to_lowercase).collect();
    exchange.reply(ok());
    assert_eq!(pending.answer().status(), 200);
    let is_name = |line: &&String| line.split(':').next().is_some_and(|name| name.replace(['_', '.'], "-") == ID);
    fields.iter().filter(is_name).cloned().collect()
}

fn is_ours(line: &str) -> bool {
    let id = line.strip_prefix("x-request-id: ").unwrap_or_default();
    id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[test]
fn a_request_keeps_the_one_good_id_that_it_comes_with() {
    let site = Site::new();
    assert_eq!(told(&site, get("/").with("X-Request-Id", "Root=1-abc.d_e")), ["x-request-id: root=1-abc.d_e"]);
    let bad = [
        get("/"),
        get("/").with("X-Request-Id", ""),
        get("/").with("X-Request-Id", "two words"),
        get("/").with("X-Request-Id", "quo\"te"),
        get("/").with("X-Request-Id", &"x".repeat(129)),
        get("/").with("X-Request-Id", "a").with("X-Request-Id", "b"),
        get("/").with("X_Request_Id", "alias"),
        get("/").with("X.Request.Id", "alias"),
        get("/").with("X-Request-Id", "a").with("Connection", "X-Request-Id").with("X-Request-Id", "b"),
    ];
    let mut seen = std::collections::HashSet::new();
    for request in bad {
        let told = told(&site, request.clone());
        assert!(matches!(told.as_slice(), [one] if is_ours(one)), "{request:?}: {told:?}");
        assert!(seen.insert(told), "{request:?}");
    }
}

#[test]
fn every_id_is_ours_where_the_file_says_so() {
    let site = Site::build().listen("request_id = \"make\"\n").start();
    let told = told(&site, get("/").with("X-Request-Id", "good"));
    assert!(matches!(told.as_slice(), [one] if is_ours(one)), "{told:?}");
}

#[test]
fn an_id_is_a_header_like_any_where_the_file_says_so() {
    let site = Site::build().listen("request_id = \"off\"\n").start();
    assert_eq!(told(&site, get("/")), [""; 0]);
    let two = get("/").with("X-Request-Id", "two words").with("X_Request_Id", "b");
    assert_eq!(told(&site, two), ["x-request-id: two words", "x_request_id: b"]);
}

#[test]
fn over_http2_it_is_the_same() {
    let site = Site::new();
    let client = site.http2();
    let pending = client.send("GET", "/", &[(ID, "from-http2")]);
    let exchange = site.backend.next();
    assert_eq!(exchange.headers_all(ID), ["from-http2"]);
    exchange.reply(ok());
    assert_eq!(pending.answer().status, 200);
}

#[test]
fn log_and_error_page_call_a_request_by_its_id() {
    let process = Process::start(&Site::build(), "level = \"debug\"\naccess = \"json\"");
    let browser = process.browser();
    let page = browser.send(get("/../climb").with("X-Request-Id", "climber-1")).answer();
    assert_eq!((page.status(), page.text().as_str()), (400, "400 Bad Request\nrequest climber-1\n"));
    process.logged("climber-1");
    let made = browser.send(get("/../climb")).answer().text();
    let made = made.lines().last().and_then(|line| line.strip_prefix("request ")).expect("an id").to_owned();
    let pending = browser.send(get("/").with("X-Request-Id", "visitor-2"));
    process.backend.next().reply(ok());
    pending.answer();
    let lines = process.access_lines(3);
    let lines = lines.iter().map(|line| serde_json::from_str(line).expect("a JSON object"));
    let mut named: Vec<_> = lines.map(|line: serde_json::Value| line["request"].as_str().unwrap().to_owned()).collect();
    let mut expected = vec!["climber-1".to_owned(), made, "visitor-2".to_owned()];
    named.sort();
    expected.sort();
    assert_eq!(named, expected);
}

#[test]
fn the_trace_that_it_belongs_to_passes_as_it_came() {
    let site = Site::new();
    let (parent, state) = ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "rojo=1,congo=t61rcWkgMzE");
    let pending = site.browser().send(get("/").with("traceparent", parent).with("tracestate", state));
    let exchange = site.backend.next();
    assert_eq!((exchange.headers_all("traceparent"), exchange.headers_all("tracestate")), (vec![parent], vec![state]));
    exchange.reply(ok());
    pending.answer();
}
