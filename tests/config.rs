//! The configuration file: what it means, and what is said of every mistake in it.

use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use proptest::prelude::*;
use session_gateway::config::{Config, Doubt, Kind, Mistakes, load, parse};
use session_gateway::proxy::admission::CrossOrigin;
use session_gateway::proxy::cookies::SameSite;
use session_gateway::proxy::forwarded;
use session_gateway::proxy::request_id::Policy;
use session_gateway::proxy::route::OnStoreFailure;
use session_gateway::proxy::upstream::{Protocol, Server, Trust};
use session_gateway::store::near_cache;
use session_gateway::store::redis::{Address, Password, Servers};
use session_gateway::telemetry::Access;
use session_gateway::{admin, store};

#[path = "config/mistakes.rs"]
mod mistakes;

/// The least a configuration can say; [`with`] adds to it.
const LEAST: &str = r#"[listen]
http = "127.0.0.1:0"
[session]
keys = ["a.key"]
[upstream.app]
servers = ["http://127.0.0.1:5000"]
[[route]]
upstream = "app"
"#;

const MINUTE: Duration = Duration::from_mins(1);
const DAY: Duration = Duration::from_hours(24);

/// [`LEAST`] with these lines at the start of that section; a key that was there gives way.
fn with(section: &str, lines: &str) -> String {
    let key_of = |line: &str| line.split('=').next().unwrap_or_default().trim().to_owned();
    let new: Vec<String> = lines.lines().map(key_of).collect();
    let (mut text, mut current, mut added) = (String::new(), "", false);
    for line in LEAST.lines() {
        if line.starts_with('[') {
            current = line;
        }
        if current != section || line == current || !new.contains(&key_of(line)) {
            text.extend([line, "\n"]);
        }
        if line == section {
            text.extend([lines, "\n"]);
            added = true;
        }
    }
    if added { text } else { format!("{text}{section}\n{lines}\n") }
}

fn read(text: &str) -> Result<Config, Mistakes> {
    parse(text, Path::new("gateway.toml"), Path::new("/etc/gateway"))
}

#[track_caller]
fn good(text: &str) -> Config {
    read(text).unwrap_or_else(|mistakes| panic!("{text}\n{mistakes}"))
}

#[track_caller]
fn mistakes(text: &str) -> Mistakes {
    match read(text) {
        Ok(config) => panic!("nothing wrong with\n{text}\n{config:?}"),
        Err(mistakes) => mistakes,
    }
}

/// Kind, key and line of each mistake.
fn summary(mistakes: &Mistakes) -> Vec<(Kind, &str, Option<usize>)> {
    mistakes.iter().map(|mistake| (mistake.kind(), mistake.key(), mistake.line())).collect()
}

/// The line of `text` that starts with `start`.
fn line_of(text: &str, start: &str) -> Option<usize> {
    text.lines().position(|line| line.starts_with(start)).map(|index| index + 1)
}

