//! What a response asks of the session.

use http::header::HeaderName;
use http::{HeaderMap, StatusCode};

use super::Names;
use crate::proxy::upstream::Trust;
use crate::session::{Change, End, Malformed, Patch, change};

/// Which header of a response could not be followed, and why.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {why}", as_documented(header))]
pub struct ChangeError {
    /// The header's name.
    pub header: HeaderName,
    /// What was wrong with it.
    pub why: Malformed,
}

/// `X-Session-Patch` and not `x-session-patch`: as the documentation writes it, and as it is looked for in a log.
fn as_documented(header: &HeaderName) -> String {
    let word = |word: &str| word[..1.min(word.len())].to_ascii_uppercase() + &word[1.min(word.len())..];
    header.as_str().split('-').map(word).collect::<Vec<_>>().join("-")
}

/// A response's change, and how many of its session headers were not honoured.
#[derive(Debug, Default)]
pub struct Taken {
    /// What is honoured.
    pub change: Change,
    /// Headers of an upstream that is not trusted with them.
    pub untrusted: usize,
    /// Headers on an answer of status 500 or above.
    pub on_failure: usize,
}

/// Takes every session header out of a response, and reads those that its upstream is trusted with.
pub fn take_change(
    headers: &mut HeaderMap,
    names: &Names,
    trust: Trust,
    status: StatusCode,
) -> Result<Taken, ChangeError> {
    let mut taken = Taken::default();
    while let Some(header) = headers.keys().find(|name| names.cover(name)).cloned() {
        let mut lines = headers.get_all(&header).iter();
        let (first, repeated) = (lines.next().cloned(), lines.next().is_some());
        headers.remove(&header);
        if trust <= Trust::Read {
            taken.untrusted += 1;
            continue;
        }
        if status.is_server_error() && header != names.end {
            // The backend failed half way through whatever it meant to say; that somebody logs out is never taken back.
            taken.on_failure += 1;
            continue;
        }
        let value = first.as_ref().map_or(&b""[..], |value| value.as_bytes()).trim_ascii();
        let needs = if header == names.patch { Trust::Write } else { Trust::Full };
        let read = if repeated { Err(Malformed::Repeated) } else { read(&mut taken.change, &header, value, names) };
        // An upstream that may only patch has made a mistake of its own kind with any other header.
        match read {
            Err(Malformed::Unknown) => return Err(ChangeError { header, why: Malformed::Unknown }),
            _ if trust < needs => taken.untrusted += 1,
            Err(why) => return Err(ChangeError { header, why }),
            Ok(()) => {}
        }
    }
    if trust < Trust::Full {
        taken.change = Change {
            edit: change::Edit { patch: taken.change.edit.patch, ..change::Edit::default() },
            ..Change::default()
        };
    }
    if taken.change.user.is_some() && matches!(taken.change.end, Some(End::This | End::All)) {
        return Err(ChangeError { header: names.end.clone(), why: Malformed::Contradiction });
    }
    Ok(taken)
}

fn read(change: &mut Change, header: &HeaderName, value: &[u8], names: &Names) -> Result<(), Malformed> {
    if *header == names.patch {
        change.edit.patch = Some(Patch::parse(value)?);
    } else if *header == names.user {
        change.user = Some(change::user(value)?);
    } else if *header == names.end {
        change.end = Some(change::end(value)?);
    } else if *header == names.renew {
        change.renew = change::renew(value)?;
    } else if *header == names.persist {
        change.edit.persist = Some(change::persist(value)?);
    } else {
        return Err(Malformed::Unknown);
    }
    Ok(())
}
