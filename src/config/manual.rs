//! Tests that `gateway.toml` at the root is the manual it says it is, by the keys that the reader itself asks for.

use std::collections::BTreeMap;
use std::path::Path;

use crate::store::Settings;
use crate::store::redis::Password;

use super::file::file;
use super::reader::Reading;
use super::{Config, parse};

const MANUAL: &str = include_str!("../../gateway.toml");

/// Keys that the file must set, for they have no default.
const REQUIRED: [&str; 7] = ["http", "https", "certificate", "private_key", "keys", "servers", "upstream"];

/// The same file about the other kind of store, whose keys follow that of its kind behind `#`: with its url set, the
/// one key of them that must be.
fn about_redis() -> String {
    let (before, store) = MANUAL.split_once("[store]\n").expect("a store section");
    let (memory, redis) = store.split_once("# kind = \"redis\"").expect("the other kind");
    assert!(memory.contains("kind = \"memory\"") && memory.lines().count() < 8, "{memory}");
    let redis = redis.replacen("# url = ", "url = ", 1);
    format!("{before}[store]\nkind = \"redis\"{redis}")
}

/// The manual without what it shows of the other kind of store.
fn about_memory() -> String {
    let (before, rest) = MANUAL.split_once("# kind = \"redis\"").expect("the other kind");
    format!("{before}{}", &rest[rest.find("\n\n").expect("another section")..])
}

/// The file with the keys that it only shows (`# key = value`) set; `all` includes those that have no default.
fn uncommented(manual: &str, all: bool) -> String {
    let uncomment = |line: &str| match line.strip_prefix("# ") {
        Some(shown) if is_setting(shown) && (all || !shown.contains("no default")) => shown.to_owned(),
        _ => line.to_owned(),
    };
    manual.lines().map(|line| uncomment(line) + "\n").collect()
}

fn is_setting(line: &str) -> bool {
    line.split_once(" = ").is_some_and(|(key, _)| key.bytes().all(|each| each.is_ascii_lowercase() || each == b'_'))
}

fn good(text: &str) -> Config {
    parse(text, Path::new("gateway.toml"), Path::new("")).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

#[test]
fn every_key_is_in_the_manual() {
    let mut asked = BTreeMap::new();
    for manual in [about_memory(), about_redis()] {
        let text = uncommented(&manual, true);
        let reading = Reading::new(&text, Path::new(""));
        // The keys without a default contradict others here; asked for they are all the same.
        let _ = reading.read(Path::new("gateway.toml"), file);
        for (key, is_there) in reading.asked.take() {
            *asked.entry(key).or_insert(false) |= is_there;
        }
    }
    let missing: Vec<&String> = asked.iter().filter(|(_, is_there)| !**is_there).map(|(key, _)| key).collect();
    assert!(missing.is_empty(), "not in gateway.toml: {missing:?}");
    assert!(asked.contains_key("upstream.*.jar.mode") && asked.contains_key("route[].path"), "{asked:?}");
}

#[test]
fn what_the_manual_shows_behind_a_hash_is_the_default() {
    let set = |text: &str| text.lines().filter(|line| is_setting(line)).count();
    for manual in [about_memory(), about_redis()] {
        let text = uncommented(&manual, false);
        assert!(set(&text) > set(&manual) + 20, "few defaults are shown: has the form of the file changed?");
        assert_eq!(good(&text), good(&manual));
    }
    assert_eq!(good(&about_memory()), good(MANUAL));
}

#[test]
fn what_the_manual_sets_is_the_default_as_well() {
    let mut left_out = 0;
    for (index, line) in MANUAL.lines().enumerate() {
        let key = line.split(" = ").next().unwrap_or_default();
        if is_setting(line) && !REQUIRED.contains(&key) {
            let others = MANUAL.lines().enumerate().filter(|(other, _)| *other != index);
            let text = others.map(|(_, line)| line).collect::<Vec<_>>().join("\n");
            assert_eq!(good(&text), good(MANUAL), "without line {}: {line}", index + 1);
            left_out += 1;
        }
    }
    assert!(left_out > 10, "few keys are set: has the form of the file changed?");
}

#[test]
fn keys_without_a_default_are_shown_with_good_values() {
    let folder = tempfile::tempdir().expect("a folder for the token");
    std::fs::create_dir(folder.path().join("certs")).expect("a folder in it");
    for (name, word) in [("admin.token", "hush\n"), ("redis.password", "whisper\n")] {
        std::fs::write(folder.path().join("certs").join(name), word).expect("a file in it");
    }
    let config = |manual: &str| {
        // A domain goes with another name than `__Host-` only, an authority with TLS only, a login page with a required
        // user, and with a route for everybody, if it is here.
        let mut text = uncommented(manual, true).replace("__Host-sid", "sid").replace("[\"http://", "[\"https://");
        text = text.replace("require_user = false", "require_user = true");
        text = text.replace("\"/login\"", "\"https://sso.example.com/login\"");
        let config = parse(&text, Path::new("gateway.toml"), folder.path());
        config.unwrap_or_else(|mistakes| panic!("{mistakes}"))
    };
    let memory = config(&about_memory());
    assert!(memory.admin.is_some_and(|admin| admin.token.is_some_and(|token| token.0 == "hush")));
    assert_eq!(memory.proxy.cookie.domain.as_deref(), Some("example.com"));
    assert_eq!(memory.proxy.routes[0].host.as_deref(), Some("app.example.com"));
    assert!(memory.proxy.routes[0].require_user.as_ref().is_some_and(|login| login.url.is_some()));
    // Health checks have defaults where there is a path.
    let is_of_health = |line: &str| line.contains("no default without a path");
    let bare =
        about_memory().lines().filter(|line| !is_of_health(line)).fold(String::new(), |all, line| all + line + "\n");
    assert!(bare.lines().count() + 4 == about_memory().lines().count());
    assert_eq!(config(&bare).proxy.upstreams[0].health, memory.proxy.upstreams[0].health);
    assert!(memory.proxy.upstreams[0].health.is_some());
    let tls = memory.proxy.upstreams[0].tls.as_ref().expect("its servers speak TLS");
    assert!(tls.ca.is_some() && tls.identity.is_some());
    let Settings::Redis(redis) = config(&about_redis().replace("redis://", "rediss://")).store else {
        panic!("the kind is redis")
    };
    assert_eq!(redis.password, Some(Password("whisper".to_owned())));
    assert_eq!(redis.ca, Some(folder.path().join("certs/redis-ca.crt")));
}