#[test]
fn the_manual_means_what_the_design_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = load(&root.join("gateway.toml")).unwrap_or_else(|mistakes| panic!("{mistakes}"));

    let listen = &config.listen;
    assert_eq!(listen.http, Some(([127, 0, 0, 1], 8080).into()));
    assert_eq!(listen.https, Some(([127, 0, 0, 1], 8443).into()));
    assert!(listen.redirect);
    assert_eq!(listen.workers, std::thread::available_parallelism().map_or(1, NonZero::get));
    assert_eq!((listen.max_connections, listen.max_header_size), (10_000, 32 << 10));
    let seconds = Duration::from_secs;
    assert_eq!([listen.handshake_timeout, listen.header_timeout, listen.write_timeout], [seconds(8); 3]);
    assert_eq!((listen.keepalive, listen.drain_timeout), (MINUTE, MINUTE / 2));
    assert_eq!(config.proxy.limits.min_body_rate, 500);
    let tls = config.tls.as_ref().expect("[tls]");
    assert_eq!(tls.certificate, root.join("certs/dev.crt"));
    assert_eq!(tls.private_key, root.join("certs/dev.key"));

    assert_eq!(config.keys, [root.join("certs/session.key")]);
    let cookie = &config.proxy.cookie;
    assert_eq!((cookie.name.as_str(), cookie.path.as_str(), &cookie.domain), ("__Host-sid", "/", &None));
    assert_eq!((cookie.secure, cookie.same_site), (true, SameSite::Lax));
    assert_eq!((config.proxy.headers.prefix.as_str(), config.proxy.headers.data_budget), ("X-Session-", 6 << 10));
    assert!(config.sessions.guest_cookie);
    assert_eq!((config.sessions.max_data, config.sessions.max_per_user), (64 << 10, None));
    let lives = &config.sessions.lifetimes;
    assert_eq!((lives.user.idle, lives.user.lifetime), (30 * MINUTE, DAY / 2));
    assert_eq!((lives.anonymous.idle, lives.anonymous.lifetime), (DAY, 7 * DAY));
    assert_eq!((lives.persistent.idle, lives.persistent.lifetime), (31 * DAY, 31 * DAY));
    assert_eq!((lives.renew_after, lives.touch_after), (60 * MINUTE, MINUTE));
    assert_eq!(lives.tombstone, Duration::from_secs(65));
    let store::Settings::Memory(memory, file) = &config.store else { panic!("{:?}", config.store) };
    assert_eq!((memory.max_sessions, memory.max_bytes, file), (1_000_000, 1 << 30, &None));

    let upstream = &config.proxy.upstreams[0];
    assert_eq!((upstream.name.as_str(), upstream.trust, upstream.max_idle), ("app", Trust::Full, 64));
    assert_eq!(upstream.servers, [Server::Tcp { host: "127.0.0.1".to_owned(), port: 5000, protocol: Protocol::Http1 }]);
    assert_eq!(upstream.connect_timeout, Duration::from_secs(5));
    assert_eq!([upstream.response_timeout, upstream.body_timeout, upstream.keepalive], [MINUTE; 3]);
    let route = &config.proxy.routes[0];
    assert_eq!((&route.host, route.path.as_str(), route.upstream), (&None, "/", 0));
    assert_eq!((route.session, route.passive), (true, false));
    assert_eq!(route.on_store_failure, OnStoreFailure::Reject);
    assert_eq!((&route.require_user, route.csrf, route.max_body_size), (&None, CrossOrigin::Report, None));
    assert_eq!(config.proxy.request_id, Policy::Keep);
    assert!(!listen.half_close);
    assert_eq!((&config.proxy.forwarded, &listen.proxy_protocol), (&forwarded::Settings::default(), &None));
    assert_eq!((listen.max_headers, listen.max_requests, config.proxy.limits.max_uri_size), (100, 10_000, 8 << 10));
    assert_eq!(config.admin, Some(admin::Settings { listen: ([127, 0, 0, 1], 9900).into(), token: None }));
    assert_eq!((config.log.level.as_str(), config.log.access), ("info", Access::Text));
    assert_eq!((config.proxy.routes.len(), config.proxy.upstreams.len()), (1, 1));
}

#[test]
fn the_least_there_is_to_say() {
    let config = good(LEAST);
    assert_eq!(config.admin, None, "no [admin], no admin address");
    assert_eq!(config.tls, None);
    assert!(!config.listen.redirect, "there is nowhere to redirect to");
    assert_eq!(config.keys, [PathBuf::from("/etc/gateway/a.key")], "paths start from the file's folder");
    assert_eq!(config.proxy.cookie.name, "__Host-sid");
}

#[test]
fn plain_http_needs_a_cookie_that_says_so() {
    let cookie = good(&with("[session]", "secure = false")).proxy.cookie;
    assert_eq!((cookie.name.as_str(), cookie.secure), ("sid", false));
    // Something in front may end TLS, so Secure over plain http is the operator's to know.
    assert!(good(LEAST).proxy.cookie.secure);
}

