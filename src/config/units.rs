//! Durations and sizes as people write them: "30m", "7d", "64KiB".

use std::time::Duration;

use bytesize::ByteSize;
use jiff::{Span, SpanRelativeTo};

use super::mistake::{Fault, Kind};

/// One day of 24 hours.
pub(super) const DAY: Duration = Duration::from_hours(24);

/// The longest a browser keeps a cookie (RFC 6265bis section 5.5), hence the longest any session may live.
pub(super) const LONGEST_LIFE: Duration = Duration::from_hours(400 * 24);

const KIB: u64 = 1 << 10;

/// Bytes in one MiB.
pub(super) const MIB: u64 = 1 << 20;

const GIB: u64 = 1 << 30;

/// Reads a duration. It must say its unit: a bare number is seconds to one reader and milliseconds to the next.
pub(super) fn duration(written: &str) -> Result<Duration, Fault> {
    if is_bare_number(written) {
        return Err(no_unit(
            written,
            &format!("a duration with its unit: \"{written}s\", \"{written}m\" or \"{written}h\""),
        ));
    }
    let span: Result<Span, _> = written.parse();
    // Months and years have no fixed length, and jiff refuses them here; a day is 24 hours.
    let length = span.and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()));
    let expected = "a duration, such as \"500ms\", \"30s\", \"10m\", \"12h\" or \"7d\"";
    let length = length.map_err(|_| Fault::new(Kind::WrongUnit, format!("{written:?} is not a duration"), expected))?;
    Duration::try_from(length)
        .map_err(|_| Fault::new(Kind::OutOfRange, format!("{written:?} is less than nothing"), expected))
}

/// Reads a size in bytes. It must say its unit, and say it whole: "64k" is 64000 to one reader and 65536 to the next.
pub(super) fn size(written: &str) -> Result<u64, Fault> {
    if is_bare_number(written) {
        return Err(no_unit(
            written,
            &format!("a size with its unit: \"{written}B\", \"{written}KiB\" or \"{written}MiB\""),
        ));
    }
    let size: Option<ByteSize> = written.parse().ok().filter(|_| written.ends_with(['B', 'b']));
    let size = size.ok_or_else(|| {
        Fault::new(
            Kind::WrongUnit,
            format!("{written:?} is not a size"),
            "a size, such as \"512B\", \"64KiB\", \"10MiB\" or \"1GiB\"",
        )
    })?;
    Ok(size.as_u64())
}

/// A duration as it would be written: in the largest unit that takes a whole number of it.
pub(super) fn written_duration(length: Duration) -> String {
    let seconds = length.as_secs();
    match (length.subsec_millis(), seconds) {
        (0, 0) => "0s".to_owned(),
        (0, _) if seconds.is_multiple_of(86_400) => format!("{}d", seconds / 86_400),
        (0, _) if seconds.is_multiple_of(3_600) => format!("{}h", seconds / 3_600),
        (0, _) if seconds.is_multiple_of(60) => format!("{}m", seconds / 60),
        (0, _) => format!("{seconds}s"),
        _ => format!("{}ms", length.as_millis()),
    }
}

/// A size as it would be written: in the largest binary unit that takes a whole number of it.
pub(super) fn written_size(bytes: u64) -> String {
    match bytes {
        0 => "0B".to_owned(),
        _ if bytes.is_multiple_of(GIB) => format!("{}GiB", bytes / GIB),
        _ if bytes.is_multiple_of(MIB) => format!("{}MiB", bytes / MIB),
        _ if bytes.is_multiple_of(KIB) => format!("{}KiB", bytes / KIB),
        _ => format!("{bytes}B"),
    }
}

fn is_bare_number(written: &str) -> bool {
    let digits = written.strip_prefix(['-', '+']).unwrap_or(written);
    digits.starts_with(|first: char| first.is_ascii_digit())
        && digits.chars().all(|each| each.is_ascii_digit() || each == '.' || each == '_')
}

fn no_unit(written: &str, expected: &str) -> Fault {
    Fault::new(Kind::WrongUnit, format!("{written} has no unit"), expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_carry_their_unit() {
        let cases: [(&str, u64); 9] = [
            ("250ms", 250),
            ("10s", 10_000),
            ("30m", 1_800_000),
            ("12h", 43_200_000),
            ("7d", 604_800_000),
            ("1w", 604_800_000),
            ("1d 12h", 129_600_000),
            ("1h30m", 5_400_000),
            ("PT30M", 1_800_000),
        ];
        for (written, milliseconds) in cases {
            assert_eq!(duration(written).unwrap(), Duration::from_millis(milliseconds), "{written}");
        }
        for written in ["30", "", "m", "1mo", "1y", "30 x", "-", "99999999999999d", "1.5.2s"] {
            assert!(duration(written).is_err(), "{written}");
        }
        assert!(duration("-5s").is_err() && duration("5s ago").is_err(), "time does not run backwards");
    }

    #[test]
    fn sizes_carry_their_unit() {
        for (written, bytes) in
            [("1B", 1), ("64KiB", 65_536), ("64 KiB", 65_536), ("64KB", 64_000), ("1.5MiB", 1_572_864), ("1GiB", GIB)]
        {
            assert_eq!(size(written).unwrap(), bytes, "{written}");
        }
        for written in ["64", "64k", "64K", "64Ki", "", "B", "-1B", "KiB", "1..2KiB", "0x10B", "1 octet"] {
            assert!(size(written).is_err(), "{written}");
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        for length in [0, 1, 999, 1000, 1500, 60_000, 90_000, 3_600_000, 86_400_000, 31 * 86_400_000] {
            let length = Duration::from_millis(length);
            assert_eq!(duration(&written_duration(length)).unwrap(), length);
        }
        for bytes in [0, 1, 1000, 1024, 65_536, MIB, GIB, GIB + 1] {
            assert_eq!(size(&written_size(bytes)).unwrap(), bytes);
        }
    }
}
