//! What happens when requests of one visitor overlap, where two gateways share a Redis and each request goes to the
//! other.

#[path = "races/overlaps.rs"]
mod overlaps;
mod support;

use support::{Redis, Setup, Site};

fn build() -> Setup {
    Site::build().gateways(2).redis(Redis::start(), "near_cache = false")
}