#[test]
fn good_values_are_taken() {
    for (section, lines) in [
        ("[listen]", "http = \"[::]:8080\"\nworkers = 3"),
        ("[listen]", "http = \"127.0.0.1:0\"\nmax_header_size = \"1MiB\""),
        ("[session]", "cookie = \"__Secure-sid\"\ndomain = \"example.com\"\npath = \"/app\""),
        ("[session]", "cookie = \"a!#$%&'*+-.^_`|~b\""),
        ("[session]", "same_site = \"none\""),
        ("[session]", "header_prefix = \"x-app-\""),
        ("[session]", "lifetime = \"5m\""),
        ("[session]", "keys = [\"/a\", \"b\"]"),
        ("[session]", "idle_timeout = \"10s\"\ntouch_after = \"1s\""),
        ("[session]", "anonymous.idle_timeout = \"1h\"\npersistent = { lifetime = \"90d\", idle_timeout = \"2w\" }"),
        ("[session]", "data_header_budget = \"0B\""),
        ("[session]", "max_per_user = 1"),
        ("[upstream.app]", "servers = [\"http://example.com\", \"http://[::1]:80\", \"unix:/run/app.sock\"]"),
        ("[upstream.app]", "jar = { mode = \"off\", capture = [\"session\", \"app_*\"] }"),
        ("[upstream.app]", "jar = { mode = \"enforce\", capture = [\"a\"], renew_on = [\"POST /login\"] }"),
        ("[upstream.app]", "jar = { mode = \"enforce\", capture = \"http-only\" }"),
        ("[upstream.app]", "jar = { mode = \"enforce\", capture = \"rails\", adopt_until = 2027-01-31 }"),
        ("[upstream.app]", "jar = { mode = \"observe\", adopt_until = \"2027-01-31\" }"),
        ("[[route]]", "host = \"*.example.com\"\npath = \"/app\"\nupstream = \"app\""),
        ("[[route]]", "require_user = true\nupstream = \"app\""),
        ("[[route]]", "require_user = true\nlogin_url = \"https://sso.example.com/in\"\nupstream = \"app\""),
        ("[[route]]", "csrf = \"enforce\"\ntrusted_origins = [\"https://a.example:8443\"]\nupstream = \"app\""),
        ("[[route]]", "max_body_size = \"0B\"\nupstream = \"app\""),
        ("[store]", "kind = \"memory\"\nmax_sessions = 10"),
        ("[store]", "kind = \"redis\"\nurl = \"redis://a\"\nkey_prefix = \"app:1\"\ntimeout = \"1s\""),
        ("[log]", "level = \"info,session_gateway=debug\"\naccess = \"json\""),
        ("[log]", "level = \"off\"\naccess = \"off\""),
        ("[admin]", "listen = \"[::1]:9900\""),
        ("[tls]", "certificate = \"a\"\nprivate_key = \"b\""),
    ] {
        good(&with(section, lines));
    }
    assert_eq!(good(&with("[tls]", "certificate = \"a\"\nprivate_key = \"b\"")).tls, None, "no https, no TLS");
    assert_eq!(good(&format!("\u{feff}{LEAST}")), good(LEAST), "an editor's byte order mark is no mistake");
    assert_eq!(good(&LEAST.replace('\n', "\r\n")), good(LEAST), "nor are Windows' line ends");
}

#[test]
fn a_login_page_is_for_everybody_on_the_host_that_it_is_for() {
    let routes = |lines: [&str; 3]| {
        lines.iter().fold(String::new(), |all, lines| format!("{all}[[route]]\nupstream = \"app\"\n{lines}\n"))
    };
    let members = "host = \"*.example.com\"\nrequire_user = true\nlogin_url = \"/login?a=b\"";
    let before = LEAST.split("[[route]]").next().expect("what comes before the route");
    let page = "host = \"*.example.com\"\npath = \"/login\"";
    good(&format!("{before}{}", routes([members, page, "path = \"/\""])));
    let text = format!("{before}{}", routes([members, "path = \"/login\"", "path = \"/\""]));
    assert_eq!(summary(&mistakes(&text)), [(Kind::Conflict, "route[0].login_url", line_of(&text, "login_url"))]);
}

