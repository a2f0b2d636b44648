//! Whatever arrives, the bytes that go upstream are one well-formed request a request, and nothing hidden in a body
//! ever becomes a request of its own. A table, held against a gateway in front of a backend that records every byte.

#[path = "hygiene/answers.rs"]
mod answers;
#[path = "hygiene/bodies.rs"]
mod bodies;
#[path = "hygiene/case.rs"]
mod case;
#[path = "hygiene/fields.rs"]
mod fields;
#[path = "hygiene/frames.rs"]
mod frames;
#[path = "hygiene/heads.rs"]
mod heads;
#[path = "hygiene/http2.rs"]
mod http2;
#[path = "hygiene/recorder.rs"]
mod recorder;
#[path = "hygiene/streams.rs"]
mod streams;
#[path = "hygiene/strict.rs"]
mod strict;
#[path = "support/mod.rs"]
mod support;

use std::collections::BTreeSet;

use case::{Arrival, Stand, hold_all};

const EVERY: &[Arrival] = &[Arrival::Whole, Arrival::Secured, Arrival::Dribbled];

#[test]
fn the_table_is_long_enough_to_be_one_and_names_no_row_twice() {
    let http1 = [heads::cases(), fields::cases(), bodies::cases()].into_iter().flatten();
    let http1: Vec<_> = http1.map(|case| case.name).collect();
    let http2: Vec<_> = http2::cases().into_iter().map(|case| case.name).collect();
    let answers = answers::names();
    for (names, least) in [(http1, 250), (http2, 120), (answers, 50)] {
        let distinct: BTreeSet<_> = names.iter().collect();
        assert!(names.len() >= least, "{} rows: {names:?}", names.len());
        assert_eq!(distinct.len(), names.len());
    }
}

#[test]
fn heads_are_one_request_or_none() {
    hold_all(&Stand::start(), &heads::cases(), EVERY);
}

#[test]
fn header_lines_are_what_everybody_reads() {
    hold_all(&Stand::start(), &fields::cases(), EVERY);
}

#[test]
fn bodies_end_where_everybody_sees_them_end() {
    hold_all(&Stand::start(), &bodies::cases(), EVERY);
}

#[test]
fn http2_requests_are_one_request_or_none() {
    http2::hold_all(&Stand::start());
}

#[test]
fn answers_are_one_answer_to_every_client_or_502() {
    answers::hold_all(&Stand::with(|setup| setup.session("guest_cookie = false")));
}

#[test]
fn an_answer_that_breaks_off_does_not_look_whole_to_http_1_0() {
    answers::hold_broken(&Stand::start());
}
