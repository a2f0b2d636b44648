//! Values that an application signs anew in every answer, though they say the same: Flask's permanent sessions, and
//! Django's in signed cookies, end in the time and a signature over it. Such an answer changes nothing.

/// What stands before the time and before the signature, and how long that is: with SHA-1 by Flask, SHA-256 by Django.
const SIGNATURES: [(u8, usize); 2] = [(b'.', 27), (b':', 43)];
/// How long the time is, in either's digits, until 2106.
const TIME: usize = 6;

/// What a value says; all of it, where it does not look so.
pub(super) fn said(value: &[u8]) -> &[u8] {
    SIGNATURES.iter().find_map(|(separator, length)| before(value, *separator, *length)).unwrap_or(value)
}

fn before(value: &[u8], separator: u8, length: usize) -> Option<&[u8]> {
    let at = value.len().checked_sub(1 + TIME + 1 + length)?;
    let (said, end) = value.split_at(at);
    let is_as_expected = |(index, byte): (usize, &u8)| match index {
        0 => *byte == separator,
        index if index == 1 + TIME => *byte == separator,
        _ => byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'),
    };
    end.iter().enumerate().all(is_as_expected).then_some(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_signed_anew_says_the_same() {
        for (says, first, second) in [
            // itsdangerous 2.2.0, also compressed.
            ("eyJ1c2VyIjoiYWxpY2UifQ", ".avXloA.64U4C4SWN1vp3mDE_4dw8e1RmNY", ".avXmBA.GCDVC2O2ktwB6laxKftbTYrb2Y4"),
            (
                ".eJyrViotTi1SslJKzMlMTlXSUUoCsivoAJRqAV4eNag",
                ".avXloA.pa5aWsCfS5xGPDe0k6LGcCBSaGE",
                ".avXmBA.sHyNtBIFTE5yY60GNSA_eQYqdoE",
            ),
            // Django 5.2.19.
            (
                "eyJ1c2VyIjoxfQ",
                ":1xRXQO:zEcxSHRob9QDqkwU3b_zjDUGFE6EQmlttRyPVBAeMww",
                ":1xRXS0:s8kiECey6WVTT8xtpMZkc7vC9wpAvKbQcnMQu-_AA0o",
            ),
        ] {
            for end in [first, second] {
                assert_eq!(said(format!("{says}{end}").as_bytes()), says.as_bytes());
            }
        }
    }

    #[test]
    fn other_values_say_all_that_is_in_them() {
        for value in [
            "",
            "x7qk2m0c1vdl5j3h9b8n6a4s2f1g0ywe",
            "s%3Aabc.0123456789012345678901234567890123456789012",
            // A token whose middle is what it says.
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.dBjftJeZ4CVPmB92K27uhbUJU1p1r_wW1gFWFOEjXk0",
            "a.avXloA:64U4C4SWN1vp3mDE_4dw8e1RmNY",
            "a.avXl=A.64U4C4SWN1vp3mDE_4dw8e1RmNY",
            "avXloA.64U4C4SWN1vp3mDE_4dw8e1RmNY",
        ] {
            assert_eq!(said(value.as_bytes()), value.as_bytes());
        }
    }
}
