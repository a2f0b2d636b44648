//! Two programs merge jars: `Jar::changed` in memory, and a script in Redis. Whatever is asked of them, they agree.

use std::cell::Cell;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use session_gateway::session::jar::{Changes, Kept, MOST_BYTES, MOST_COOKIES, MOST_DELETIONS, Name, SameSite, To};
use session_gateway::session::{Edit, Patch, Session, UnixTime};
use session_gateway::store::{Edited, Error};

use super::stand::*;

/// What one response asks.
#[derive(Clone, Debug)]
struct Step {
    /// Seconds since the one before.
    after: u64,
    /// How many versions ago its request was; none where it saw no session.
    ago: Option<u32>,
    cookies: Vec<(Name, To)>,
    patch: Option<&'static str>,
}

/// Which of the paths through a merge were taken, and how often.
#[derive(Default)]
struct Taken {
    over: Cell<u32>,
    emptied: Cell<u32>,
    dead: Cell<u32>,
    full: Cell<u32>,
    forgotten: Cell<u32>,
    wrapped: Cell<u32>,
}

fn count(counter: &Cell<u32>, is: bool) {
    counter.set(counter.get() + u32::from(is));
}

fn names(most: usize) -> impl Strategy<Value = Name> {
    let names = (0..most).prop_map(|index| match index {
        0 => Vec::new(),
        1 => b"a \xff\t.*%-+[]".to_vec(),
        index => format!("c{index}").into_bytes(),
    });
    (names, 0..40_u8).prop_map(|(name, kind)| Name {
        upstream: if kind == 0 { "other" } else { "app" }.into(),
        domain: "h.test".into(),
        host_only: kind != 1,
        path: if kind == 2 { &b"/a%b"[..] } else { b"/" }.into(),
        name: name.into(),
    })
}

fn kept() -> impl Strategy<Value = Kept> {
    let byte = any::<u8>().prop_filter("sendable", |byte| !b"\n\r\0".contains(byte));
    let small = proptest::collection::vec(byte, 0..6);
    let large = (any::<bool>(), 3000..4096_usize).prop_map(|(odd, length)| vec![if odd { 0xff } else { b'x' }; length]);
    let expires = proptest::option::weighted(0.2, 0..90_u64).prop_map(|after| after.map(at));
    let same_site = [SameSite::Default, SameSite::None, SameSite::Lax, SameSite::Strict];
    let value = prop_oneof![30 => small, 1 => large];
    (value, expires, any::<bool>(), 0..4_usize).prop_map(move |(value, expires, secure, index)| Kept {
        value: value.into(),
        expires,
        secure,
        same_site: same_site[index],
    })
}

