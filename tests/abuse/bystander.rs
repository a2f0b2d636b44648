//! Somebody who only wants to be served.

use std::thread;
use std::time::{Duration, Instant};

use super::support::browser::Door;

/// How long its requests took, in order of that.
pub(crate) struct Bystander(Vec<Duration>);

impl Bystander {
    /// Asks again and again for so long, on one connection.
    pub(crate) fn measure(door: &Door, span: Duration) -> Self {
        let mut wire = door.open();
        let (start, mut took) = (Instant::now(), Vec::new());
        while start.elapsed() < span {
            let asked = Instant::now();
            wire.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
            let head = wire.head().expect("an answer in time").expect("an answer");
            assert_eq!(head.status(), 200);
            wire.body(head.response_body("GET")).expect("its body");
            took.push(asked.elapsed());
            thread::sleep(Duration::from_millis(2));
        }
        took.sort();
        Self(took)
    }

    fn at(&self, percent: usize) -> Duration {
        self.0[(self.0.len() - 1) * percent / 100]
    }

    /// The one of the two that had to wait longer.
    pub(crate) fn or(self, other: Self) -> Self {
        if self.at(99) > other.at(99) { self } else { other }
    }

    /// Fails if it has to wait for 10 ms because of the others. A machine that is busy with something else makes it
    /// wait, too.
    pub(crate) fn assert_as_good_as(&self, alone: &Self) {
        // Who is answered in 10 ms asks 80 times a second.
        for bystander in [self, alone] {
            assert!(bystander.0.len() >= 80, "answered no more than {} times", bystander.0.len());
        }
        for percent in [50, 90, 99] {
            let (took, before) = (self.at(percent), alone.at(percent));
            assert!(took < Duration::from_millis(10) + 2 * before, "{took:?} at {percent} %, {before:?} alone");
        }
    }
}
