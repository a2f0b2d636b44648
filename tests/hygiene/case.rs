//! What a row of the table is, and how it is held against a running gateway.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::recorder::Recorder;
use super::strict::Request;
use super::support::browser::Door;
use super::support::wire::Wire;
use super::support::{Setup, Site};

/// What a client sends, and what becomes of it.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// Where it is written.
    pub(crate) rfc: &'static str,
    pub(crate) bytes: Vec<u8>,
    pub(crate) expected: Expected,
}

/// What becomes of it. Whatever it is, the backend gets nothing else.
#[derive(Clone)]
pub(crate) enum Expected {
    /// This status, then the end of the connection. No request reaches the backend, and what follows is never answered.
    Refused(u16),
    /// The end of the connection, with 400 or without.
    Cut,
    /// The backend gets these requests and no others, each is answered with 200, and what follows is served.
    Passed(Vec<Passed>),
    /// The same, but the connection ends.
    PassedLast(Passed),
}

/// What the backend gets of one request.
#[derive(Clone, Default)]
pub(crate) struct Passed {
    start: &'static str,
    has: Vec<(&'static str, &'static str)>,
    lacks: Vec<&'static str>,
    body: Vec<u8>,
    trailers: Vec<(&'static str, &'static str)>,
}

/// A request with this first line, without a body.
pub(crate) fn passed(start: &'static str) -> Passed {
    Passed { start, ..Passed::default() }
}

impl Passed {
    pub(crate) fn has(mut self, name: &'static str, value: &'static str) -> Self {
        self.has.push((name, value));
        self
    }

    pub(crate) fn lacks(mut self, name: &'static str) -> Self {
        self.lacks.push(name);
        self
    }

    pub(crate) fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = body.as_ref().to_vec();
        self
    }

    /// The trailers are these and no others.
    pub(crate) fn trailer(mut self, name: &'static str, value: &'static str) -> Self {
        self.trailers.push((name, value));
        self
    }

    /// Fails unless this is it.
    pub(crate) fn assert_is(&self, seen: &Request) {
        assert_eq!(seen.start, self.start, "the request line at the backend");
        for (name, value) in &self.has {
            let values: Vec<_> = seen.fields.iter().filter(|(n, _)| n == name).map(|(_, value)| &value[..]).collect();
            assert_eq!(values, [value.as_bytes()], "{name} at the backend: {seen:?}");
        }
        for name in &self.lacks {
            assert!(!seen.fields.iter().any(|(n, _)| n == name), "{name} should not reach the backend: {seen:?}");
        }
        assert_eq!(seen.body, self.body, "the body at the backend: {seen:?}");
        let trailers: Vec<_> = seen.trailers.iter().map(|(name, value)| (&name[..], &value[..])).collect();
        let expected: Vec<_> = self.trailers.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
        assert_eq!(trailers, expected, "the trailers at the backend");
    }
}

/// A row.
pub(crate) fn case(name: &'static str, rfc: &'static str, bytes: impl AsRef<[u8]>, expected: Expected) -> Case {
    Case { name, rfc, bytes: bytes.as_ref().to_vec(), expected }
}

/// A gateway before a backend that records.
pub(crate) struct Stand {
    pub(crate) site: Site,
    pub(crate) recorder: Recorder,
}

impl Stand {
    pub(crate) fn start() -> Self {
        Self::with(|setup| setup)
    }

    pub(crate) fn with(change: impl FnOnce(Setup) -> Setup) -> Self {
        let recorder = Recorder::start();
        // One worker: it takes in what it is sent in order, so that a later request finds all earlier ones taken in.
        let setup = Site::build().listen("workers = 1").servers(&[recorder.server()]);
        Self { site: change(setup).start(), recorder }
    }