#[test]
fn a_jar_without_logins_is_valid_and_check_warns_of_it() {
    let doubts = |jar: &str| good(&with("[upstream.app]", jar)).doubts().collect::<Vec<_>>();
    let jar = |rest: &str| format!("jar = {{ capture = [\"session\"], {rest} }}");
    let enforces = jar("mode = \"enforce\"");
    assert_eq!(doubts(&enforces), [Doubt::NoLogins { upstream: "app".to_owned() }]);
    for without in
        [jar("mode = \"enforce\", renew_on = [\"POST /login\"]"), jar("mode = \"observe\""), jar("mode = \"off\"")]
    {
        assert_eq!(doubts(&without), []);
    }

    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("gateway.toml");
    std::fs::write(dir.path().join("a.key"), [7; 48]).expect("a key file");
    std::fs::write(&file, with("[upstream.app]", &enforces)).expect("a configuration file");
    let check = Command::new(env!("CARGO_BIN_EXE_session-gateway")).arg("check").arg("--config").arg(&file).output();
    let check = check.expect("the binary runs");
    let said = String::from_utf8_lossy(&check.stdout);
    assert!(check.status.success() && said.starts_with("warning: upstream.app.jar: "), "{check:?}");
}

#[test]
fn servers_are_names_addresses_and_sockets() {
    let speaks = |protocol, host: &str, port| Server::Tcp { host: host.to_owned(), port, protocol };
    let tcp = |host: &str, port| speaks(Protocol::Http1, host, port);
    let name = |host: &str| rustls::pki_types::ServerName::try_from(host.to_owned()).expect("a name");
    let tls = |protocol, host: &str, port| Server::Tls { host: host.to_owned(), port, name: name(host), protocol };
    for (written, server) in [
        ("http://app", tcp("app", 80)),
        ("http://App.Local:8000", tcp("app.local", 8000)),
        ("http://10.0.0.1:1", tcp("10.0.0.1", 1)),
        ("http://[2001:DB8::1]:65535", tcp("2001:db8::1", 65535)),
        ("http://[::1]", tcp("::1", 80)),
        ("h2c://app", speaks(Protocol::Http2, "app", 80)),
        ("h2c://[::1]:50051", speaks(Protocol::Http2, "::1", 50051)),
        ("https://app", tls(Protocol::Http1, "app", 443)),
        ("h2://app:8443", tls(Protocol::Http2, "app", 8443)),
        ("unix:/run/app.sock", Server::Unix("/run/app.sock".into())),
    ] {
        let config = good(&with("[upstream.app]", &format!("servers = [\"{written}\"]")));
        assert_eq!(config.proxy.upstreams[0].servers, [server], "{written}");
    }
}

#[test]
fn ended_tickets_are_remembered_longer_than_any_response_takes() {
    let tombstone = |lines| good(&with("[upstream.app]", lines)).sessions.lifetimes.tombstone;
    assert_eq!(tombstone("response_timeout = \"10s\""), MINUTE);
    assert_eq!(tombstone("response_timeout = \"10m\""), 10 * MINUTE + Duration::from_secs(5));
    let slower = with("[upstream.slow]", "servers = [\"http://slow\"]\nresponse_timeout = \"1h\"");
    assert_eq!(good(&slower).sessions.lifetimes.tombstone, 60 * MINUTE + Duration::from_secs(5));
}

#[test]
fn short_lives_shorten_what_depends_on_them() {
    let lives = |lines| good(&with("[session]", lines)).sessions.lifetimes;
    assert_eq!(lives("lifetime = \"10m\"").user.idle, 10 * MINUTE);
    assert_eq!(lives("idle_timeout = \"100s\"").touch_after, Duration::from_secs(10));
    assert_eq!(lives("anonymous.idle_timeout = \"50s\"").touch_after, Duration::from_secs(5));
    assert_eq!(lives("persistent.lifetime = \"90d\"").persistent.idle, 90 * DAY);
}

#[test]
fn upstreams_stand_in_the_order_written() {
    let text = LEAST.replace("[upstream.app]", "[upstream.zoo]\nservers = [\"http://zoo\"]\n[upstream.app]");
    let config = good(&text);
    assert_eq!(config.proxy.upstreams.iter().map(|each| each.name.as_str()).collect::<Vec<_>>(), ["zoo", "app"]);
    assert_eq!(config.proxy.routes[0].upstream, 1);
}

