//! What a reload changes, and what it leaves alone.

use std::fs;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use session_gateway::tls;

use super::stand::*;
use super::support::site::roots;
use super::support::*;

const QUIET: &str = "access = \"off\"";

fn setup() -> Setup {
    Site::build()
}

fn servers(text: &str, old: &Backend, new: &Backend) -> String {
    replaced(text, &format!("[{:?}]", old.server()), &format!("[{:?}]", new.server()))
}

#[test]
fn new_requests_go_by_the_new_file_also_on_open_connections() {
    let process = Process::start(&setup(), QUIET);
    let (browser, next) = (process.browser(), Backend::start());
    // Enough of them that every worker has some.
    let mut clients: Vec<_> = (0..8).map(|_| browser.connect()).collect();
    for client in &mut clients {
        client.send(&get("/before"));
        process.backend.next().reply(ok());
        assert_eq!(client.next_answer().status(), 200);
    }
    reload(&process, |text| {
        let text = replaced(&text, "trust = \"full\"", "trust = \"none\"");
        servers(&text, &process.backend, &next)
    });
    for client in &mut clients {
        client.send(&get("/after"));
        let exchange = next.next();
        assert_eq!(exchange.session_names(), [""; 0], "{}", exchange.text());
        exchange.reply(ok());
        assert_eq!(client.next_answer().status(), 200);
    }
    process.backend.saw_nothing();
}

#[test]
fn requests_under_way_end_as_they_began() {
    let process = Process::start(&setup(), QUIET);
    let browser = login(&process, "ada");
    let pending = browser.send(post("/slow"));
    let exchange = process.backend.next();
    let next = Backend::start();
    reload(&process, |text| {
        let text = replaced(&text, "trust = \"full\"", "trust = \"none\"");
        servers(&text, &process.backend, &next)
    });
    exchange.reply(ok().session("Patch", "{\"kept\":1}"));
    assert_eq!(pending.answer().status(), 200);
    reload(&process, |text| replaced(&text, "trust = \"none\"", "trust = \"read\""));
    let (seen, _) = visit_at(&next, &browser, get("/look"), ok());
    assert_eq!(
        seen.session("Data"),
        Some("{\"kept\":1}"),
        "an answer is taken by the file that its request began under"
    );
}

#[test]
fn sessions_in_memory_are_kept_and_routes_and_headers_change() {
    let process = Process::start(&setup(), QUIET);
    let browser = login(&process, "ada");
    reload(&process, |text| {
        let text = replaced(&text, "path = \"/\"\n", "path = \"/app\"\n");
        replaced(&text, "[session]\n", "[session]\nheader_prefix = \"X-Who-\"\n")
    });
    assert_eq!(browser.send(get("/")).answer().status(), 404);
    let (seen, _) = visit(&process, &browser, get("/app"), ok());
    assert_eq!((seen.header("X-Who-User"), seen.user()), (Some("ada"), None));
}

#[test]
fn keys_are_rolled_and_nobody_is_logged_out() {
    let process = Process::start(&setup().keys(&[1]), QUIET);
    let browser = login(&process, "ada");
    let stays = login(&process, "bob");
    let before = browser.ticket();
    fs::write(process.dir.path().join("2.key"), [7; 40]).unwrap();
    reload(&process, |text| replaced(&text, "keys = [\"1.key\"]", "keys = [\"2.key\", \"1.key\"]"));
    let (seen, answer) = visit(&process, &browser, get("/"), ok());
    assert_eq!(seen.user(), Some("ada"));
    assert_eq!(answer.ticket().secret, before.secret, "the same session");
    assert_ne!(answer.ticket().key, before.key, "signed anew");
    reload(&process, |text| replaced(&text, "keys = [\"2.key\", \"1.key\"]", "keys = [\"2.key\"]"));
    assert_eq!(user(&process, &browser).as_deref(), Some("ada"));
    assert_eq!(user(&process, &stays), None, "a ticket under a key that was dropped");
}

