//! How many sessions one client's address may begin.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use quick_cache::sync::Cache;

use crate::session::UnixTime;

/// How many addresses are remembered, over all workers. Who is forgotten may begin as many as at first.
const MOST_ADDRESSES: usize = 65_536;

/// Over how long sessions are counted, in seconds.
const PERIOD: u64 = 60;

/// A limit on the sessions that an address may begin in a minute; clones share what they remember.
///
/// It is the generic cell rate algorithm: an address has a time at which all that it began is paid for, each session
/// moves it on by its share of the minute, and it may lie a minute ahead. Time counts in parts of a second, one for
/// each session that a minute allows, so that the share of one is [`PERIOD`] parts.
#[derive(Clone)]
pub struct Births {
    per_minute: u32,
    paid: Arc<Cache<u64, Arc<AtomicU64>>>,
}

impl Births {
    /// So many sessions a minute, and as many at once.
    pub fn new(per_minute: u32) -> Self {
        Self { per_minute, paid: Arc::new(Cache::new(MOST_ADDRESSES)) }
    }

    /// Counts one more session of this address; refused, in how many seconds there may be one.
    pub(in crate::proxy) fn begin(&self, address: IpAddr, now: UnixTime) -> Result<(), u64> {
        let rate = u64::from(self.per_minute);
        let (now, most) = (now.0.saturating_mul(rate), PERIOD * rate);
        let made = self.paid.get_or_insert_with(&key(address), || Ok::<_, std::convert::Infallible>(Arc::default()));
        let Ok(paid) = made;
        let next = |paid: u64| {
            // Nobody is more than a minute ahead, unless the clock was set back.
            let paid = if paid > now + most { now } else { paid.max(now) };
            let next = paid + PERIOD;
            if next > now + most { Err((next - now - most).div_ceil(rate)) } else { Ok(next) }
        };
        match paid.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |paid| next(paid).ok()) {
            Ok(_) => Ok(()),
            Err(paid) => next(paid).map(|_| ()),
        }
    }
}

impl fmt::Debug for Births {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Births").field("per_minute", &self.per_minute).finish_non_exhaustive()
    }
}

/// Two that allow the same, whatever they remember.
impl PartialEq for Births {
    fn eq(&self, other: &Self) -> bool {
        self.per_minute == other.per_minute
    }
}

impl Eq for Births {}

/// An IPv4 address, or the half of an IPv6 address that a provider gives to one customer (RFC 6177 section 2).
fn key(address: IpAddr) -> u64 {
    match address.to_canonical() {
        // Where no global IPv6 address is (RFC 4291 section 2.5.5).
        IpAddr::V4(address) => u64::from(address.to_bits()),
        IpAddr::V6(address) => (address.to_bits() >> 64) as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime(1_800_000_000);

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn at(seconds: u64) -> UnixTime {
        UnixTime(NOW.0 + seconds)
    }

    #[test]
    fn an_address_may_begin_as_many_at_once_and_then_one_for_each_share_of_a_minute() {
        let (births, one) = (Births::new(4), address("192.0.2.1"));
        assert!((0..4).all(|_| births.begin(one, NOW).is_ok()));
        assert_eq!([births.begin(one, NOW), births.begin(one, at(14))], [Err(15), Err(1)]);
        assert_eq!([births.begin(one, at(15)), births.begin(one, at(15))], [Ok(()), Err(15)]);
        assert_eq!(births.begin(address("192.0.2.2"), NOW), Ok(()));
        assert!((0..4).all(|_| births.begin(one, at(75)).is_ok()), "all of it, a minute later");
        assert_eq!(births.begin(one, at(75)), Err(15));
    }

    #[test]
    fn a_customers_ipv6_addresses_are_one() {
        let births = Births::new(1);
        assert_eq!(births.begin(address("2001:db8:1:2::1"), NOW), Ok(()));
        assert_eq!(births.begin(address("2001:db8:1:2:ffff::9"), NOW), Err(60));
        assert_eq!(births.begin(address("2001:db8:1:3::1"), NOW), Ok(()));
        assert_eq!(births.begin(address("192.0.2.1"), NOW), Ok(()));
        assert_eq!(births.begin(address("::ffff:192.0.2.1"), NOW), Err(60));
    }

    #[test]
    fn a_clock_that_is_set_back_locks_nobody_out() {
        let (births, one) = (Births::new(2), address("192.0.2.1"));
        assert_eq!([births.begin(one, at(7200)), births.begin(one, at(7200))], [Ok(()); 2]);
        assert_eq!([births.begin(one, NOW), births.begin(one, NOW), births.begin(one, NOW)], [Ok(()), Ok(()), Err(30)]);
    }

    #[test]
    fn more_addresses_than_are_remembered_take_no_more_memory() {
        let births = Births::new(1);
        for number in 0..u32::try_from(4 * MOST_ADDRESSES).unwrap() {
            assert_eq!(births.begin(IpAddr::V4(number.into()), NOW), Ok(()));
        }
        assert!(births.paid.len() <= MOST_ADDRESSES, "{}", births.paid.len());
    }
}
