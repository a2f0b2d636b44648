//! What happens when requests of one visitor overlap, where one gateway keeps what it has read from Redis: its own
//! writes are never hidden from it.

#[path = "races/overlaps.rs"]
mod overlaps;
mod support;

use support::{Redis, Setup, Site};

fn build() -> Setup {
    Site::build().redis(Redis::start(), "near_cache = true")
}
