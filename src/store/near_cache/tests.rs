//! What the near cache keeps, what it forgets, and what counts.

use super::*;
use crate::session::Secret;
use crate::session::lifetime::Limits;

const NOW: UnixTime = UnixTime(1_800_000_000);

fn cache(max_bytes: u64) -> NearCache {
    let limits = Limits { idle: Duration::from_mins(10), lifetime: Duration::from_hours(1) };
    let lifetimes = Lifetimes {
        user: limits,
        anonymous: limits,
        persistent: limits,
        renew_after: Duration::from_mins(10),
        touch_after: Duration::from_mins(1),
        tombstone: Duration::from_mins(1),
    };
    NearCache::new(Settings { max_bytes, max_stale: Duration::from_mins(1) }, lifetimes)
}

fn tracked() -> Arc<Tracking> {
    let tracking = Tracking::default();
    tracking.begin();
    Arc::new(tracking)
}

fn live(key: StoreKey) -> Entry {
    Entry::Live(Arc::new(Session::new(key, NOW)))
}

fn key() -> StoreKey {
    Secret::random().store_key()
}

fn reading<'a>(cache: &'a NearCache, key: &StoreKey, now: UnixTime) -> Reading<'a> {
    match cache.find(key, now) {
        Found::Nothing(reading) => reading,
        Found::Session(_) => panic!("it should have to be read"),
    }
}

fn is_kept(cache: &NearCache, key: &StoreKey, now: UnixTime) -> bool {
    matches!(cache.find(key, now), Found::Session(_))
}

fn read(cache: &NearCache, key: &StoreKey, tracking: &Arc<Tracking>) {
    reading(cache, key, NOW).done(Some(&live(*key)), tracking, NOW);
}

#[test]
fn what_was_read_is_kept_until_it_is_forgotten() {
    let (cache, key) = (cache(1 << 20), key());
    read(&cache, &key, &tracked());
    assert!(is_kept(&cache, &key, NOW));
    cache.forget(&key);
    assert!(!is_kept(&cache, &key, NOW));
    assert!(cache.find_old(&key, NOW).is_none(), "what has changed is of no use to anybody");
}

#[test]
fn what_is_forgotten_while_it_is_read_is_not_kept() {
    let (cache, key, tracking) = (cache(1 << 20), key(), tracked());
    for all in [false, true] {
        let first = reading(&cache, &key, NOW);
        if all {
            cache.forget_all();
        } else {
            cache.forget(&key);
        }
        // Another read that began later holds a place of its own.
        let second = reading(&cache, &key, NOW);
        first.done(Some(&live(key)), &tracking, NOW);
        assert!(cache.find_old(&key, NOW).is_none());
        second.done(Some(&live(key)), &tracking, NOW);
        assert!(is_kept(&cache, &key, NOW));
        cache.forget_all();
    }
}

#[test]
fn nobody_waits_for_anothers_read() {
    let (cache, key, tracking) = (cache(1 << 20), key(), tracked());
    let first = reading(&cache, &key, NOW);
    reading(&cache, &key, NOW).done(Some(&live(key)), &tracking, NOW);
    assert!(cache.find_old(&key, NOW).is_none(), "the place is the first one's");
    first.done(Some(&live(key)), &tracking, NOW);
    assert!(is_kept(&cache, &key, NOW));
}

#[test]
fn what_was_read_over_a_lost_connection_counts_no_more() {
    let (cache, mine, others) = (cache(1 << 20), key(), key());
    let (lost, stays) = (tracked(), tracked());
    read(&cache, &mine, &lost);
    read(&cache, &others, &stays);
    lost.end();
    assert!(!is_kept(&cache, &mine, NOW));
    assert!(is_kept(&cache, &others, NOW));
    // Nor is what was still on its way kept for anybody.
    let late = key();
    read(&cache, &late, &lost);
    assert!(!is_kept(&cache, &late, NOW) && cache.find_old(&late, NOW).is_none());
}

#[test]
fn nothing_counts_for_longer_than_its_age_or_beyond_its_expiry() {
    let (cache, key) = (cache(1 << 20), key());
    read(&cache, &key, &tracked());
    let after = |seconds| UnixTime(NOW.0 + seconds);
    assert!(is_kept(&cache, &key, after(4)));
    for now in [after(5), UnixTime(NOW.0 - 1)] {
        assert!(!is_kept(&cache, &key, now));
    }
    reading(&cache, &key, after(598)).done(Some(&live(key)), &tracked(), after(598));
    assert!(is_kept(&cache, &key, after(599)));
    assert!(!is_kept(&cache, &key, after(600)), "idle for too long, as far as is known here");
}

#[test]
fn an_old_session_is_there_for_as_long_as_is_asked_for() {
    let (cache, key, tracking) = (cache(1 << 20), key(), tracked());
    read(&cache, &key, &tracking);
    tracking.end();
    let later = UnixTime(NOW.0 + 60);
    // A read that fails, or that nobody waits for any more, takes nothing away.
    drop(reading(&cache, &key, later));
    assert!(cache.find_old(&key, later).is_some());
    assert!(cache.find_old(&key, UnixTime(NOW.0 + 61)).is_none());
    // One that finds something else does.
    reading(&cache, &key, later).done(Some(&Entry::Ended { until: later }), &tracked(), later);
    assert!(cache.find_old(&key, later).is_none());
}

#[test]
fn an_old_session_does_not_outlive_its_expiry() {
    let (cache, key) = (cache(1 << 20), key());
    let read_at = UnixTime(NOW.0 + 595);
    reading(&cache, &key, read_at).done(Some(&live(key)), &tracked(), read_at);
    assert!(cache.find_old(&key, UnixTime(NOW.0 + 599)).is_some());
    assert!(cache.find_old(&key, UnixTime(NOW.0 + 600)).is_none());
}

#[test]
fn an_old_session_forgotten_while_it_is_read_again_stays_forgotten() {
    let (cache, key, tracking) = (cache(1 << 20), key(), tracked());
    read(&cache, &key, &tracking);
    tracking.end();
    let again = reading(&cache, &key, NOW);
    cache.forget(&key);
    drop(again);
    assert!(cache.find_old(&key, NOW).is_none());
}

#[test]
fn neither_nothing_nor_the_dead_are_kept() {
    let (cache, key, tracking) = (cache(1 << 20), key(), tracked());
    for entry in [None, Some(Entry::Ended { until: NOW }), Some(Entry::Superseded { until: NOW })] {
        reading(&cache, &key, NOW).done(entry.as_ref(), &tracking, NOW);
        assert!(!is_kept(&cache, &key, NOW));
    }
}

#[test]
fn it_holds_no_more_bytes_than_it_may() {
    let (cache, tracking) = (cache(100_000), tracked());
    for _ in 0..10_000 {
        read(&cache, &key(), &tracking);
    }
    assert!(cache.sessions.weight() <= 100_000 && cache.sessions.len() > 100);
}