#[test]
fn lifetimes_change_for_sessions_that_are_there() {
    let process = Process::start(&setup(), QUIET);
    let browser = login(&process, "ada");
    assert_eq!(user(&process, &browser).as_deref(), Some("ada"));
    reload(&process, |text| replaced(&text, "[session]\n", "[session]\nlifetime = \"1s\"\nidle_timeout = \"1s\"\n"));
    eventually("it is over", || user(&process, &browser).is_none().then_some(()));
}

#[test]
fn an_upstream_that_has_not_changed_keeps_its_connections() {
    let other = Backend::start();
    let routes = ["path = \"/\"\nupstream = \"app\"", "path = \"/other\"\nupstream = \"other\""];
    let process = Process::start(&setup().listen("workers = 1").another("other", &other, "").routes(&routes), QUIET);
    let go = |path: &str, backend: &Backend| {
        let (_, answer) = visit_at(backend, &process.browser(), get(path), ok());
        assert_eq!(answer.status(), 200);
    };
    go("/", &process.backend);
    go("/other", &other);
    reload(&process, |text| replaced(&text, "[upstream.other]\n", "[upstream.other]\nmax_idle = 3\n"));
    go("/", &process.backend);
    go("/other", &other);
    assert_eq!((process.backend.connections(), other.connections()), (1, 2));
}

#[test]
fn counters_never_go_back_whatever_comes_and_goes() {
    let routes = ["path = \"/\"\nupstream = \"app\"", "path = \"/old\"\nupstream = \"app\""];
    let process = Process::start(&setup().routes(&routes), QUIET);
    let browser = login(&process, "ada");
    for path in ["/", "/old", "/old"] {
        visit(&process, &browser, get(path), ok());
    }
    let before = metrics(&process);
    let old_route = "requests_total{route=\"/old\",status=\"200\"}";
    assert_eq!(sample_in(&before, old_route), Some(2));
    let next = Backend::start();
    fs::write(process.dir.path().join("2.key"), [7; 40]).unwrap();
    reload(&process, |text| {
        let text = replaced(&text, "path = \"/old\"", "path = \"/new\"");
        let text = replaced(&text, "keys = [\"1.key\"]", "keys = [\"2.key\"]");
        let text = replaced(&text, "upstream = \"app\"", "upstream = \"next\"");
        servers(&replaced(&text, "[upstream.app]", "[upstream.next]"), &process.backend, &next)
    });
    visit_at(&next, &browser, get("/new"), ok());
    let after = metrics(&process);
    let mut counters = 0;
    for line in before.lines().filter(|line| line.contains("_total")) {
        let Some((sample, value)) = line.rsplit_once(' ').filter(|_| !line.starts_with('#')) else { continue };
        let now = sample_in(&after, sample.strip_prefix("session_gateway_").unwrap());
        assert!(now >= value.parse().ok(), "{sample} was {value} and is {now:?}");
        counters += 1;
    }
    assert!(counters > 30, "{counters} counters are told");
    assert_eq!(sample_in(&after, "requests_total{route=\"/new\",status=\"200\"}"), Some(1));
    reload(&process, |text| replaced(&text, "path = \"/new\"", "path = \"/old\""));
    visit_at(&next, &browser, get("/old"), ok());
    assert_eq!(metric(&process, old_route), 3, "it goes on where it was");
}

#[test]
fn websockets_opened_before_end_with_their_session() {
    let process = Process::start(&setup(), QUIET);
    let browser = login(&process, "ada");
    let handshake = get("/socket").with("Connection", "Upgrade").with("Upgrade", "websocket");
    let mut client = browser.send(handshake);
    let mut server = process.backend.next();
    server.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
    client.switched();
    let mut events = browser.send(get("/events"));
    let mut source = process.backend.next();
    source.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: one\n\n");
    events.until(b"data: one\n\n");
    let next = Backend::start();
    reload(&process, |text| servers(&text, &process.backend, &next));
    server.write(b"\x81\x02hi");
    client.until(b"\x81\x02hi");
    source.write(b"data: two\n\n");
    events.until(b"data: two\n\n");
    let revoked = process.admin().send(request("DELETE", "/sessions?user=ada")).answer();
    assert_eq!(revoked.text(), "{\"revoked\":1}");
    client.until(b"\x88\x17\x03\xf0the session has ended");
    assert!(server.is_given_up() && source.is_given_up());
}

