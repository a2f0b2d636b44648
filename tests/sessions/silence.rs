//! What a log may show: nothing of a secret, an id, a user or data.

use std::fmt::{Debug, Display};
use std::io;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use session_gateway::proxy::error::Error;
use session_gateway::proxy::headers::{self, ChangeError, Names, Unframed, take_change};
use session_gateway::proxy::upstream::{self, Trust};
use session_gateway::session::ticket::Signed;
use session_gateway::session::{End, Entry, KeyRing, PublicId, Ticket};
use session_gateway::sessions;
use session_gateway::store::{EditRules, Replace};

use super::desk::*;
use super::support::ways_to_write;

const USER: &str = "alice-liddell";
const KEY: &str = "kept-key";
const VALUE: &str = "kept-value";

/// What is nobody's business, and what was written.
#[derive(Default)]
struct Log {
    secrets: Vec<String>,
    written: Vec<String>,
}

impl Log {
    /// Neither the text is to be shown, nor its bytes in any writing.
    fn hide(&mut self, text: &[u8]) {
        self.secrets.extend(ways_to_write(text));
        self.secrets.extend(std::str::from_utf8(text).map(str::to_owned));
    }

    /// Nor what it is base64url of.
    fn hide_base64(&mut self, text: &[u8]) {
        self.hide(text);
        self.hide(&URL_SAFE_NO_PAD.decode(text).expect("base64url"));
    }

    /// Nor the secret in a ticket, nor what is derived from it.
    fn hide_ticket(&mut self, desk: &Desk, ticket: &Signed) {
        self.hide_base64(ticket.as_bytes());
        self.hide(&URL_SAFE_NO_PAD.decode(ticket.as_bytes()).expect("base64url")[8..40]);
        self.hide_base64(&PublicId::from(desk.key(ticket)).text());
    }

    fn debug(&mut self, value: &impl Debug) {
        self.written.push(format!("{value:?}"));
        self.written.push(format!("{value:#?}"));
    }

    fn error(&mut self, error: &(impl Debug + Display)) {
        self.debug(error);
        self.written.push(error.to_string());
    }

    fn assert_silent(&self) {
        assert!(self.secrets.len() > 20 && self.written.len() > 20);
        // What stands in one line or in many is the same without white space.
        let folded = |text: &str| text.split_whitespace().collect::<String>();
        let secrets: Vec<String> = self.secrets.iter().map(|secret| folded(secret)).collect();
        for text in &self.written {
            let shown = secrets.iter().find(|secret| folded(text).contains(secret.as_str()));
            assert_eq!(shown, None, "is shown in {text}");
        }
    }
}

fn log() -> Log {
    let mut log = Log::default();
    for text in [USER, KEY, VALUE] {
        log.hide(text.as_bytes());
    }
    log
}

