//! A file that is wrong changes nothing.

use std::fs;

use super::stand::*;
use super::support::*;

/// Whatever was in the file, the gateway goes on as before.
fn assert_as_before(process: &Process, browser: &Browser) {
    assert_eq!(user(process, browser).as_deref(), Some("ada"));
    let told = metrics(process);
    assert_eq!(sample_in(&told, "config_last_reload_successful"), Some(0));
}

#[test]
fn wrong_file_is_told_with_its_lines_and_changes_nothing() {
    let process = Process::start(&Site::build(), "access = \"off\"");
    let browser = login(&process, "ada");
    let file = process.dir.path().join("gateway.toml");
    let good = fs::read_to_string(&file).unwrap();
    let since = metric(&process, "config_last_reload_success_timestamp_seconds");

    // Half of it would be good.
    let said = refused(&process, |text| {
        let text = replaced(&text, "trust = \"full\"", "trust = \"fool\"");
        replaced(&text, "path = \"/\"\n", "path = \"/elsewhere\"\nupstrem = \"app\"\n")
    });
    for part in ["upstrem", "upstream.app.trust", "2 mistakes", "gateway.toml:"] {
        assert!(said.contains(part), "{part} in:\n{said}");
    }
    assert_as_before(&process, &browser);

    fs::write(&file, replaced(&good, "keys = [\"1.key\"]", "keys = [\"gone.key\"]")).unwrap();
    read_again(&process, "failure");
    assert!(process.logged("cannot read the session key").contains("gone.key"));
    assert_as_before(&process, &browser);

    fs::write(process.dir.path().join("empty.crt"), "").unwrap();
    fs::write(&file, replaced(&good, "dev.crt", "empty.crt")).unwrap();
    read_again(&process, "failure");
    process.logged("holds no certificate");
    assert_as_before(&process, &browser);

    fs::remove_file(&file).unwrap();
    read_again(&process, "failure");
    assert_as_before(&process, &browser);

    fs::write(&file, good).unwrap();
    read_again(&process, "success");
    let told = metrics(&process);
    assert_eq!(sample_in(&told, "config_last_reload_successful"), Some(1));
    assert_eq!(sample_in(&told, "config_reloads_total{outcome=\"failure\"}"), Some(4));
    assert!(sample_in(&told, "config_last_reload_success_timestamp_seconds").unwrap() >= since);
    assert_eq!(user(&process, &browser).as_deref(), Some("ada"));
    let said = process.stop();
    assert_eq!(said.matches(" ERROR ").count(), 4, "one for each:\n{said}");
}

#[test]
fn what_needs_a_restart_is_named_and_nothing_is_changed() {
    let process = Process::start(&Site::build(), "access = \"off\"");
    let browser = login(&process, "ada");
    let file = process.dir.path().join("gateway.toml");
    let good = fs::read_to_string(&file).unwrap();
    let fixed = [
        ("listen.http", "[listen]\nhttp = \"127.0.0.1:0\"", "[listen]\nhttp = \"127.0.0.1:1\""),
        ("listen.https", "https = \"127.0.0.1:0\"", "https = \"127.0.0.1:2\""),
        ("listen.redirect", "redirect = false", "redirect = true"),
        ("listen.workers", "workers = 2", "workers = 3"),
        ("[store]", "[store]\n", "[store]\nmax_sessions = 5\n"),
        ("admin.listen", "[admin]\nlisten = \"127.0.0.1:0\"", "[admin]\nlisten = \"127.0.0.1:3\""),
    ];
    // What would be good alone is not taken either.
    let also = |text: &str| replaced(text, "trust = \"full\"", "trust = \"none\"");
    for (key, old, new) in fixed {
        fs::write(&file, also(&replaced(&good, old, new))).unwrap();
        read_again(&process, "failure");
        process.logged(&format!("the configuration stays as it was: a change of {key} needs a restart"));
        assert_as_before(&process, &browser);
    }
    let all = fixed.iter().fold(also(&good), |text, (_, old, new)| replaced(&text, old, new));
    fs::write(&file, all).unwrap();
    read_again(&process, "failure");
    process.logged(&format!("a change of {} needs a restart", fixed.map(|(key, ..)| key).join(", ")));
    assert_as_before(&process, &browser);
}

#[test]
fn doubts_are_told_once_at_start_and_once_at_each_reload() {
    let (authority, dir) = (Authority::new(), tempfile::tempdir().unwrap());
    authority
        .issue_with(dir.path(), "old", &["a.example"], |params| params.not_after = rcgen::date_time_ymd(2020, 1, 1));
    let path = dir.path().join("old").display().to_string();
    let section = format!("[[tls.certificates]]\ncertificate = \"{path}.crt\"\nprivate_key = \"{path}.key\"\n");
    let setup = Site::build().tls(&section).listen("handshake_timeout = \"9s\"\n");
    let process = Process::start(&setup, "access = \"off\"");
    let told = |said: &str| ["has expired", "listen.handshake_timeout"].map(|doubt| said.matches(doubt).count());
    assert_eq!(told(&process.logged("admin on")), [1, 1]);
    reload(&process, |text| text);
    let said = process.stop();
    assert_eq!(told(&said), [2, 2], "{said}");
}