#[test]
fn files_that_cannot_be_read_are_mistakes_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let told = |name: &str| match load(&folder.path().join(name)) {
        Ok(config) => panic!("{config:?}"),
        Err(mistakes) => {
            assert_eq!((mistakes.len(), mistakes.file()), (1, folder.path().join(name).as_path()));
            assert!(mistakes.to_string().contains(name), "{mistakes}");
            let mistake = mistakes.iter().next().expect("one");
            (mistake.kind(), mistake.line())
        }
    };
    std::fs::create_dir(folder.path().join("folder")).expect("a folder in it");
    std::fs::write(folder.path().join("latin1"), b"# ok\n[listen]\nhttp = \"caf\xe9\"\n").expect("a file in it");
    std::fs::write(folder.path().join("large"), vec![b'#'; (1 << 20) + 1]).expect("a file in it");
    assert_eq!(told("missing"), (Kind::Unreadable, None));
    assert_eq!(told("folder"), (Kind::Unreadable, None));
    assert_eq!(told("latin1"), (Kind::Syntax, Some(3)));
    assert_eq!(told("large"), (Kind::OutOfRange, None));
}

#[test]
fn a_file_is_read_with_its_folder_as_base() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("gateway.toml");
    std::fs::write(&path, LEAST).expect("a file in it");
    assert_eq!(load(&path).expect("good").keys, [folder.path().join("a.key")]);
}

#[test]
fn the_admin_token_is_read_and_never_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = with("[admin]", "listen = \"0.0.0.0:9900\"\ntoken_file = \"token\"");
    let read = |content: &[u8]| {
        std::fs::write(folder.path().join("token"), content).expect("a file in it");
        parse(&text, Path::new("gateway.toml"), folder.path())
    };
    for content in [b"hush-hush\n".as_slice(), b"hush-hush", b"hush-hush \r\n"] {
        let config = read(content).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        assert!(!format!("{config:?}").contains("hush"));
        assert_eq!(config.admin.and_then(|admin| admin.token).map(|token| token.0), Some("hush-hush".to_owned()));
    }
    for content in [b"".as_slice(), b"\n", b"hush hush", b"h\xfcsh", b"hush\nhush", &[b'h'; 2000]] {
        let Err(found) = read(content) else { panic!("{content:?} is a token") };
        assert_eq!(summary(&found), [(Kind::Malformed, "admin.token_file", Some(11))], "{found}");
        assert!(!found.to_string().contains("hush"), "{found}");
    }
}

#[test]
fn a_redis_url_says_where_it_is_and_who_asks() {
    let (of, password) = (|host: &str, port| Address { host: host.to_owned(), port }, |of: &str| Password(of.into()));
    let one = |host, port| Servers::One(of(host, port));
    let sentinels = |sentinels| Servers::Sentinels { sentinels, master: "my master".to_owned() };
    for (url, servers, tls, user, password, database) in [
        ("redis://127.0.0.1", one("127.0.0.1", 6379), false, None, None, 0),
        ("redis://Cache.example.com:7000/", one("cache.example.com", 7000), false, None, None, 0),
        ("rediss://[::1]/15", one("::1", 6379), true, None, None, 15),
        ("rediss://[::1]:7000", one("::1", 7000), true, None, None, 0),
        ("redis://:hush@a/2", one("a", 6379), false, None, Some(password("hush")), 2),
        ("redis://gw:h%40u%3Ash@a", one("a", 6379), false, Some("gw"), Some(password("h@u:sh")), 0),
        ("redis://gw:h@u:s/h@a", one("a", 6379), false, Some("gw"), Some(password("h@u:s/h")), 0),
        (
            "redis+sentinel://a,b:7000,[::1]/my%20master",
            sentinels(vec![of("a", 26_379), of("b", 7000), of("::1", 26_379)]),
            false,
            None,
            None,
            0,
        ),
        (
            "rediss+sentinel://:hush@a/my%20master/3",
            sentinels(vec![of("a", 26_379)]),
            true,
            None,
            Some(password("hush")),
            3,
        ),
        (
            "redis+cluster://gw:hush@a,b:7000/0",
            Servers::Cluster(vec![of("a", 6379), of("b", 7000)]),
            false,
            Some("gw"),
            Some(password("hush")),
            0,
        ),
        ("rediss+cluster://a", Servers::Cluster(vec![of("a", 6379)]), true, None, None, 0),
    ] {
        let config = good(&with("[store]", &format!("kind = \"redis\"\nurl = {url:?}")));
        let store::Settings::Redis(redis) = config.store else { panic!("the kind is redis") };
        assert!(!format!("{redis:?}").contains("hush"));
        assert_eq!((redis.servers, redis.tls, redis.database), (servers, tls, database), "{url}");
        assert_eq!((redis.user.as_deref(), &redis.password), (user, &password), "{url}");
        assert_eq!((redis.key_prefix.as_str(), redis.ca.as_deref()), ("sgw", None));
        assert_eq!((redis.timeout, redis.connect_timeout), (Duration::from_millis(250), Duration::from_secs(1)));
    }
}

