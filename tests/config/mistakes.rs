//! Every mistake by its name, where it is told, and how the report looks.

use session_gateway::config::Kind::{
    self, Conflict, Duplicate, Malformed, MissingKey, NotAChoice, OutOfRange, Syntax, UnknownKey, UnknownName,
    Unreadable, WrongType, WrongUnit,
};
use session_gateway::config::Mistake;

use crate::{LEAST, good, line_of, mistakes, summary, with};

#[test]
fn each_mistake_is_told_at_its_key_and_line() {
    for (section, lines, kind, key) in EACH {
        let text = with(section, lines);
        let at = if *kind == MissingKey { *section } else { lines.lines().next().unwrap_or_default() };
        let found = mistakes(&text);
        assert_eq!(summary(&found), [(*kind, *key, line_of(&text, at))], "{lines}\n{found}");
        let mistake = found.iter().next().expect("one");
        assert!(!mistake.found().is_empty(), "{found}");
        assert!(!mistake.expected().is_empty() || *kind == Syntax, "{found}");
    }
}

#[test]
fn what_is_too_long_is_told() {
    let cookie = format!("cookie = \"{}\"", "a".repeat(65));
    let socket = format!("servers = [\"unix:/{}\"]", "a".repeat(107));
    let path = format!("path = \"/{}\"", "a".repeat(1024));
    for (section, line, key) in [
        ("[session]", cookie, "session.cookie"),
        ("[upstream.app]", socket, "upstream.app.servers[0]"),
        ("[[route]]", path, "route[0].path"),
    ] {
        let found = mistakes(&with(section, &line));
        assert_eq!(found.iter().map(|each| (each.kind(), each.key())).collect::<Vec<_>>(), [(Malformed, key)]);
    }
}

#[test]
fn what_must_be_there_is_asked_for() {
    for (section, kind, key, line) in [
        ("[listen]\nhttp = \"127.0.0.1:0\"\n", MissingKey, "listen", None),
        ("http = \"127.0.0.1:0\"\n", MissingKey, "listen", Some(1)),
        ("[session]\nkeys = [\"a.key\"]\n", MissingKey, "session.keys", None),
        ("keys = [\"a.key\"]\n", MissingKey, "session.keys", Some(3)),
        ("servers = [\"http://127.0.0.1:5000\"]\n", MissingKey, "upstream.app.servers", Some(5)),
        ("[[route]]\nupstream = \"app\"\n", MissingKey, "route", None),
        ("upstream = \"app\"\n", MissingKey, "route[0].upstream", Some(7)),
    ] {
        let text = LEAST.replacen(section, "", 1);
        assert_ne!(text, LEAST, "{section}");
        assert_eq!(summary(&mistakes(&text)), [(kind, key, line)], "{text}");
    }
    let keys = ["listen", "upstream", "route", "session.keys"];
    assert_eq!(summary(&mistakes("")), keys.map(|key| (MissingKey, key, None)));
}

#[test]
fn sections_in_the_wrong_form_are_told() {
    for (from, to, expected) in [
        ("[listen]", "[lisen]", vec![(UnknownKey, "lisen", Some(1)), (MissingKey, "listen", None)]),
        ("[[route]]", "[route]", vec![(WrongType, "route", Some(7))]),
        ("[session]", "[[session]]", vec![(WrongType, "session", Some(3))]),
        (
            "[upstream.app]",
            "[upstream.\"a b\"]",
            vec![(Malformed, "upstream.a b", Some(5)), (UnknownName, "route[0].upstream", Some(8))],
        ),
        (
            "[upstream.app]",
            "[upstream]",
            vec![(WrongType, "upstream.servers", Some(6)), (UnknownName, "route[0].upstream", Some(8))],
        ),
    ] {
        assert_eq!(summary(&mistakes(&LEAST.replace(from, to))), expected, "{to}");
    }
    let scalar = LEAST.replace("[[route]]\nupstream = \"app\"\n", "");
    let text = format!("route = [\"app\"]\n{scalar}");
    assert_eq!(summary(&mistakes(&text)), [(WrongType, "route[0]", Some(1))]);
}

#[test]
fn addresses_and_routes_stand_once() {
    let tls = "[tls]\ncertificate = \"a\"\nprivate_key = \"b\"\n";
    let listen = |http: &str, https: &str, admin: &str| {
        let lines = format!("http = \"{http}\"\nhttps = \"{https}\"");
        with("[listen]", &lines) + tls + &format!("[admin]\nlisten = \"{admin}\"\n")
    };
    good(&listen("127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"));
    good(&listen("127.0.0.1:80", "127.0.0.2:80", "127.0.0.1:81"));
    let found = mistakes(&listen("127.0.0.1:80", "127.0.0.1:80", "127.0.0.1:9900"));
    assert_eq!(summary(&found), [(Conflict, "listen.https", Some(3))]);
    let found = mistakes(&listen("127.0.0.1:80", "127.0.0.1:443", "127.0.0.1:443"));
    assert_eq!(summary(&found), [(Conflict, "admin.listen", Some(14))]);

    let second = |lines: &str| format!("{LEAST}[[route]]\nupstream = \"app\"\n{lines}\n");
    good(&second("path = \"/a\""));
    good(&second("host = \"a.example\""));
    assert_eq!(summary(&mistakes(&second(""))), [(Duplicate, "route[1]", Some(9))]);
    let hosts = second("host = \"a.example\"") + "[[route]]\nupstream = \"app\"\nhost = \"A.Example.\"\n";
    assert_eq!(summary(&mistakes(&hosts)), [(Duplicate, "route[2]", Some(12))]);
}

