//! Trusted proxies in front: what they say of the client is taken, and nobody else's word.

use super::support::{Browser, Request, Seen, Setup, Site, get, ok};

/// What a client, or a proxy for it, may say.
fn telling(x_forwarded_for: &str) -> Request {
    get("/")
        .with("X-Forwarded-For", x_forwarded_for)
        .with("X-Forwarded-Proto", "https")
        .with("X-Forwarded-Host", "other.example")
        .with("Forwarded", "for=203.0.113.9;proto=https;host=third.example")
        .with("X-Real-IP", "203.0.113.8")
}

fn behind(lines: &str) -> Setup {
    Site::build().listen(&format!("trusted_proxies = [\"127.0.0.0/8\", \"10.0.0.0/8\"]\n{lines}"))
}

fn told(seen: &Seen) -> [Option<&str>; 4] {
    ["Host", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host"].map(|name| seen.header(name))
}

fn assert_nothing_else(seen: &Seen) {
    for name in ["Forwarded", "X-Real-IP"] {
        assert_eq!(seen.header(name), None, "{name}");
    }
}

#[test]
fn what_a_stranger_says_of_the_client_is_replaced() {
    for header in ["X-Forwarded-For", "Forwarded"] {
        let lines = format!("real_ip_header = {header:?}\nforwarded_host = true");
        let site = Site::build().listen(&format!("trusted_proxies = [\"10.0.0.0/8\"]\n{lines}")).start();
        let (seen, _) = site.visit(&site.plain(), telling("192.0.2.1, 10.0.0.1"), ok());
        assert_eq!(told(&seen), [Some("localhost"), Some("127.0.0.1"), Some("http"), Some("localhost")], "{header}");
        assert_nothing_else(&seen);
    }
}

#[test]
fn what_a_trusted_proxy_says_is_taken_and_its_own_address_added() {
    let site = behind("").start();
    let (seen, _) = site.visit(&site.plain(), telling("198.51.100.66, 192.0.2.1, 10.2.2.2"), ok());
    let chain = "192.0.2.1, 10.2.2.2, 127.0.0.1";
    assert_eq!(told(&seen), [Some("localhost"), Some(chain), Some("https"), Some("localhost")]);
    assert_nothing_else(&seen);
    // Over HTTP/2, too, and each request on one connection tells of its own client.
    let connection = site.http2();
    for client in ["192.0.2.1", "2001:db8::1"] {
        let stream = connection.send("GET", "/", &[("x-forwarded-for", client), ("x-forwarded-proto", "http")]);
        let exchange = site.backend.next();
        let seen = Seen { head: exchange.head.clone() };
        exchange.reply(ok());
        assert_eq!(stream.answer().status, 200);
        let chain = format!("{client}, 127.0.0.1");
        assert_eq!(told(&seen), [Some("localhost"), Some(&*chain), Some("http"), Some("localhost")]);
    }
}

#[test]
fn forwarded_is_believed_where_it_is_asked_for_and_then_it_alone() {
    let site = behind("real_ip_header = \"Forwarded\"\nforwarded_host = true").start();
    let (seen, _) = site.visit(&site.plain(), telling("192.0.2.1"), ok());
    let chain = "203.0.113.9, 127.0.0.1";
    assert_eq!(told(&seen), [Some("third.example"), Some(chain), Some("https"), Some("third.example")]);
    assert_nothing_else(&seen);
}

#[test]
fn host_that_a_proxy_names_picks_the_route_where_it_is_asked_to() {
    let site = behind("forwarded_host = true")
        .routes(&["host = \"other.example\"\nupstream = \"app\"", "path = \"/never\"\nupstream = \"app\""])
        .start();
    let (seen, _) = site.visit(&site.plain(), telling("192.0.2.1"), ok());
    assert_eq!(told(&seen)[0], Some("other.example"));
    assert_eq!(site.plain().send(get("/")).answer().status(), 404, "no route is for localhost");
    for host in ["a/b", "a b", "user@a", "a:b"] {
        let answer = site.plain().send(get("/").with("X-Forwarded-Host", host)).answer();
        assert_eq!(answer.status(), 400, "{host}");
    }
}

#[test]
fn proxy_that_ends_tls_is_not_sent_round_in_circles() {
    let site = behind("redirect = true").start();
    let (seen, answer) = site.visit(&site.plain(), telling("192.0.2.1"), ok());
    assert_eq!((answer.status(), told(&seen)[2]), (200, Some("https")));
    let websocket = get("/").with("X-Forwarded-Proto", "wss");
    assert_eq!(told(&site.visit(&site.plain(), websocket, ok()).0)[2], Some("https"), "as some say of a WebSocket");
    for clear in ["http", "ws"] {
        let clear = telling("192.0.2.1").with("X-Forwarded-Proto", clear);
        assert_eq!(site.plain().send(clear).answer().status(), 308);
    }
    assert_eq!(site.plain().send(get("/")).answer().status(), 308);
}

#[test]
fn limits_by_address_are_the_clients_and_not_the_proxys() {
    let site = behind("").session("max_new_per_address = 1").start();
    let arrive = |client: &str| -> u16 {
        let browser: Browser = site.browser();
        let pending = browser.send(get("/").with("X-Forwarded-For", client));
        site.backend.next().reply(ok().session("Patch", "{\"a\":1}"));
        pending.answer().status()
    };
    assert_eq!(arrive("192.0.2.1"), 200);
    assert_eq!(arrive("192.0.2.2"), 200);
    assert_eq!(arrive("192.0.2.1"), 429, "the first has had its one");
}

#[test]
fn networks_of_ipv4_written_as_ipv6_are_matched() {
    let site = Site::build().listen("trusted_proxies = [\"::ffff:127.0.0.0/104\"]").start();
    let (seen, _) = site.visit(&site.plain(), telling("192.0.2.1"), ok());
    assert_eq!(told(&seen)[1], Some("192.0.2.1, 127.0.0.1"));
}