fn kept() -> String {
    format!(r#"{{"{KEY}":"{VALUE}"}}"#)
}

#[test]
fn no_debug_of_a_visit_a_session_or_a_change_shows_whose_it_is_or_what_is_in_it() {
    let (desk, mut log) = (Desk::new(), log());
    let (stranger, guest, live) = (desk.stranger(START), desk.guest(START), desk.login(USER, START));
    let change = patch(&kept());
    desk.ask(&live, &change, START);
    let (superseded, live) = (live.clone(), set(desk.ask(&live, &log_in(USER), START)));
    let lost = Desk::new().login(USER, START);
    let ended = desk.login(USER, START);
    desk.ask(&ended, &end(End::This), START);
    log.hide_base64(&stranger.id().text());
    for ticket in [&guest, &superseded, &live, &lost, &ended] {
        log.hide_ticket(&desk, ticket);
        let visit = desk.visit(ticket, START);
        log.hide_base64(&visit.id().text());
        log.debug(&visit);
        log.debug(&visit.standing);
        log.debug(visit.id());
        log.debug(&Ticket::verify(ticket.as_bytes(), &desk.ring));
        log.debug(ticket);
        log.debug(&desk.key(ticket));
        log.debug(&ready(desk.store.load(&desk.key(ticket), START)));
    }
    log.debug(&stranger);
    log.debug(&desk.commit(&stranger, &nothing(), START));

    let session = desk.session(&live, START);
    assert_eq!((session.user.as_deref(), session.data.as_str()), (Some(USER), kept().as_str()));
    log.debug(&session.data);
    let (old, new) = (desk.key(&live), desk.key(&guest));
    let leave = Entry::Superseded { until: START };
    log.debug(&Replace { old: &old, seen: Some(1), leave, new: &new, session: session.clone() });
    log.debug(&session);
    log.debug(&change);
    log.debug(&log_in(USER));
    let rules = EditRules { birth: None, max_data: 1000 };
    log.debug(&ready(desk.store.edit(&old, &change.edit, rules, START)));
    log.debug(&ready(desk.store.by_user(USER, START)));
    set(desk.ask(&live, &nothing(), at(RENEWAL_DUE)));
    log.debug(&ready(desk.store.load(&old, at(RENEWAL_DUE))));
    log.debug(&ready(desk.store.end(&old, false, START, at(RENEWAL_DUE))));
    log.debug(&desk.sessions);
    log.assert_silent();
}

/// What a response's malformed headers are refused with.
fn refusals() -> Vec<ChangeError> {
    let prefix = "X-Session-".to_owned();
    let names = Names::new(&headers::Settings { prefix, data_budget: 6144 }).expect("header names");
    let long = format!("{USER}{}", "x".repeat(300));
    let responses: [&[(&str, &str)]; 9] = [
        &[("patch", &kept()[1..])],
        &[("user", &format!("{USER}\t{VALUE}"))],
        &[("user", &long)],
        &[("end", VALUE)],
        &[("renew", VALUE)],
        &[("persist", VALUE)],
        &[("user", USER), ("user", USER)],
        &[("unknown", VALUE)],
        &[("user", USER), ("end", "this")],
    ];
    let refusal = |response: &&[(&str, &str)]| {
        let mut map = HeaderMap::new();
        for (name, value) in *response {
            let name = HeaderName::try_from(format!("x-session-{name}")).expect("a name");
            map.append(name, HeaderValue::from_str(value).expect("a value"));
        }
        take_change(&mut map, &names, Trust::Full, StatusCode::OK).expect_err("it is malformed")
    };
    responses.iter().map(refusal).collect()
}

#[test]
fn no_error_shows_a_secret_an_id_a_user_or_data() {
    let mut log = log();
    let upstream = || "app".to_owned();
    for source in refusals() {
        log.error(&source.why);
        log.error(&source);
        log.error(&Error::Change { upstream: upstream(), source });
    }

    // What does not fit one session, and what does not fit the memory.
    let desk = Desk::with_room_for(1);
    let ticket = desk.login(USER, START);
    log.hide_ticket(&desk, &ticket);
    let large = patch(&format!(r#"{{"{KEY}":"{VALUE}{}"}}"#, "x".repeat(1000)));
    let visit = desk.visit(&ticket, START);
    let over = desk.try_commit(&visit, &large, START).expect_err("more than 1000 bytes");
    let full = desk.try_commit(&desk.stranger(START), &log_in(USER), START).expect_err("there is room for one");
    for source in [over, full, sessions::Error::Contended] {
        log.error(&source);
        log.error(&Error::Session { upstream: upstream(), source });
    }

    // Tickets that are none, and keys that are none.
    let other = KeyRing::new(&[[2; 32]], "__Host-sid").expect("a key");
    let mut forged = *ticket.as_bytes();
    forged[90] ^= 1;
    for (value, ring) in [(&forged[..], &*desk.ring), (&forged[..95], &*desk.ring), (&ticket.as_bytes()[..], &other)] {
        log.error(&Ticket::verify(value, ring).expect_err("it is no ticket of this ring's"));
    }
    let key = b"a-key-of-32-bytes-and-a-few-more";
    log.hide(key);
    log.hide(&key[..31]);
    for keys in [&[][..], &[&key[..31]], &[&key[..], &key[..]]] {
        log.error(&KeyRing::new(keys, "__Host-sid").expect_err("no keys for a ring"));
    }
    log.error(&KeyRing::new(&[key], &"x".repeat(256)).expect_err("a long name"));
    log.debug(&KeyRing::new(&[key], "__Host-sid").expect("a key"));

    let (server, timeout) = ("http://127.0.0.1:9".to_owned(), Duration::from_secs(1));
    let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
    for source in [
        upstream::Error::Connect { server: server.clone(), source: refused },
        upstream::Error::ConnectTimeout { server, timeout },
        upstream::Error::ResponseTimeout(timeout),
        upstream::Error::Closed,
        upstream::Error::Malformed(upstream::Malformed::UnaskedUpgrade),
        upstream::Error::Malformed(upstream::Malformed::Coding),
    ] {
        log.error(&source);
        log.error(&Error::Upstream { upstream: upstream(), source });
    }
    for error in [Error::Host, Error::Path, Error::Method, Error::Unframed(Unframed::Coding), Error::NoRoute] {
        log.error(&error);
    }
    log.assert_silent();
}