#[test]
fn a_prefix_needs_tls_and_leaves_the_gateway_s_own_cookie_alone() {
    let with_rules = |session: &str, rules: &str| {
        LEAST
            .replace("[session]", &format!("[session]\n{session}"))
            .replace("[[route]]", &format!("{rules}\n[[route]]"))
    };
    let rule = |name: &str, lines: &str| format!("[upstream.app.cookies.{name}]\n{lines}\n");
    let host = |name: &str| rule(name, "prefix = \"__Host-\"");
    let clear = "secure = false";
    let found = mistakes(&with_rules(clear, &host("a")));
    assert_eq!(summary(&found), [(Conflict, "upstream.app.cookies.a.prefix", Some(9))], "{found}");
    let tls = "[tls]\ncertificate = \"a\"\nprivate_key = \"b\"\n";
    good(&(with_rules(clear, &host("a")).replace("[listen]", "[listen]\nhttps = \"127.0.0.1:0\"") + tls));
    good(&with_rules("", &host("a")));
    for lines in ["secure = true", "domain = \"\"", "path = \"/\"", "same_site = \"none\"", "block = false"] {
        good(&with_rules("", &rule("a", &format!("prefix = \"__Host-\"\n{lines}"))));
    }
    good(&with_rules("", &rule("a", "prefix = \"__Secure-\"\ndomain = \"a.example\"\npath = \"/x\"")));

    // `__Host-sid` is ours: a backend's `sid` cannot be it, whichever rule would make it so.
    for rules in [host("sid"), host("\"s*\""), host("a") + &host("\"*\"")] {
        let found = mistakes(&with_rules("", &rules));
        assert_eq!(found.iter().map(Mistake::kind).collect::<Vec<_>>(), [Conflict], "{found}");
        assert!(found.to_string().contains("a rule for \"sid\" before"), "{found}");
    }
    good(&with_rules("", &(rule("sid", "") + &host("\"*\""))));
    good(&with_rules("", &rule("sid", "prefix = \"__Secure-\"")));
    good(&with_rules("cookie = \"gateway\"", &host("sid")));
}

#[test]
fn keys_defined_twice_are_told() {
    let found = mistakes(&format!("{LEAST}[listen]\nhttps = \"127.0.0.1:1\"\n"));
    assert!(summary(&found).contains(&(Syntax, "", Some(9))), "{found}");
    let found = mistakes(&with("[session]", "secure = true\nsecure = false"));
    assert_eq!(summary(&found), [(Syntax, "", Some(5))], "{found}");
}

#[test]
fn all_mistakes_are_told_at_once_from_top_to_bottom() {
    let text = r#"
[log]
access = "loud"
[listen]
http = "8080"
workers = -1
[upstream.app]
servers = ["h2c://a/b", "ftp://b"]
trust = true
retries = 3
[[route]]
upstream = "app"
passive = "no"
[session]
idle_timeout = 30m
lifetime = 12
cookie = "a b"
"#;
    assert_eq!(
        summary(&mistakes(text)),
        [
            (NotAChoice, "log.access", Some(3)),
            (Malformed, "listen.http", Some(5)),
            (OutOfRange, "listen.workers", Some(6)),
            (Malformed, "upstream.app.servers[0]", Some(8)),
            (Malformed, "upstream.app.servers[1]", Some(8)),
            (WrongType, "upstream.app.trust", Some(9)),
            (UnknownKey, "upstream.app.retries", Some(10)),
            (WrongType, "route[0].passive", Some(13)),
            (Syntax, "", Some(15)),
            (WrongUnit, "session.lifetime", Some(16)),
            (Malformed, "session.cookie", Some(17)),
        ],
    );
}

#[test]
fn mistakes_about_upstreams_are_told_at_once() {
    let lines = "servers = [\"https://a\", \"https://b/c\"]\nbalance = \"random\"\nmax_connections = 0\n\
                 fail_timeout = 10\n[upstream.app.tls]\nserver_name = \"a b\"\ninsecure = true\n\
                 [upstream.app.health]\npath = \"healthz\"\nrise = 0\n";
    let found = mistakes(&format!("{LEAST}[upstream.other]\n{}", lines.replace("upstream.app", "upstream.other")));
    let first = LEAST.lines().count() + 2;
    let expected = [
        (Malformed, "upstream.other.servers[1]", 0),
        (NotAChoice, "upstream.other.balance", 1),
        (OutOfRange, "upstream.other.max_connections", 2),
        (WrongUnit, "upstream.other.fail_timeout", 3),
        (Malformed, "upstream.other.tls.server_name", 5),
        (UnknownKey, "upstream.other.tls.insecure", 6),
        (Malformed, "upstream.other.health.path", 8),
        (OutOfRange, "upstream.other.health.rise", 9),
    ];
    assert_eq!(summary(&found), expected.map(|(kind, key, line)| (kind, key, Some(first + line))), "{found}");
}

#[test]
fn unreadable_text_is_not_blamed_on_what_it_hides() {
    // The keys are there, in a section whose header is broken: that they are missing would be a lie.
    let found = mistakes(&LEAST.replace("[session]", "[session"));
    assert!(found.iter().all(|mistake| mistake.kind() == Syntax), "{found}");
    assert_eq!(found.iter().next().and_then(Mistake::line), Some(3));
}

