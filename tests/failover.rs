//! Redis fails over to a replica while visitors come and go: nobody is logged out, nobody waits, and what was stored
//! and replicated is there.

mod support;

use std::time::Duration;

use support::redis::{Cluster, Sentinels};
use support::*;

/// Twice the timeout of 250 ms, for a request may ask twice, and what a busy machine adds.
const LIMIT: Duration = Duration::from_millis(900);
const VISITORS: usize = 6;

/// Two gateways, at each of which every visitor sees at once what it has written at the other.
fn two_gateways(url: &str) -> Site {
    Site::build().servers(&[Mirror::start().server()]).gateways(2).redis_at(url, "near_cache = false").start()
}

/// One that keeps what it has read, and is not to show it when it has changed.
fn with_near_cache(url: &str) -> Site {
    Site::build().servers(&[Mirror::start().server()]).redis_at(url, "").start()
}

fn assert_all_there(report: &load::Report, acknowledged: &[u64]) {
    assert!(report.served > 100, "{report:?}");
    for (found, acknowledged) in report.found.iter().zip(acknowledged) {
        assert!(found >= acknowledged, "{acknowledged} were acknowledged: {report:?}");
    }
}

#[test]
fn a_sentinel_failover_under_load_logs_nobody_out() {
    let mut sentinels = Sentinels::start();
    let site = two_gateways(&sentinels.url());
    let load = Load::start(&|| site.doors(), VISITORS, LIMIT);
    let acknowledged = load.acknowledged();
    load.expect_losses();
    sentinels.settle();
    let old = sentinels.master().expect("they agree");
    let new = sentinels.fail_over();
    load.until_more_is_acknowledged();
    // The old master comes back as a replica; who still asks it is told so.
    sentinels.servers[old].restart();
    sentinels.until_follows(old);
    load.until_more_is_acknowledged();
    assert_eq!(sentinels.master(), Some(new));
    let report = load.stop();
    assert_all_there(&report, &acknowledged);
    assert!(report.refused > 0, "nobody noticed the failover");
}

#[test]
fn a_master_that_is_demoted_in_good_order_is_left_for_the_new_one() {
    let sentinels = Sentinels::start();
    let site = with_near_cache(&sentinels.url());
    let load = Load::start(&|| site.doors(), VISITORS, LIMIT);
    let acknowledged = load.acknowledged();
    load.expect_losses();
    sentinels.settle();
    sentinels.swap();
    load.until_more_is_acknowledged();
    assert_all_there(&load.stop(), &acknowledged);
}

#[test]
fn a_cluster_failover_under_load_logs_nobody_out() {
    cluster_failover(two_gateways);
}

#[test]
fn a_cluster_failover_under_load_shows_nobody_what_was() {
    cluster_failover(with_near_cache);
}

fn cluster_failover(site: fn(&str) -> Site) {
    let mut cluster = Cluster::start();
    let site = site(&cluster.url());
    let load = Load::start(&|| site.doors(), VISITORS, LIMIT);
    let acknowledged = load.acknowledged();
    load.expect_losses();
    cluster.settle();
    cluster.fail_over(1);
    load.until_more_is_acknowledged();
    cluster.nodes[1].restart();
    cluster.until_well();
    load.until_more_is_acknowledged();
    assert_all_there(&load.stop(), &acknowledged);
}
