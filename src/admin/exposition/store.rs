//! What the store has, and what befell it.

use std::fmt;

use prometheus_client::encoding::DescriptorEncoder;

use super::family::{gauge, single};
use crate::store::{Store, file};

/// The families of the store that there is.
pub(super) fn write(encoder: &mut DescriptorEncoder<'_>, store: &Store) -> fmt::Result {
    match store {
        Store::Memory(memory) => {
            let stats = memory.stats();
            gauge(encoder, "sessions_live", "Sessions stored", stats.live as u64)?;
            let help = "Entries stored: sessions, and tickets remembered as dead";
            gauge(encoder, "store_entries", help, stats.entries as u64)?;
            gauge(encoder, "store_bytes", "Bytes that sessions take, estimated", stats.bytes)?;
            if let Some(stats) = memory.file_stats() {
                file(encoder, stats)?;
            }
        }
        Store::Redis(redis) => {
            let stats = redis.stats();
            single(encoder, "store_connects", "Connections made to Redis", stats.connects)?;
            single(encoder, "store_failures", "Questions to Redis that were not answered", stats.failures)?;
            let help = "Records found in Redis that could not be read";
            single(encoder, "store_unreadable", help, stats.unreadable)?;
            if let Some(near) = stats.near_cache {
                single(encoder, "near_cache_hits", "Sessions found in the near cache", near.hits)?;
                single(encoder, "near_cache_misses", "Sessions asked for in Redis", near.misses)?;
                gauge(encoder, "near_cache_sessions", "Sessions in the near cache", near.sessions)?;
                let help = "Bytes that sessions in the near cache take, estimated";
                gauge(encoder, "near_cache_bytes", help, near.bytes)?;
            }
        }
    }
    Ok(())
}

fn file(encoder: &mut DescriptorEncoder<'_>, stats: file::Stats) -> fmt::Result {
    let help = "Entries that the session file does not have yet";
    gauge(encoder, "store_file_waiting", help, stats.waiting as u64)?;
    let help = "When the session file last had everything";
    gauge(encoder, "store_file_synced_timestamp_seconds", help, stats.synced_at.0)?;
    single(encoder, "store_file_records", "Entries written to the session file", stats.records)?;
    single(encoder, "store_file_failures", "Times that the session file could not be written", stats.failures)?;
    gauge(encoder, "store_file_bytes", "Bytes of entries in the session file", stats.bytes)?;
    let help = "Entries of the session file that could not be read at start";
    gauge(encoder, "store_file_unreadable", help, stats.unreadable)
}