#[test]
fn a_report_shows_file_line_key_found_expected_and_help() {
    let report = mistakes(&REPORTED.join("\n")).to_string();
    assert_eq!(report, REPORT, "\n{report}");
}

#[test]
fn a_report_has_colours_where_asked() {
    let found = mistakes("");
    assert!(!found.to_string().contains('\u{1b}'));
    assert!(found.coloured().to_string().contains('\u{1b}'));
    assert!(found.to_string().ends_with("gateway.toml: 4 mistakes"), "{found}");
}

#[test]
fn long_lists_of_mistakes_are_cut_when_shown() {
    let junk = (0..200).map(|index| format!("junk_{index} = 1")).collect::<Vec<_>>().join("\n");
    let found = mistakes(&format!("{junk}\n{LEAST}"));
    assert_eq!(found.len(), 200);
    let report = found.to_string();
    assert!(report.ends_with("200 mistakes, of which the first 50 are shown"), "{report}");
}

/// Section, lines put there (the first of them is at fault), kind, key.
const EACH: &[(&str, &str, Kind, &str)] = &[
    // Types
    ("[listen]", "redirect = \"yes\"", WrongType, "listen.redirect"),
    ("[listen]", "workers = \"2\"", WrongType, "listen.workers"),
    ("[listen]", "workers = 1.5", WrongType, "listen.workers"),
    ("[listen]", "trusted_proxies = \"10.0.0.0/8\"", WrongType, "listen.trusted_proxies"),
    ("[listen]", "proxy_protocol = true", Conflict, "listen.proxy_protocol"),
    ("[listen]", "proxy_protocol = true\ntrusted_proxies = []", Conflict, "listen.proxy_protocol"),
    ("[listen]", "forwarded_host = \"true\"", WrongType, "listen.forwarded_host"),
    ("[listen]", "http = 8080", WrongType, "listen.http"),
    ("[listen]", "half_close = \"yes\"", WrongType, "listen.half_close"),
    ("[listen]", "drain_timeout = true", WrongType, "listen.drain_timeout"),
    ("[listen]", "drain_delay = true", WrongType, "listen.drain_delay"),
    ("[session]", "keys = \"a.key\"", WrongType, "session.keys"),
    ("[session]", "keys = [1]", WrongType, "session.keys[0]"),
    ("[session]", "anonymous = \"24h\"", WrongType, "session.anonymous"),
    ("[session]", "same_site = false", WrongType, "session.same_site"),
    ("[session]", "max_data = [\"64KiB\"]", WrongType, "session.max_data"),
    ("[session]", "max_per_user = \"5\"", WrongType, "session.max_per_user"),
    ("[session]", "max_per_user = 5.0", WrongType, "session.max_per_user"),
    ("[log]", "level = 2026-11-01", WrongType, "log.level"),
    // Units
    ("[session]", "idle_timeout = 30", WrongUnit, "session.idle_timeout"),
    ("[session]", "idle_timeout = 1.5", WrongUnit, "session.idle_timeout"),
    ("[session]", "idle_timeout = \"30\"", WrongUnit, "session.idle_timeout"),
    ("[session]", "idle_timeout = \"30 parsecs\"", WrongUnit, "session.idle_timeout"),
    ("[session]", "lifetime = \"1mo\"", WrongUnit, "session.lifetime"),
    ("[session]", "max_data = 65536", WrongUnit, "session.max_data"),
    ("[session]", "max_data = \"64\"", WrongUnit, "session.max_data"),
    ("[session]", "max_data = \"64k\"", WrongUnit, "session.max_data"),
    ("[session]", "max_data = \"30m\"", WrongUnit, "session.max_data"),
    // Ranges
    ("[listen]", "workers = -1", OutOfRange, "listen.workers"),
    ("[listen]", "workers = 1_000_000", OutOfRange, "listen.workers"),
    ("[listen]", "workers = 99999999999999999999999", OutOfRange, "listen.workers"),
    ("[listen]", "max_connections = 0", OutOfRange, "listen.max_connections"),
    ("[listen]", "handshake_timeout = \"0s\"", OutOfRange, "listen.handshake_timeout"),
    ("[listen]", "header_timeout = \"-1s\"", OutOfRange, "listen.header_timeout"),
    ("[listen]", "header_timeout = \"2h\"", OutOfRange, "listen.header_timeout"),
    ("[listen]", "keepalive = \"0s\"", OutOfRange, "listen.keepalive"),
    ("[listen]", "write_timeout = \"0s\"", OutOfRange, "listen.write_timeout"),
    ("[listen]", "min_body_rate = \"2MiB\"", OutOfRange, "listen.min_body_rate"),
    ("[listen]", "drain_timeout = \"0m\"", OutOfRange, "listen.drain_timeout"),
    ("[listen]", "drain_delay = \"2h\"", OutOfRange, "listen.drain_delay"),
    ("[listen]", "max_header_size = \"4KiB\"", OutOfRange, "listen.max_header_size"),
    ("[session]", "idle_timeout = \"0s\"", OutOfRange, "session.idle_timeout"),
    ("[session]", "idle_timeout = \"500ms\"", OutOfRange, "session.idle_timeout"),
    ("[session]", "idle_timeout = \"1500ms\"", OutOfRange, "session.idle_timeout"),
    ("[session]", "lifetime = \"401d\"", OutOfRange, "session.lifetime"),
    ("[session]", "renew_after = \"0s\"", OutOfRange, "session.renew_after"),
    ("[session]", "touch_after = \"0s\"", OutOfRange, "session.touch_after"),
    ("[session]", "max_data = \"0B\"", OutOfRange, "session.max_data"),
    ("[session]", "max_per_user = 0", OutOfRange, "session.max_per_user"),
    ("[session]", "max_per_user = -1", OutOfRange, "session.max_per_user"),
    ("[session]", "max_per_user = 10_001", OutOfRange, "session.max_per_user"),
    ("[session]", "data_header_budget = \"1MiB\"", OutOfRange, "session.data_header_budget"),
    ("[session]", "keys = []", OutOfRange, "session.keys"),
    ("[session]", "persistent.idle_timeout = \"0s\"", OutOfRange, "session.persistent.idle_timeout"),
    ("[store]", "max_sessions = 0", OutOfRange, "store.max_sessions"),
    ("[store]", "max_bytes = \"1B\"", OutOfRange, "store.max_bytes"),
    ("[store]", "sync = \"99ms\"", OutOfRange, "store.sync"),
    ("[store]", "sync = \"2m\"", OutOfRange, "store.sync"),
    ("[upstream.app]", "servers = []", OutOfRange, "upstream.app.servers"),
    ("[upstream.app]", "connect_timeout = \"0s\"", OutOfRange, "upstream.app.connect_timeout"),
    ("[upstream.app]", "response_timeout = \"0s\"", OutOfRange, "upstream.app.response_timeout"),
    ("[upstream.app]", "body_timeout = \"0s\"", OutOfRange, "upstream.app.body_timeout"),
    ("[upstream.app]", "websocket_timeout = \"2d\"", OutOfRange, "upstream.app.websocket_timeout"),
    ("[upstream.app]", "keepalive = \"0s\"", OutOfRange, "upstream.app.keepalive"),
    ("[upstream.app]", "max_idle = -1", OutOfRange, "upstream.app.max_idle"),
    ("[listen]", "max_headers = 0", OutOfRange, "listen.max_headers"),
    ("[listen]", "max_uri_size = \"1MiB\"", OutOfRange, "listen.max_uri_size"),
    ("[listen]", "max_requests = 0", OutOfRange, "listen.max_requests"),
    ("[session]", "max_new_per_address = 0", OutOfRange, "session.max_new_per_address"),
    ("[[route]]", "trusted_origins = []", OutOfRange, "route[0].trusted_origins"),
    // Words
    ("[listen]", "request_id = \"always\"", NotAChoice, "listen.request_id"),
    ("[listen]", "real_ip_header = \"X-Real-IP\"", NotAChoice, "listen.real_ip_header"),
    ("[[route]]", "csrf = \"on\"", NotAChoice, "route[0].csrf"),
    ("[session]", "same_site = \"laxx\"", NotAChoice, "session.same_site"),
    ("[session]", "same_site = \"Lax\"", NotAChoice, "session.same_site"),
    ("[upstream.app]", "trust = \"all\"", NotAChoice, "upstream.app.trust"),
    ("[upstream.app]", "jar.mode = \"on\"", NotAChoice, "upstream.app.jar.mode"),
    ("[store]", "kind = \"memcached\"", NotAChoice, "store.kind"),
    ("[log]", "access = \"yes\"", NotAChoice, "log.access"),
    // Forms
    ("[listen]", "trusted_proxies = [\"localhost\"]", Malformed, "listen.trusted_proxies[0]"),
    ("[listen]", "trusted_proxies = [\"10.0.0.0/8\", \"10.0.0.1/8\"]", Malformed, "listen.trusted_proxies[1]"),
    ("[listen]", "trusted_proxies = [\"10.0.0.0/33\"]", Malformed, "listen.trusted_proxies[0]"),
    ("[listen]", "trusted_proxies = [\"unix:\"]", Malformed, "listen.trusted_proxies[0]"),
    ("[listen]", "http = \"8080\"", Malformed, "listen.http"),
    ("[listen]", "http = \"localhost:8080\"", Malformed, "listen.http"),
    ("[listen]", "http = \"127.0.0.1:99999\"", Malformed, "listen.http"),
    ("[session]", "cookie = \"\"", Malformed, "session.cookie"),
    ("[session]", "cookie = \"a b\"", Malformed, "session.cookie"),
    ("[session]", "cookie = \"a;b\"", Malformed, "session.cookie"),
    ("[session]", "cookie = \"a=b\"", Malformed, "session.cookie"),
    ("[session]", "cookie = \"sïd\"", Malformed, "session.cookie"),
    ("[session]", "keys = [\"\"]", Malformed, "session.keys[0]"),
    ("[session]", "keys = [\"a\\u0000b\"]", Malformed, "session.keys[0]"),
    ("[session]", "domain = \".example.com\"", Malformed, "session.domain"),
    ("[session]", "domain = \"127.0.0.1\"", Malformed, "session.domain"),
    ("[session]", "domain = \"a;b\"", Malformed, "session.domain"),
    ("[session]", "path = \"app\"", Malformed, "session.path"),
    ("[session]", "path = \"/a; HttpOnly\"", Malformed, "session.path"),
    ("[session]", "header_prefix = \"Session-\"", Malformed, "session.header_prefix"),
    ("[session]", "header_prefix = \"X-Session\"", Malformed, "session.header_prefix"),
    ("[session]", "header_prefix = \"X-\"", Malformed, "session.header_prefix"),
    ("[session]", "header_prefix = \"X--\"", Malformed, "session.header_prefix"),
    ("[session]", "header_prefix = \"X_Session_-\"", Malformed, "session.header_prefix"),
    ("[session]", "header_prefix = \"X-Sess ion-\"", Malformed, "session.header_prefix"),
    ("[session]", "header_prefix = \"x-forwarded-\"", Malformed, "session.header_prefix"),
    ("[session]", "header_prefix = \"X-Request-\"", Malformed, "session.header_prefix"),
    ("[upstream.app]", "servers = [\"127.0.0.1:5000\"]", Malformed, "upstream.app.servers[0]"),
    ("[upstream.app]", "servers = [\"http://\"]", Malformed, "upstream.app.servers[0]"),
    ("[upstream.app]", "servers = [\"http://a:0\"]", Malformed, "upstream.app.servers[0]"),
    ("[upstream.app]", "servers = [\"http://a:\"]", Malformed, "upstream.app.servers[0]"),
    ("[upstream.app]", "servers = [\"http://a:+80\"]", Malformed, "upstream.app.servers[0]"),
    ("[upstream.app]", "servers = [\"http://a:65536\"]", Malformed, "upstream.app.servers[0]"),
    ("[upstream.app]", "servers = [\"http://a:80/\"]", Malformed, "upstream.app.servers[0]"),
    ("[upstream.app]", "servers = [\"http://a/b\"]", Malformed, "upstream.app.servers[0]"),
    ("[upstream.app]", "servers = [\"http://a?b\"]", Malformed, "upstream.app.servers[0]"),
    ("[upstream.app]", "servers = [\"http://me@a\"]", Malformed, "upstream.app.servers[0]"),
    ("[upstream.app]", "servers = [\"http://[::1\"]", Malformed, "upstream.app.servers[0]"),
    ("[upstream.app]", "servers = [\"http://::1\"]", Malformed, "upstream.app.servers[0]"),
    ("[upstream.app]", "servers = [\"http://[::1]x:1\"]", Malformed, "upstream.app.servers[0]"),
    ("[upstream.app]", "servers = [\"unix:app.sock\"]", Malformed, "upstream.app.servers[0]"),
    ("[upstream.app]", "servers = [\"http://a\", \"ftp://b\"]", Malformed, "upstream.app.servers[1]"),
    ("[upstream.app]", "jar.capture = [\"a b\"]", Malformed, "upstream.app.jar.capture[0]"),
    ("[upstream.app]", "jar.capture = [\"*\"]", Malformed, "upstream.app.jar.capture[0]"),
    ("[upstream.app]", "jar.capture = [\"a*b\"]", Malformed, "upstream.app.jar.capture[0]"),
    ("[upstream.app]", "jar.capture = \"all\"", Malformed, "upstream.app.jar.capture"),
    ("[upstream.app]", "jar.mode = \"enforce\"", Conflict, "upstream.app.jar.mode"),
    ("[upstream.app]", "jar.renew_on = [\"/login\"]", Malformed, "upstream.app.jar.renew_on[0]"),
    ("[upstream.app]", "jar.renew_on = [\"post /login\"]", Malformed, "upstream.app.jar.renew_on[0]"),
    ("[upstream.app]", "jar.renew_on = [\"POST login\"]", Malformed, "upstream.app.jar.renew_on[0]"),
    ("[upstream.app]", "jar.renew_on = \"POST /login\"", WrongType, "upstream.app.jar.renew_on"),
    ("[upstream.app]", "jar.adopt_until = \"2027-02-29\"", Malformed, "upstream.app.jar.adopt_until"),
    ("[upstream.app]", "jar.adopt_until = 2027-01-01T00:00:00Z", Malformed, "upstream.app.jar.adopt_until"),
    ("[upstream.app]", "jar.adopt_until = 1969-12-31", Malformed, "upstream.app.jar.adopt_until"),
    ("[upstream.app]", "jar.adopt_until = 31", WrongType, "upstream.app.jar.adopt_until"),
    (
        "[upstream.app]",
        "jar = { capture = \"http-only\", adopt_until = 2027-01-01 }",
        Conflict,
        "upstream.app.jar.adopt_until",
    ),
    ("[upstream.app]", "cookies.\"a b\" = {}", Malformed, "upstream.app.cookies.a b"),
    ("[upstream.app]", "cookies.a.same_site = \"off\"", NotAChoice, "upstream.app.cookies.a.same_site"),
    ("[upstream.app]", "cookies.a.path = \"/;x\"", Malformed, "upstream.app.cookies.a.path"),
    ("[upstream.app]", "cookies.a.domain = \"a;b\"", Malformed, "upstream.app.cookies.a.domain"),
    ("[upstream.app]", "cookies.a.rename = \"b\"", UnknownKey, "upstream.app.cookies.a.rename"),
    ("[upstream.app]", "cookies.a.prefix = \"__Http-\"", NotAChoice, "upstream.app.cookies.a.prefix"),
    ("[upstream.app]", "cookies.a = { prefix = \"__Host-\", path = \"/x\" }", Conflict, "upstream.app.cookies.a.path"),
    (
        "[upstream.app]",
        "cookies.a = { prefix = \"__Host-\", domain = \"a.example\" }",
        Conflict,
        "upstream.app.cookies.a.domain",
    ),
    (
        "[upstream.app]",
        "cookies.a = { prefix = \"__Secure-\", secure = false }",
        Conflict,
        "upstream.app.cookies.a.secure",
    ),
    ("[upstream.app]", "cookies.a = { prefix = \"__Host-\", block = true }", Conflict, "upstream.app.cookies.a.block"),
    ("[upstream.app]", "cookies.sid.prefix = \"__Host-\"", Conflict, "upstream.app.cookies.sid.prefix"),
    ("[upstream.app]", "cookies.\"*\".prefix = \"__Host-\"", Conflict, "upstream.app.cookies.*.prefix"),
    ("[upstream.app]", "jar = { mode = \"enforce\", capture = [] }", Conflict, "upstream.app.jar.mode"),
    ("[[route]]", "host = \"example.com:443\"", Malformed, "route[0].host"),
    ("[[route]]", "host = \"*\"", Malformed, "route[0].host"),
    ("[[route]]", "host = \"a.*.com\"", Malformed, "route[0].host"),
    ("[[route]]", "host = \"bücher.example\"", Malformed, "route[0].host"),
    ("[[route]]", "login_url = \"login\"", Malformed, "route[0].login_url"),
    ("[[route]]", "login_url = \"//evil.example\"", Malformed, "route[0].login_url"),
    ("[[route]]", "login_url = \"/login#form\"", Malformed, "route[0].login_url"),
    ("[[route]]", "trusted_origins = [\"app.example\"]", Malformed, "route[0].trusted_origins[0]"),
    ("[[route]]", "trusted_origins = [\"https://app.example/\"]", Malformed, "route[0].trusted_origins[0]"),
    // What cannot hold
    ("[[route]]", "login_url = \"/login\"", Conflict, "route[0].login_url"),
    ("[[route]]", "login_url = \"/login\"\nrequire_user = true", Conflict, "route[0].login_url"),
    ("[[route]]", "require_user = true\nsession = false", Conflict, "route[0].require_user"),
    ("[[route]]", "require_user = true\non_store_failure = \"anonymous\"", Conflict, "route[0].require_user"),
    ("[[route]]", "csrf = \"enforce\"\nsession = false", Conflict, "route[0].csrf"),
    ("[[route]]", "path = \"app\"", Malformed, "route[0].path"),
    ("[[route]]", "path = \"\"", Malformed, "route[0].path"),
    ("[[route]]", "path = \"/a?b\"", Malformed, "route[0].path"),
    ("[[route]]", "path = \"/a#b\"", Malformed, "route[0].path"),
    ("[[route]]", "path = \"/a//b\"", Malformed, "route[0].path"),
    ("[[route]]", "path = \"/a/../b\"", Malformed, "route[0].path"),
    ("[[route]]", "path = \"/.\"", Malformed, "route[0].path"),
    ("[[route]]", "path = \"/a%20b\"", Malformed, "route[0].path"),
    ("[[route]]", "path = \"/a b\"", Malformed, "route[0].path"),
    ("[[route]]", "path = \"/a;b\"", Malformed, "route[0].path"),
    ("[log]", "level = \"inof\"", Malformed, "log.level"),
    ("[log]", "level = \"a=b=c\"", Malformed, "log.level"),
    ("[log]", "level = \"\"", Malformed, "log.level"),
    ("[upstream.app]", "tls.server_name = \"a b\"", Malformed, "upstream.app.tls.server_name"),
    ("[upstream.app]", "tls.insecure = true", UnknownKey, "upstream.app.tls.insecure"),
    ("[upstream.app]", "servers = [\"https://a:0\"]", Malformed, "upstream.app.servers[0]"),
    ("[upstream.app]", "servers = [\"https://a/b\"]", Malformed, "upstream.app.servers[0]"),
    ("[upstream.app]", "servers = [\"h2c://a:b\"]", Malformed, "upstream.app.servers[0]"),
    ("[upstream.app]", "servers = [\"http://a\", \"h2c://b\"]", Conflict, "upstream.app.servers"),
    ("[upstream.app]", "servers = [\"h2://a\", \"unix:/a\"]", Conflict, "upstream.app.servers"),
    // Certificates
    ("[tls]", "client = { ca = \"\" }\ncertificate = \"a\"\nprivate_key = \"b\"", Malformed, "tls.client.ca"),
    (
        "[tls]",
        "client = { ca = \"c\", need = true }\ncertificate = \"a\"\nprivate_key = \"b\"",
        UnknownKey,
        "tls.client.need",
    ),
    ("[tls]", "certificates = \"c\"\ncertificate = \"a\"\nprivate_key = \"b\"", WrongType, "tls.certificates"),
    (
        "[tls]",
        "certificates = [{ certificate = \"\", private_key = \"d\" }]\ncertificate = \"a\"\nprivate_key = \"b\"",
        Malformed,
        "tls.certificates[0].certificate",
    ),
    // Names
    ("[listen]", "port = 80", UnknownKey, "listen.port"),
    ("[session]", "idle_timout = \"30m\"", UnknownKey, "session.idle_timout"),
    ("[session]", "anonymous.idle = \"30m\"", UnknownKey, "session.anonymous.idle"),
    ("[session]", "persistent.idle = \"30m\"", UnknownKey, "session.persistent.idle"),
    ("[store]", "uri = \"redis://127.0.0.1\"", UnknownKey, "store.uri"),
    ("[upstream.app]", "server = \"http://a\"", UnknownKey, "upstream.app.server"),
    ("[[route]]", "compress = true", UnknownKey, "route[0].compress"),
    ("[log]", "file = \"a\"", UnknownKey, "log.file"),
    ("[admin]", "token = \"a\"", UnknownKey, "admin.token"),
    ("[[route]]", "upstream = \"ap\"", UnknownName, "route[0].upstream"),
    ("[[route]]", "upstream = \"\"", UnknownName, "route[0].upstream"),
    // Impossible together
    ("[upstream.app]", "health.interval = \"5s\"", Conflict, "upstream.app.health.interval"),
    ("[upstream.app]", "health.path = \"healthz\"", Malformed, "upstream.app.health.path"),
    ("[upstream.app]", "health.path = \"/a b\"", Malformed, "upstream.app.health.path"),
    ("[upstream.app]", "health = { fall = 0, path = \"/\" }", OutOfRange, "upstream.app.health.fall"),
    ("[upstream.app]", "health = { interval = \"0s\", path = \"/\" }", OutOfRange, "upstream.app.health.interval"),
    ("[upstream.app]", "balance = \"random\"", NotAChoice, "upstream.app.balance"),
    ("[upstream.app]", "max_connections = 0", OutOfRange, "upstream.app.max_connections"),
    ("[upstream.app]", "max_fails = -1", OutOfRange, "upstream.app.max_fails"),
    ("[upstream.app]", "resolve_every = \"100ms\"", OutOfRange, "upstream.app.resolve_every"),
    ("[upstream.app]", "fail_timeout = 10", WrongUnit, "upstream.app.fail_timeout"),
    ("[upstream.app]", "tls.ca = \"a\"", Conflict, "upstream.app.tls.ca"),
    ("[upstream.app]", "tls.server_name = \"a\"", Conflict, "upstream.app.tls.server_name"),
    ("[listen]", "https = \"127.0.0.1:0\"", Conflict, "listen.https"),
    ("[listen]", "redirect = true", Conflict, "listen.redirect"),
    ("[session]", "cookie = \"__Host-a\"\nsecure = false", Conflict, "session.cookie"),
    ("[session]", "cookie = \"__host-a\"\nsecure = false", Conflict, "session.cookie"),
    ("[session]", "cookie = \"__Secure-a\"\nsecure = false", Conflict, "session.cookie"),
    ("[session]", "domain = \"example.com\"", Conflict, "session.domain"),
    ("[session]", "path = \"/app\"", Conflict, "session.path"),
    ("[session]", "same_site = \"none\"\nsecure = false", Conflict, "session.same_site"),
    ("[session]", "idle_timeout = \"24h\"", Conflict, "session.idle_timeout"),
    ("[session]", "idle_timeout = \"2m\"\nlifetime = \"1m\"", Conflict, "session.idle_timeout"),
    ("[session]", "anonymous.idle_timeout = \"8d\"", Conflict, "session.anonymous.idle_timeout"),
    ("[session]", "persistent.idle_timeout = \"32d\"", Conflict, "session.persistent.idle_timeout"),
    ("[session]", "touch_after = \"181s\"", Conflict, "session.touch_after"),
    ("[session]", "keys = [\"a\", \"b\", \"a\"]", Duplicate, "session.keys"),
    ("[store]", "url = \"redis://127.0.0.1\"", Conflict, "store.url"),
    ("[store]", "key_prefix = \"a\"", Conflict, "store.key_prefix"),
    ("[store]", "timeout = \"1s\"", Conflict, "store.timeout"),
    ("[store]", "kind = \"redis\"", MissingKey, "store.url"),
    ("[store]", "max_sessions = 5\nkind = \"redis\"\nurl = \"redis://a\"", Conflict, "store.max_sessions"),
    ("[store]", "max_bytes = \"1GiB\"\nkind = \"redis\"\nurl = \"redis://a\"", Conflict, "store.max_bytes"),
    ("[[route]]", "on_store_failure = \"stale\"", Conflict, "route[0].on_store_failure"),
    ("[store]", "near_cache = true", Conflict, "store.near_cache"),
    (
        "[store]",
        "near_cache_size = \"1MiB\"\nkind = \"redis\"\nurl = \"redis://a\"\nnear_cache = false",
        Conflict,
        "store.near_cache_size",
    ),
    (
        "[store]",
        "max_stale = \"1m\"\nkind = \"redis\"\nurl = \"redis://a\"\nnear_cache = false",
        Conflict,
        "store.max_stale",
    ),
    (
        "[store]",
        "near_cache_size = \"1KiB\"\nkind = \"redis\"\nurl = \"redis://a\"",
        OutOfRange,
        "store.near_cache_size",
    ),
    ("[store]", "max_stale = \"0s\"\nkind = \"redis\"\nurl = \"redis://a\"", OutOfRange, "store.max_stale"),
    ("[store]", "file = \"a.redb\"\nkind = \"redis\"\nurl = \"redis://a\"", Conflict, "store.file"),
    ("[store]", "ca = \"ca.crt\"\nkind = \"redis\"\nurl = \"redis://a\"", Conflict, "store.ca"),
    ("[store]", "url = \"redis://user@a\"\nkind = \"redis\"", Conflict, "store.url"),
    (
        "[store]",
        "password_file = \"/nowhere/p\"\nkind = \"redis\"\nurl = \"redis://a\"",
        Unreadable,
        "store.password_file",
    ),
    ("[store]", "url = \"a:6379\"\nkind = \"redis\"", Malformed, "store.url"),
    ("[store]", "url = \"http://a\"\nkind = \"redis\"", Malformed, "store.url"),
    ("[store]", "url = \"redis://\"\nkind = \"redis\"", Malformed, "store.url"),
    ("[store]", "url = \"redis://a:0\"\nkind = \"redis\"", Malformed, "store.url"),
    ("[store]", "url = \"redis://a:65536\"\nkind = \"redis\"", Malformed, "store.url"),
    ("[store]", "url = \"redis://a:\"\nkind = \"redis\"", Malformed, "store.url"),
    ("[store]", "url = \"redis+sentinel://a\"\nkind = \"redis\"", Malformed, "store.url"),
    ("[store]", "url = \"redis+sentinel://a,,b/m\"\nkind = \"redis\"", Malformed, "store.url"),
    ("[store]", "url = \"redis+sentinel://a/m/x\"\nkind = \"redis\"", Malformed, "store.url"),
    ("[store]", "url = \"redis+cluster://a,b/1\"\nkind = \"redis\"", Conflict, "store.url"),
    ("[store]", "url = \"redis+cluster://\"\nkind = \"redis\"", Malformed, "store.url"),
    ("[store]", "url = \"redis+proxy://a\"\nkind = \"redis\"", Malformed, "store.url"),
    ("[store]", "url = \"redis://a,b\"\nkind = \"redis\"", Malformed, "store.url"),
    ("[store]", "url = \"redis://a/b\"\nkind = \"redis\"", Malformed, "store.url"),
    ("[store]", "url = \"redis://a/-1\"\nkind = \"redis\"", Malformed, "store.url"),
    ("[store]", "url = \"redis://:%ff@a\"\nkind = \"redis\"", Malformed, "store.url"),
    ("[store]", "key_prefix = \"{a}\"\nkind = \"redis\"\nurl = \"redis://a\"", Malformed, "store.key_prefix"),
    ("[store]", "key_prefix = \"\"\nkind = \"redis\"\nurl = \"redis://a\"", Malformed, "store.key_prefix"),
    ("[store]", "timeout = \"0s\"\nkind = \"redis\"\nurl = \"redis://a\"", OutOfRange, "store.timeout"),
    ("[store]", "connect_timeout = 5\nkind = \"redis\"\nurl = \"redis://a\"", WrongUnit, "store.connect_timeout"),
    ("[admin]", "listen = \"0.0.0.0:9900\"", Conflict, "admin.listen"),
    ("[admin]", "token_file = \"/nowhere/token\"", Unreadable, "admin.token_file"),
    ("[tls]", "certificate = \"a\"", MissingKey, "tls.private_key"),
    ("[tls]", "private_key = \"a\"", MissingKey, "tls.certificate"),
    // Not TOML
    ("[session]", "idle_timeout = 30m", Syntax, ""),
    ("[session]", "same_site = lax", Syntax, ""),
    ("[session]", "lifetime = ", Syntax, ""),
    ("[session]", "cookie = \"a\" \"b\"", Syntax, ""),
    ("[session]", "cookie = \"a", Syntax, ""),
];