#[test]
fn old_sessions_are_served_where_some_are_kept() {
    let stale = |store: &str| with("[[route]]", "on_store_failure = \"stale\"") + "[store]\nkind = \"redis\"\n" + store;
    let config = good(&stale("url = \"redis://a\"\nmax_stale = \"1m\""));
    assert_eq!(config.proxy.routes[0].on_store_failure, OnStoreFailure::Stale);
    let store::Settings::Redis(redis) = config.store else { panic!("the kind is redis") };
    assert_eq!(redis.near_cache, Some(near_cache::Settings { max_bytes: 64 << 20, max_stale: MINUTE }));
    let mistakes = read(&stale("url = \"redis://a\"\nnear_cache = false")).expect_err("none is kept");
    assert!(mistakes.to_string().contains("no session is kept without a near cache"), "{mistakes}");
}

#[test]
fn the_password_of_redis_is_read_and_never_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("password"), "hush-hush\n").expect("a file in it");
    let of_file = "kind = \"redis\"\nurl = \"rediss://gw@a\"\npassword_file = \"password\"\nca = \"ca.crt\"";
    let config = parse(&with("[store]", of_file), Path::new("gateway.toml"), folder.path());
    let config = config.unwrap_or_else(|mistakes| panic!("{mistakes}"));
    assert!(!format!("{config:?}").contains("hush"));
    let store::Settings::Redis(redis) = config.store else { panic!("the kind is redis") };
    assert_eq!((redis.user.as_deref(), redis.password), (Some("gw"), Some(Password("hush-hush".to_owned()))));
    assert_eq!(redis.ca, Some(folder.path().join("ca.crt")));

    for lines in [
        "kind = \"redis\"\nurl = \"redis://gw:hush-hush@a:0\"",
        "kind = \"redis\"\nurl = 'redis://gw:hush-hush@a/b'",
        "kind = \"redis\"\nurl = \"redis://gw:hush-hush@a\"\npassword_file = \"password\"",
        "kind = \"redis\"\nurl = \"http://:hush-hush@a\"",
        "kind = \"redis\"\nurl = \"redis://:hush-hush/?#@a\" x",
        "kind = \"redis://:hush-hush@a\"",
        "key_prefix = \"redis://:hush-hush@a\"\nkind = \"redis\"\nurl = \"redis://a\"",
        "timeout = \"redis://:hush-hush@a\"",
        "url = \"redis://:hush-hush@a\"",
    ] {
        let Err(found) = parse(&with("[store]", lines), Path::new("gateway.toml"), folder.path()) else {
            panic!("{lines} is no mistake")
        };
        for shown in [found.to_string(), found.coloured().to_string(), format!("{found:?}")] {
            assert!(!shown.contains("hush"), "{shown}");
        }
    }
}