#[test]
fn access_lines_change_their_form_and_none_is_lost() {
    let process = Process::start(&setup(), "access = \"text\"");
    visit(&process, &process.browser(), get("/one"), ok());
    let pending = process.browser().send(get("/two"));
    let exchange = process.backend.next();
    reload(&process, |text| replaced(&text, "access = \"text\"", "access = \"json\"\nlevel = \"debug\""));
    exchange.reply(ok());
    pending.answer();
    visit(&process, &process.browser(), get("/three"), ok());
    let lines = process.access_lines(3);
    let of = |path: &str| lines.iter().find(|line| line.contains(path)).unwrap_or_else(|| panic!("{path}: {lines:?}"));
    assert!(of("/one").contains("\"GET /one HTTP/1.1\" 200"));
    assert!(of("/two").contains("\"GET /two HTTP/1.1\" 200"), "as it began");
    assert!(of("/three").starts_with('{'));
    // What is told at this level alone.
    assert_eq!(process.browser().send_raw(b"GET / HTTP/1.1\r\n\r\n").answer().status(), 400);
    process.logged("DEBUG");
}

#[test]
fn certificate_is_replaced_and_connections_stay() {
    let process = Process::start(&setup(), QUIET);
    let address = process.https().address;
    let dir = process.dir.path();
    let door = |certificate: &str| {
        let tls = Some(Arc::new(roots(&dir.join(certificate))));
        Browser::new(browser::Door { address, tls }, "localhost")
    };
    let old = door("dev.crt");
    let mut open = old.connect();
    open.send(&get("/before"));
    process.backend.next().reply(ok());
    assert_eq!(open.next_answer().status(), 200);

    let fresh = tempfile::tempdir().unwrap();
    tls::dev::development(fresh.path()).unwrap();
    for name in ["crt", "key"] {
        fs::copy(fresh.path().join(format!("dev.{name}")), dir.join(format!("next.{name}"))).unwrap();
    }
    reload(&process, |text| replaced(&replaced(&text, "dev.crt", "next.crt"), "dev.key", "next.key"));
    let (_, answer) = visit(&process, &door("next.crt"), get("/after"), ok());
    assert_eq!(answer.status(), 200);
    open.send(&get("/after"));
    process.backend.next().reply(ok());
    assert_eq!(open.next_answer().status(), 200);
}

#[test]
fn limits_of_connections_change_for_those_that_come() {
    let process = Process::start(&setup(), QUIET);
    let large = || get("/").with("X-Large", &"x".repeat(10_000));
    assert_eq!(visit(&process, &process.browser(), large(), ok()).1.status(), 200);
    reload(&process, |text| {
        replaced(
            &text,
            "[listen]\n",
            "[listen]\nmax_header_size = \"8KiB\"\nheader_timeout = \"200ms\"\nkeepalive = \"200ms\"\n",
        )
    });
    assert_eq!(process.browser().send(large()).answer().status(), 431);
    assert!(process.browser().connect().is_closed(), "after a timeout that is shorter now");
}

#[test]
fn token_of_the_admin_address_changes() {
    let process = Process::start(&setup(), QUIET);
    let file = process.dir.path().join("token");
    fs::write(&file, "open-sesame").unwrap();
    edit(&process, |text| replaced(&text, "[admin]\n", "[admin]\ntoken_file = \"token\"\n"));
    process.signal("HUP");
    process.logged("was read again");
    let asked = |request: Request| process.admin().send(request).answer().status();
    assert_eq!(asked(get("/metrics")), 401);
    assert_eq!(asked(get("/metrics").with("Authorization", "Bearer open-sesame")), 200);
}

