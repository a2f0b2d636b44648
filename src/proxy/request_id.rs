//! What a request is called: in the log, on error pages, and to its upstream in `X-Request-Id`.

use std::cell::Cell;
use std::fmt;

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};

/// The header by which proxies and applications call a request.
pub const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// The most bytes of a client's that is kept. It goes into every line about the request.
const LONGEST: usize = 128;

/// Who names a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// The client, where it gives one good name; this gateway otherwise.
    Keep,
    /// This gateway.
    Make,
    /// Nobody: what the client sends passes as any header does. Log and error pages still have a name of the gateway's.
    Off,
}

/// A request's name.
#[derive(Clone, Debug)]
pub enum RequestId {
    /// The client's.
    Kept(HeaderValue),
    /// Ours: its worker's half, which no other worker has, and its own.
    Made([u64; 2]),
}

impl RequestId {
    /// As it goes upstream.
    pub fn write(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Kept(value) => bytes.extend_from_slice(value.as_bytes()),
            Self::Made(halves) => bytes.extend_from_slice(&hex(*halves)),
        }
    }
}

/// As the log has it. There is nothing in it that would have to be quoted.
impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kept(value) => f.write_str(value.to_str().unwrap_or_default()),
            Self::Made([worker, number]) => write!(f, "{worker:016x}{number:016x}"),
        }
    }
}

/// The names that one worker gives.
#[derive(Debug)]
pub struct RequestIds {
    policy: Policy,
    worker: u64,
    key: u64,
    next: Cell<u64>,
}

impl RequestIds {
    /// A worker's.
    pub fn new(policy: Policy) -> Self {
        let [worker, key] = [(); 2].map(|()| getrandom::u64().expect("the operating system gives random bytes"));
        Self { policy, worker, key, next: Cell::new(0) }
    }

    /// The name of the request with these headers.
    pub fn name(&self, headers: &HeaderMap) -> RequestId {
        let kept = if self.policy == Policy::Keep { kept(headers) } else { None };
        kept.map_or_else(|| self.made(), |value| RequestId::Kept(value.clone()))
    }

    /// What the upstream is told of it.
    pub fn told<'id>(&self, id: &'id RequestId) -> Option<&'id RequestId> {
        (self.policy != Policy::Off).then_some(id)
    }

    /// No two are the same: both steps can be undone. Nor do they count, for they are shown to clients, whom it does
    /// not concern how many requests there were between two of theirs.
    fn made(&self) -> RequestId {
        let number = self.next.get();
        self.next.set(number.wrapping_add(1));
        RequestId::Made([self.worker, scrambled(number ^ self.key)])
    }
}

/// The client's name for it, where there is one, and nothing in it breaks a line of a log or a header.
fn kept(headers: &HeaderMap) -> Option<&HeaderValue> {
    let good = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/=:@".contains(byte);
    let name = headers.get(HEADER)?;
    let is_good = (1..=LONGEST).contains(&name.len()) && name.as_bytes().iter().all(good);
    (is_good && headers.get_all(HEADER).iter().nth(1).is_none()).then_some(name)
}

/// Multiplications by odd numbers and shifted copies, each of which has an inverse.
fn scrambled(mut number: u64) -> u64 {
    for factor in [0xd6e8_feb8_6659_fd93, 0xa076_1d64_78bd_642f] {
        number = (number ^ (number >> 32)).wrapping_mul(factor);
    }
    number ^ (number >> 32)
}

fn hex([worker, number]: [u64; 2]) -> [u8; 32] {
    let mut text = [0; 32];
    for (half, text) in [worker >> 32, worker, number >> 32, number].iter().zip(text.as_chunks_mut().0) {
        *text = digits(half & 0xffff_ffff);
    }
    text
}

/// The eight digits of 32 bits, all at once: each gets a byte of its own.
fn digits(bits: u64) -> [u8; 8] {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let pairs = (bits | bits << 16) & 0x0000_ffff_0000_ffff;
    let bytes = (pairs | pairs << 8) & 0x00ff_00ff_00ff_00ff;
    let each = (bytes | bytes << 4) & (ONES * 0xf);
    let letters = ((each + ONES * 6) >> 4) & ONES;
    (each + ONES * u64::from(b'0') + letters * u64::from(b'a' - b'0' - 10)).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn named(policy: Policy, sent: &[&str]) -> String {
        let headers = sent.iter().map(|value| (HEADER, HeaderValue::try_from(*value).unwrap())).collect();
        RequestIds::new(policy).name(&headers).to_string()
    }

    #[test]
    fn one_good_name_is_kept() {
        let long = "x".repeat(LONGEST);
        for name in ["a", "0af7651916cd43dd", "Root=1-67891233-abcdef", "a/b:c@d~e_f.g+h", &long] {
            assert_eq!(named(Policy::Keep, &[name]), name);
            assert_ne!(named(Policy::Make, &[name]), name);
            assert_ne!(named(Policy::Off, &[name]), name);
        }
        let longer = "x".repeat(LONGEST + 1);
        for names in [&[""][..], &["a b"], &["a\"b"], &["a", "a"], &["a,b"], &["\u{e9}"], &[&longer]] {
            let made = named(Policy::Keep, names);
            assert!(made.len() == 32 && made.bytes().all(|byte| byte.is_ascii_hexdigit()), "{names:?}: {made}");
        }
    }

    #[test]
    fn no_two_are_made_the_same_and_none_follows_from_the_last() {
        let (ids, none) = (RequestIds::new(Policy::Make), HeaderMap::new());
        let made: Vec<_> = (0..10_000).map(|_| ids.name(&none)).collect();
        assert_eq!(made.iter().map(ToString::to_string).collect::<HashSet<_>>().len(), made.len());
        let number = |id: &RequestId| if let RequestId::Made([_, number]) = id { *number } else { 0 };
        let steps: HashSet<_> = made.windows(2).map(|pair| number(&pair[1]).wrapping_sub(number(&pair[0]))).collect();
        assert!(steps.len() > 9_000, "{}", steps.len());
    }

    #[test]
    fn it_goes_upstream_as_it_stands_in_the_log() {
        for id in [RequestId::Made([0x0123_4567_89ab_cdef, u64::MAX]), RequestId::Kept(HeaderValue::from_static("a-1"))]
        {
            let mut bytes = Vec::new();
            id.write(&mut bytes);
            assert_eq!(String::from_utf8(bytes).unwrap(), id.to_string());
        }
    }
}
