//! Whoever steals a copy of Redis has stolen no session.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use session_gateway::session::{KeyRing, Kind, Secret, Ticket, UnixTime};
use std::collections::BTreeSet;
use std::fs;

use crate::support::redis::{Dump, Redis};
use crate::support::*;

/// Every kind of entry there is, and the browsers whose tickets are or were behind them.
fn everything() -> (Site, Vec<[u8; 32]>) {
    let site = Site::build().session("idle_timeout = \"4h\"").redis(Redis::start(), "").start();
    let mut secrets = Vec::new();
    let mut note = |browser: &Browser| secrets.push(browser.ticket().secret);
    let (alice, bob, cart) = (site.login("alice"), site.login("bob"), site.keep(r#"{"cart":["apple"]}"#));
    let guest = site.guest();
    [&alice, &bob, &cart, &guest].into_iter().for_each(&mut note);
    site.login_as(&guest, "carol");
    note(&guest);
    site.wait(3601);
    site.look(&alice);
    note(&alice);
    site.logout(&bob);
    (site, secrets)
}

/// Every string that is in the dump, in a part of one, or written another way in it.
fn pieces(dump: &Dump) -> BTreeSet<Vec<u8>> {
    let mut pieces = BTreeSet::new();
    for string in dump.strings() {
        let words = string.split(|byte| b" :,{}[]\"".contains(byte)).chain([string]);
        for word in words.filter(|word| !word.is_empty()) {
            pieces.insert(word.to_vec());
            for engine in [URL_SAFE_NO_PAD, STANDARD_NO_PAD] {
                pieces.extend(engine.decode(word));
            }
        }
    }
    pieces
}

#[test]
fn a_dump_contains_no_secret_however_written() {
    let (mut site, secrets) = everything();
    let dump = site.redis().dump();
    let stored: Vec<_> = dump.strings().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect();
    let decoded = pieces(&dump);
    assert!(secrets.len() == 6 && stored.len() > 30, "{} strings", stored.len());
    for secret in secrets {
        let part = |piece: &Vec<u8>| piece.windows(16).any(|part| part == &secret[..16] || part == &secret[16..]);
        assert!(!decoded.iter().any(part), "half of a secret is stored");
        for written in ways_to_write(&secret) {
            assert!(!stored.iter().any(|string| string.contains(&written)), "a secret is stored");
        }
    }
}

/// The thief even has the key that signs tickets.
#[test]
fn no_piece_of_a_dump_makes_a_ticket() {
    let (mut site, _) = everything();
    let key = fs::read(site.dir().join("1.key")).expect("the gateway's key");
    let ring = KeyRing::new(&[key.trim_ascii_end()], COOKIE).expect("a key");
    let dump = site.redis().dump();
    let pieces = pieces(&dump);
    let mut cookies = BTreeSet::new();
    let mut sign = |secret: [u8; 32]| {
        let issued_at = UnixTime(site.now());
        let ticket = Ticket { kind: Kind::Session, issued_at, secret: Secret::from(secret) };
        cookies.insert(ticket.sign(&ring).as_bytes().to_vec());
    };
    for piece in &pieces {
        for part in piece.windows(32) {
            sign(part.try_into().expect("32 bytes"));
        }
        if piece.len() < 32 {
            let mut padded = [0; 32];
            padded[..piece.len()].copy_from_slice(piece);
            sign(padded);
            padded[..16].copy_from_slice(&[0; 16]);
            let tail = piece.len().min(16);
            padded[16..16 + tail].copy_from_slice(&piece[..tail]);
            sign(padded);
        }
    }
    let signed = cookies.len();
    // And as they stand, should one of them be a cookie already.
    for piece in &pieces {
        cookies.insert(piece.clone());
        cookies.extend(piece.windows(96).map(<[u8]>::to_vec));
    }
    assert!(signed > 100, "only {signed} tickets");
    for cookie in cookies {
        let Ok(cookie) = String::from_utf8(cookie) else { continue };
        if !cookie.bytes().all(|byte| byte.is_ascii_graphic() && !b"\",;\\".contains(&byte)) {
            continue;
        }
        let thief = site.browser();
        thief.plant(COOKIE, &cookie);
        site.look(&thief).assert_stranger();
    }
    // The same way, a real secret gets in.
    let alice = site.login("alice");
    let ticket = Ticket { kind: Kind::Session, issued_at: UnixTime(site.now()), secret: alice.ticket().secret.into() };
    let thief = site.browser();
    thief.plant(COOKIE, str::from_utf8(ticket.sign(&ring).as_bytes()).expect("ASCII"));
    assert_eq!(site.look(&thief).user(), Some("alice"));
}