#[test]
fn health_checks_go_by_the_new_file() {
    let process =
        Process::start(&setup().upstream("health = { path = \"/healthz\", interval = \"100ms\", fall = 1 }"), QUIET);
    process.backend.next().respond("500 Internal Server Error", &[], b"");
    process.logged("fails its health checks");
    assert_eq!(process.browser().send(get("/")).answer().status(), 503);
    reload(&process, |text| replaced(&text, "health = { path = \"/healthz\", interval = \"100ms\", fall = 1 }", ""));
    // What was asked before may still lie there.
    let pending = process.browser().send(get("/served"));
    let exchange = std::iter::from_fn(|| Some(process.backend.next())).find(|exchange| exchange.target() == "/served");
    exchange.unwrap().reply(ok());
    assert_eq!(pending.answer().status(), 200);
}

#[test]
fn a_logout_holds_against_answers_that_old_timeouts_allow() {
    let mut site = Site::build().upstream("response_timeout = \"300s\"\n").start();
    let browser = site.login("alice");
    let late = browser.copy().send(post("/slow"));
    let exchange = site.backend.next();
    site.reload(|config| {
        config.proxy.upstreams[0].response_timeout = Duration::from_secs(30);
        config.sessions.lifetimes.tombstone = Duration::from_mins(1);
    });
    site.logout(&browser);
    site.wait(250);
    exchange.reply(ok().session("Patch", r#"{"cart":1}"#));
    assert!(late.answer().set_cookies().is_empty());
    assert_eq!(site.live_sessions(), 0);
}

#[test]
fn connections_are_believed_as_they_were_announced_whatever_the_file_says_now() {
    let off = "[listen]\n";
    let on = "[listen]\nproxy_protocol = true\ntrusted_proxies = [\"127.0.0.1\"]\n";
    let http = "[listen]\ntrusted_proxies = [\"127.0.0.1\"]\n";
    let process = Process::start(&setup(), QUIET);
    let connect = |header: &[u8]| {
        let mut stream = TcpStream::connect(process.door().address).unwrap();
        stream.write_all(header).unwrap();
        stream
    };
    // Who the backend is told it is that says to be somebody else.
    let told = |stream: &mut TcpStream| {
        let telling = b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 203.0.113.1\r\n\r\n";
        stream.write_all(telling).unwrap();
        let exchange = process.backend.next();
        let told = exchange.header("X-Forwarded-For").unwrap().to_owned();
        exchange.reply(ok());
        told
    };
    let (peer, believed) = ("127.0.0.1", "203.0.113.1, 127.0.0.1");
    let mut unannounced = connect(b"");
    assert_eq!(told(&mut unannounced), peer);
    reload(&process, |text| replaced(&text, off, on));
    assert_eq!(told(&mut unannounced), peer, "it may be a client's, through a proxy that announces no other either");
    let (mut somebodys, mut proxys) = (connect(b"PROXY UNKNOWN\r\n"), connect(b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"));
    assert_eq!((told(&mut somebodys).as_str(), told(&mut proxys).as_str()), (peer, believed));
    reload(&process, |text| replaced(&text, on, http));
    assert_eq!((told(&mut somebodys).as_str(), told(&mut proxys).as_str()), (peer, believed));
    assert_eq!(told(&mut connect(b"")), believed, "now it is a proxy that tells of its client in each request");
}

#[test]
fn authority_in_the_same_file_is_another_for_servers_from_then_on() {
    let (old, new, dir) = (Authority::new(), Authority::new(), tempfile::tempdir().unwrap());
    let ca = dir.path().join("ca.crt");
    fs::copy(old.path(), &ca).unwrap();
    let server = Backend::secure(new.server(&["localhost"]));
    let setup = setup().servers(&[server.server()]).upstream(&format!("tls.ca = \"{}\"", ca.display()));
    let process = Process::start(&setup, QUIET);
    assert_eq!(process.browser().send(get("/")).answer().status(), 502, "nobody known has signed it");
    fs::copy(new.path(), &ca).unwrap();
    reload(&process, |text| text);
    assert_eq!(visit_at(&server, &process.browser(), get("/"), ok()).1.status(), 200);
}

#[test]
fn sessions_that_an_address_has_begun_still_count() {
    let process = Process::start(&setup().session("max_new_per_address = 2\n"), QUIET);
    let arrive = || visit(&process, &process.browser(), get("/"), ok().session("Patch", "{\"a\":1}")).1.status();
    assert_eq!([arrive(), arrive(), arrive()], [200, 200, 429]);
    reload(&process, |text| replaced(&text, "[upstream.app]\n", "[upstream.app]\nmax_idle = 3\n"));
    assert_eq!(arrive(), 429);
}

#[test]
fn servers_of_an_upstream_that_has_changed_stand_as_they_stood() {
    // Bound, so that nobody else is there, and not listened on.
    let closed = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    closed.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
    let refusing = format!("http://{}", closed.local_addr().unwrap().as_socket().unwrap());
    let server = Backend::start();
    let lines = "fail_timeout = \"1h\"\nmax_connections = 1\nconnect_timeout = \"300ms\"\n";
    let process = Process::start(&setup().servers(&[&refusing, server.server()]).upstream(lines), QUIET);
    for _ in 0..2 {
        assert_eq!(visit_at(&server, &process.browser(), get("/"), ok()).1.status(), 200);
    }
    let is_up = |server: &str| metric(&process, &format!("upstream_server_up{{upstream=\"app\",server=\"{server}\"}}"));
    assert_eq!((is_up(&refusing), is_up(server.server())), (0, 1));
    let under_way = process.browser().send(get("/slow"));
    let exchange = server.next();
    reload(&process, |text| replaced(&text, "[upstream.app]\n", "[upstream.app]\nmax_idle = 3\n"));
    assert_eq!((is_up(&refusing), is_up(server.server())), (0, 1), "it is passed over for as long as before");
    let more = process.browser().send(get("/more")).answer();
    assert_eq!(more.status(), 503, "one request has the only place");
    exchange.reply(ok());
    assert_eq!(under_way.answer().status(), 200);
    assert_eq!(visit_at(&server, &process.browser(), get("/"), ok()).1.status(), 200, "it has given it back");
    server.saw_nothing();
}

#[test]
fn connections_that_wait_for_a_place_get_one_of_more_and_fewer_hold_for_those_that_come() {
    let process = Process::start(&setup().listen("workers = 1\nmax_connections = 2\n"), QUIET);
    let browser = process.browser();
    let waits = |count: u64| {
        let waited = || metric(&process, "connections_waited_total");
        eventually("it waits", || (waited() == count).then_some(()));
        process.backend.saw_nothing();
    };
    let ask = |client: &mut Pending| client.send(&get("/"));
    let served = |client: &mut Pending| {
        process.backend.next().reply(ok());
        assert_eq!(client.next_answer().status(), 200);
    };
    let [mut first, mut second, mut third, mut fourth] = [(); 4].map(|()| None);
    for client in [&mut first, &mut second] {
        let client = client.insert(browser.connect());
        ask(client);
        served(client);
    }
    let third = third.insert(browser.connect());
    ask(third);
    waits(1);
    reload(&process, |text| replaced(&text, "max_connections = 2", "max_connections = 3"));
    served(third);
    // Of three, as many go as leave one.
    reload(&process, |text| replaced(&text, "max_connections = 3", "max_connections = 2"));
    drop(first);
    let fourth = fourth.insert(browser.connect());
    ask(fourth);
    waits(2);
    drop(second);
    served(fourth);
    ask(third);
    served(third);
}