    /// Everything that has reached the backend since the last time this was asked.
    pub(crate) fn seen(&self) -> Vec<Request> {
        let mut wire = self.site.http().open();
        wire.send(b"GET /sentinel HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert_eq!(status(&mut wire, "GET"), Some(200), "the sentinel");
        self.recorder.until("/sentinel")
    }

    /// Fails unless the backend got these requests and no others.
    pub(crate) fn assert_seen(&self, expected: &[Passed]) {
        let seen = self.seen();
        assert_eq!(seen.len(), expected.len(), "requests at the backend: {seen:#?}");
        for (seen, expected) in seen.iter().zip(expected) {
            expected.assert_is(seen);
        }
    }
}

/// The status of the next answer, which is read to its end; None where the connection has ended.
pub(crate) fn status(wire: &mut Wire, method: &str) -> Option<u16> {
    loop {
        let head = wire.head().expect("an answer, or the end of the connection, should have come by now")?;
        if head.status() == 100 {
            continue;
        }
        let body = wire.body(head.response_body(method)).expect("the answer's body should have come by now");
        assert!(body.complete, "the answer was cut short: {head:?}");
        return Some(head.status());
    }
}

/// How a client's bytes arrive.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Arrival {
    /// In one piece, in clear text.
    Whole,
    /// In one piece, over TLS.
    Secured,
    /// In many small ones, in clear text.
    Dribbled,
}

impl Arrival {
    fn send(self, stand: &Stand, bytes: &[u8]) -> Wire {
        let door: Door = match self {
            Self::Secured => stand.site.https(),
            Self::Whole | Self::Dribbled => stand.site.http(),
        };
        let mut wire = door.open();
        let piece = if matches!(self, Self::Dribbled) { (bytes.len() / 400).max(1) } else { bytes.len() };
        for piece in bytes.chunks(piece) {
            // The gateway may have said its last word.
            if !wire.send(piece) {
                break;
            }
        }
        wire
    }
}

/// What follows every row on its connection.
const NEXT: &[u8] = b"GET /next HTTP/1.1\r\nHost: localhost\r\n\r\n";

impl Case {
    fn hold(&self, stand: &Stand, arrival: Arrival) {
        let method = self.bytes.split(|byte| *byte == b' ').next().unwrap_or_default();
        let method = String::from_utf8_lossy(method).trim().to_owned();
        let mut wire = arrival.send(stand, &[&self.bytes, NEXT].concat());
        let (answers, mut requests) = match &self.expected {
            Expected::Refused(status) => (vec![*status], vec![]),
            Expected::Cut => (vec![], vec![]),
            Expected::Passed(requests) => (vec![200; requests.len() + 1], requests.clone()),
            Expected::PassedLast(request) => (vec![200], vec![request.clone()]),
        };
        let closes = matches!(self.expected, Expected::Refused(_) | Expected::Cut | Expected::PassedLast(_));
        for (number, expected) in answers.into_iter().enumerate() {
            let method = if number == 0 { &method } else { "GET" };
            assert_eq!(status(&mut wire, method), Some(expected), "the client's answer number {number}");
        }
        if closes {
            let rest = wire.rest().expect("the connection should have ended by now");
            let refused = matches!(self.expected, Expected::Cut) && rest.starts_with(b"HTTP/1.1 400 ");
            assert!(rest.is_empty() || refused, "after the last answer: {:?}", String::from_utf8_lossy(&rest));
        } else if matches!(self.expected, Expected::Passed(_)) {
            requests.push(passed("GET /next HTTP/1.1"));
        }
        stand.assert_seen(&requests);
    }
}

/// Holds every row against the gateway, however it arrives; fails with all that do not hold.
pub(crate) fn hold_all(stand: &Stand, cases: &[Case], arrivals: &[Arrival]) {
    let mut broken = Vec::new();
    for case in cases {
        assert!(case.rfc.starts_with("RFC "), "{}: where is it written?", case.name);
        for arrival in arrivals {
            let held = catch_unwind(AssertUnwindSafe(|| case.hold(stand, *arrival)));
            if let Err(why) = held {
                let why = why.downcast_ref::<String>().cloned().unwrap_or_else(|| "it panicked".to_owned());
                broken.push(format!("{} ({arrival:?}, {}): {why}", case.name, case.rfc));
                // What it left behind is not the next one's.
                let _ = catch_unwind(AssertUnwindSafe(|| stand.seen()));
            }
        }
    }
    assert!(broken.is_empty(), "{} do not hold:\n\n{}", broken.len(), broken.join("\n\n"));
}