/// One line of a file that is nearly one of ours.
fn line() -> impl Strategy<Value = String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manual = std::fs::read_to_string(root.join("gateway.toml")).expect("the manual");
    let lines: Vec<String> = manual.lines().map(|line| line.trim_start_matches("# ").to_owned()).collect();
    let keys: Vec<String> =
        lines.iter().filter_map(|line| line.split_once(" = ")).map(|(key, _)| key.to_owned()).collect();
    let value = prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>().prop_map(|number| format!("{number:?}")),
        any::<bool>().prop_map(|flag| flag.to_string()),
        "\"[a-z0-9:/.*\\[\\]-]{0,12}\"",
        "\"[0-9]{1,20}(ms|s|m|h|d|B|KiB|EiB)\"",
        "\\PC{0,10}",
        Just("[]".to_owned()),
        Just("{ a = 1 }".to_owned()),
        Just("[[1], \"http://a\"]".to_owned()),
    ];
    prop_oneof![
        3 => proptest::sample::select(lines),
        3 => (proptest::sample::select(keys), value).prop_map(|(key, value)| format!("{key} = {value}")),
        1 => "\\PC{0,20}",
    ]
}

/// Reads and shows, whatever it is.
fn survives(text: &str) -> Result<(), TestCaseError> {
    if let Err(found) = read(text) {
        prop_assert!(found.len() > 0);
        let shown = found.to_string();
        prop_assert!(shown.contains("gateway.toml"));
        prop_assert!(found.coloured().to_string().len() > shown.len());
        let lines: Vec<usize> = found.iter().filter_map(session_gateway::config::Mistake::line).collect();
        prop_assert!(lines.is_sorted());
        prop_assert!(lines.iter().all(|line| *line <= text.split('\n').count()));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_is_more_than_wrong(text in any::<String>()) {
        survives(&text)?;
    }

    #[test]
    fn no_mixture_of_lines_is_more_than_wrong(lines in proptest::collection::vec(line(), 0..40)) {
        survives(&lines.join("\n"))?;
    }

    #[test]
    fn no_slip_in_a_good_file_is_more_than_wrong(at in any::<prop::sample::Index>(), cut in 0..8_usize, put in ".{0,3}") {
        let mut text: Vec<char> = with("[log]", "level = \"info\"").chars().collect();
        let at = at.index(text.len());
        let end = (at + cut).min(text.len());
        text.splice(at..end, put.chars());
        survives(&text.iter().collect::<String>())?;
    }
}

#[test]
fn networks_of_ipv4_may_be_written_as_ipv6() {
    let trusted =
        |list: &str| good(&with("[listen]", &format!("trusted_proxies = [{list}]"))).proxy.forwarded.trusted.0;
    let written = trusted("\"::ffff:10.0.0.0/104\", \"::ffff:0:0/96\", \"::ffff:192.0.2.7\", \"::ffff:192.0.2.7/128\"");
    assert_eq!(written, trusted("\"10.0.0.0/8\", \"0.0.0.0/0\", \"192.0.2.7\", \"192.0.2.7/32\""));
    assert_eq!(trusted("\"::/0\"")[0].to_string(), "::/0", "what is more than that is left alone");
}

#[test]
fn a_handshake_has_no_longer_than_what_it_is_a_part_of() {
    let second = Duration::from_secs;
    for (lines, handshake, doubted) in [
        ("", second(8), false),
        ("header_timeout = \"5s\"", second(5), false),
        ("header_timeout = \"20s\"", second(8), false),
        ("handshake_timeout = \"5s\"\nheader_timeout = \"5s\"", second(5), false),
        ("handshake_timeout = \"9s\"", second(9), true),
        ("handshake_timeout = \"6s\"\nheader_timeout = \"5s\"", second(6), true),
    ] {
        let config = good(&with("[listen]", lines));
        assert_eq!(config.listen.handshake_timeout, handshake, "{lines}");
        assert_eq!(config.doubts().any(|doubt| doubt == Doubt::LongHandshake), doubted, "{lines}");
    }
    let told = Doubt::LongHandshake.to_string();
    assert!(told.contains("listen.handshake_timeout") && told.contains("header_timeout"), "{told}");
}

#[test]
fn a_stop_may_be_told_of_before_it_begins() {
    assert_eq!(good(LEAST).listen.drain_delay, Duration::ZERO);
    let delay = |written: &str| good(&with("[listen]", &format!("drain_delay = {written:?}"))).listen.drain_delay;
    assert_eq!([delay("0s"), delay("5s"), delay("1h")], [0, 5, 3600].map(Duration::from_secs));
}
