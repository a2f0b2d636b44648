//! Flask's own session where requests of one visitor overlap: what the gateway can promise of a value that it cannot
//! read, and what it cannot.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::process::Child;
use std::time::SystemTime;

use crate::stand::{Door, Mode, Stand};
use crate::support::eventually;
use crate::table::{App, FLASK, FLASK_PERMANENT, FLASK_SESSION};
use crate::tools;
use crate::visitor::{Answer, Visitor};

/// A request that has read its session, and that goes on when the test lets it.
struct Slow {
    gate: TcpStream,
    curl: Child,
}

impl Slow {
    /// Begins one with a copy of the visitor's cookies; with fields it writes, without it reads.
    fn begin(of: &Visitor<'_>, path: &str, fields: &[(&str, &str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a listener");
        let port = listener.local_addr().expect("a bound address").port();
        let curl = of.stolen("slow").send(&format!("{path}?gate={port}"), fields);
        let (gate, _) = eventually("the application waits", || listener.accept().ok());
        Self { gate, curl }
    }

    fn write(of: &Visitor<'_>) -> Self {
        Self::begin(of, "/notes/slow", &[("text", "late")])
    }

    fn end(mut self) -> Answer {
        self.gate.write_all(b".").expect("the application waits");
        let output = self.curl.wait_with_output().expect("curl runs");
        assert!(output.status.success(), "curl: {}", output.status);
        let answer = Answer::parse(&output.stdout);
        assert_eq!(answer.status, 200, "{answer:?}");
        answer
    }

    /// The same where the answer must set no cookie.
    fn end_in_silence(self) -> Answer {
        let answer = self.end();
        assert_eq!(answer.sets(), [""; 0], "{answer:?}");
        answer
    }
}

fn each(apps: &[&'static App], promise: impl Fn(&Door)) {
    for app in apps {
        if !tools::skipped() {
            promise(&Stand::start(app).open(Mode::Enforce));
        }
    }
}

fn note(visitor: &Visitor<'_>, name: &str, text: &str) {
    let answer = visitor.post(&format!("/notes/{name}"), &[("text", text)]);
    assert_eq!((answer.status, &*answer.body), (200, "noted"));
}

fn notes(visitor: &Visitor<'_>) -> String {
    visitor.get("/notes").body
}

#[test]
fn a_logout_of_flask_holds_against_an_answer_to_an_earlier_request() {
    // Flask-Session does not, by itself: the late answer brings the session back in its Redis.
    each(&[&FLASK, &FLASK_PERMANENT, &FLASK_SESSION], |door| {
        let visitor = Visitor::new(door, "alice");
        visitor.log_in();
        let thief = visitor.stolen("thief");
        let slow = Slow::write(&visitor);
        visitor.log_out();
        slow.end_in_silence();
        for browser in [&visitor, &thief] {
            assert!(!browser.is_logged_in());
            assert_eq!(notes(browser), "");
        }
    });
}

#[test]
fn a_login_to_flask_holds_against_an_answer_to_an_earlier_request() {
    each(&[&FLASK, &FLASK_PERMANENT], |door| {
        let visitor = Visitor::new(door, "alice");
        // One with no session, one with a session of nobody's, and one who is logged in already.
        let before: [&dyn Fn(); 3] = [&|| drop(visitor.get("/")), &|| note(&visitor, "early", "x"), &|| {}];
        for (prepare, kept) in before.iter().zip(["", "early: x\n", "early: x\n"]) {
            prepare();
            let slow = Slow::write(&visitor);
            visitor.log_in();
            slow.end_in_silence();
            assert!(visitor.is_logged_in());
            assert_eq!(notes(&visitor), kept);
        }
    });
}

#[test]
fn an_answer_that_only_read_flask_s_session_overwrites_no_newer_one() {
    // A permanent session is signed anew in every answer.
    each(&[&FLASK, &FLASK_PERMANENT], |door| {
        let visitor = Visitor::new(door, "alice");
        visitor.log_in();
        note(&visitor, "early", "x");
        let slow = Slow::begin(&visitor, "/notes", &[]);
        note(&visitor, "early", "y");
        // The time in the signature is in seconds; within one, the late answer would be as the first.
        let begun = second();
        eventually("the next second", || (second() > begun).then_some(()));
        assert_eq!(slow.end().body, "early: x\n");
        assert_eq!(notes(&visitor), "early: y\n");
        assert!(visitor.is_logged_in());
    });
}

fn second() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().expect("it is past 1970").as_secs()
}

#[test]
fn of_two_edits_of_flask_s_session_at_once_the_later_answer_wins_as_in_a_browser() {
    each(&[&FLASK], |door| {
        let visitor = Visitor::new(door, "alice");
        visitor.log_in();
        note(&visitor, "early", "x");
        let slow = Slow::write(&visitor);
        note(&visitor, "fast", "y");
        assert_eq!(notes(&visitor), "early: x\nfast: y\n");
        slow.end();
        // The other edit is lost; nothing else is.
        assert_eq!(notes(&visitor), "early: x\nslow: late\n");
        assert!(visitor.is_logged_in());
    });
}