/// Few names that are met again and again, or so many that the limits are.
fn steps() -> impl Strategy<Value = Vec<Step>> {
    let of = |names_of: usize, cookies: usize| {
        let to =
            prop_oneof![4 => kept().prop_map(To::Set), 2 => kept().prop_map(To::Refreshed), 3 => Just(To::Deleted)];
        let cookies = proptest::collection::vec((names(names_of), to), 1..cookies);
        let ago = prop_oneof![3 => Just(Some(0)), 3 => (1..4_u32).prop_map(Some), 1 => Just(None)];
        let after = prop_oneof![5 => Just(0), 4 => 1..20_u64, 1 => 50..200_u64];
        let patch = proptest::option::weighted(0.3, proptest::sample::select(&[r#"{"a":1}"#, r#"{"a":null}"#][..]));
        let step = (after, ago, cookies, patch);
        let step = step.prop_map(|(after, ago, cookies, patch)| Step { after, ago, cookies, patch });
        proptest::collection::vec(step, 1..12)
    };
    prop_oneof![of(4, 4), of(12, 8), of(120, 90)]
}

/// The version that a session has before all, where there is one: stamps come to their end, too.
fn begins() -> impl Strategy<Value = Option<u32>> {
    prop_oneof![3 => Just(None), 1 => Just(Some(0)), 1 => (u32::MAX - 6..=u32::MAX).prop_map(Some)]
}

#[test]
fn jars_are_merged_alike_in_memory_and_in_redis() {
    let (redis, taken) = (Stand::redis(), Taken::default());
    let config = ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() };
    // Always the same cases: that they meet every path is no matter of luck.
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let outcome = runner.run(&(begins(), steps()), |(begins, steps)| block_on(agree(&redis, begins, &steps, &taken)));
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
    let Taken { over, emptied, dead, full, forgotten, wrapped } = &taken;
    for (path, counter) in [
        ("over the limit", over),
        ("emptied", emptied),
        ("a dead ticket", dead),
        ("as many cookies as there may be", full),
        ("as many deletions as are remembered", forgotten),
        ("the last version and the first", wrapped),
    ] {
        assert!(counter.get() > 0, "no case has met {path}");
    }
}

async fn agree(redis: &Stand, begins: Option<u32>, steps: &[Step], taken: &Taken) -> Result<(), TestCaseError> {
    let (memory, redis, key) = (Stand::memory().worker(), redis.worker(), key());
    let mut now = NOW;
    let mut version = begins.unwrap_or_default();
    if begins.is_some() {
        let session = Session { version, ..Session::new(key, now) };
        for store in [&memory, &redis] {
            store.insert(&key, session.clone()).await.unwrap();
        }
    }
    for step in steps {
        now = now.after(Duration::from_secs(step.after));
        let seen = step.ago.map(|ago| version.wrapping_sub(ago));
        let mut changes = Changes::new(seen, now, UnixTime(now.0 + 60));
        for (name, to) in &step.cookies {
            changes.push(name.clone(), to.clone());
        }
        let patch = step.patch.map(|patch| Patch::parse(patch.as_bytes()).unwrap());
        let edit = Edit { patch, persist: None, jar: Some(Box::new(changes)) };
        let here = memory.edit(&key, &edit, RULES, now).await;
        let there = redis.edit(&key, &edit, RULES, now).await;
        same(&here, &there, step)?;
        let [here_now, there_now] = [live(&memory, &key, now).await, live(&redis, &key, now).await];
        prop_assert!(here_now == there_now, "after {step:?}:\n{here_now:?}\n{there_now:?}");

        count(&taken.over, matches!(here, Err(Error::JarOverLimit)));
        count(&taken.emptied, matches!(here, Ok(Edited::Emptied)));
        count(&taken.dead, matches!(here, Ok(Edited::Dead)));
        if let Some(session) = here_now {
            let cookies = session.jar.names().count();
            count(&taken.full, cookies == MOST_COOKIES);
            count(&taken.forgotten, session.jar.fields().count() == cookies + MOST_DELETIONS);
            count(&taken.wrapped, session.version < version);
            version = session.version;
        }
    }
    Ok(())
}

/// The same answer, with the same session to its last byte.
fn same(here: &Result<Edited, Error>, there: &Result<Edited, Error>, step: &Step) -> Result<(), TestCaseError> {
    let fields = |answer: &Result<Edited, Error>| match answer {
        Ok(Edited::Live(session) | Edited::Born(session)) => session.jar.fields().collect(),
        _ => Vec::new(),
    };
    let both = [here, there].map(fields);
    prop_assert!(both[0] == both[1], "after {step:?}:\n{both:?}");
    prop_assert!(here == there, "after {step:?}:\n{here:?}\n{there:?}");
    Ok(())
}

#[test]
fn both_know_the_same_limits() {
    let redis = Stand::redis();
    let cookie = |index: usize, length: usize| {
        let name = format!("c{index:03}").into_bytes().into();
        let name =
            Name { upstream: "app".into(), domain: "h.test".into(), host_only: true, path: b"/"[..].into(), name };
        let value = vec![b'x'; length].into();
        (name, To::Set(Kept { value, expires: None, secure: true, same_site: SameSite::Lax }))
    };
    block_on(async {
        let full = MOST_BYTES / 4;
        for (cookies, fits) in [
            ((0..MOST_COOKIES).map(|index| cookie(index, 0)).collect::<Vec<_>>(), true),
            ((0..=MOST_COOKIES).map(|index| cookie(index, 0)).collect(), false),
            ((0..4).map(|index| cookie(index, full - 4)).collect(), true),
            ((0..4).map(|index| cookie(index, full - 4 + usize::from(index == 0))).collect(), false),
        ] {
            for store in [Stand::memory().worker(), redis.worker()] {
                let mut changes = Changes::new(None, NOW, at(60));
                for (name, to) in &cookies {
                    changes.push(name.clone(), to.clone());
                }
                let edit = Edit { jar: Some(Box::new(changes)), ..Edit::default() };
                let edited = store.edit(&key(), &edit, RULES, NOW).await;
                assert_eq!(matches!(edited, Ok(Edited::Born(_))), fits, "{} cookies: {edited:?}", cookies.len());
                assert!(fits || edited == Err(Error::JarOverLimit), "{edited:?}");
            }
        }
    });
}