const REPORTED: [&str; 10] = [
    "[listen]",
    "http = \"127.0.0.1:8080\"",
    "[session]",
    "keys = [\"a.key\"]",
    "idle_timeout = 30m",
    "lifetime = 12",
    "renew_aftr = \"60m\"",
    "anonymous = { idle_timeout = \"3h\", lifetime = \"2h\" }",
    "[upstream.app]",
    "server = [\"http://127.0.0.1:5000\"]",
];

const REPORT: &str = r#"error: string values must be quoted
 --> gateway.toml:5:16
  |
5 | idle_timeout = 30m
  |                ^^^ expected literal string
  |
  = help: write "30m"

error: session.lifetime: 12 has no unit
 --> gateway.toml:6:12
  |
6 | lifetime = 12
  |            ^^ expected a duration with its unit: "12s", "12m" or "12h"

error: session.renew_aftr: no such key
 --> gateway.toml:7:1
  |
7 | renew_aftr = "60m"
  | ^^^^^^^^^^
  |
  = note: expected secure, cookie, domain, path, same_site, header_prefix, data_header_budget, keys, idle_timeout, lifetime, anonymous, persistent, renew_after, touch_after, guest_cookie, max_data, max_per_user or max_new_per_address
  = help: did you mean `renew_after`?

error: session.anonymous.idle_timeout: longer than lifetime, 2h
 --> gateway.toml:8:30
  |
8 | anonymous = { idle_timeout = "3h", lifetime = "2h" }
  |                              ^^^^             ---- the lifetime
  |                              |
  |                              expected at most 2h

error: upstream.app.server: no such key
  --> gateway.toml:10:1
   |
10 | server = ["http://127.0.0.1:5000"]
   | ^^^^^^
   |
   = note: expected servers, balance, max_connections, max_fails, fail_timeout, trust, connect_timeout, resolve_every, response_timeout, body_timeout, websocket_timeout, keepalive, max_idle, tls, health, jar or cookies
   = help: did you mean `servers`?

gateway.toml: 5 mistakes"#;
