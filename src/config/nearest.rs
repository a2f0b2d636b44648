//! The known name that an unknown one was probably meant to be.

/// The candidate closest to `word`, where one is close enough to suggest.
pub(super) fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let word = plain(word);
    let closest = candidates.into_iter().map(|candidate| (distance(&word, &plain(candidate)), candidate)).min()?;
    // A third of the letters may differ, so that `tls` is not suggested for `log`.
    let (distance, candidate) = closest;
    (distance <= word.len() / 3).then_some(candidate)
}

/// Case and the choice of hyphen are no difference, and nobody's key is longer than this.
fn plain(word: &str) -> Vec<char> {
    word.chars().take(64).map(|each| if each == '-' { '_' } else { each.to_ascii_lowercase() }).collect()
}

/// How many letters must be put in, taken out, changed, or swapped with their neighbour.
fn distance(from: &[char], to: &[char]) -> usize {
    let mut rows = vec![vec![0; to.len() + 1]; from.len() + 1];
    for i in 0..=from.len() {
        for j in 0..=to.len() {
            rows[i][j] = match (i, j) {
                (0, _) => j,
                (_, 0) => i,
                _ => {
                    let same = usize::from(from[i - 1] != to[j - 1]);
                    let edited = (rows[i - 1][j - 1] + same).min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
                    let swapped = i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1];
                    if swapped { edited.min(rows[i - 2][j - 2] + 1) } else { edited }
                }
            };
        }
    }
    rows[from.len()][to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_hand_is_understood() {
        let keys = ["idle_timeout", "lifetime", "renew_after", "keys"];
        for (written, meant) in [
            ("idle_timout", Some("idle_timeout")),
            ("idle-timeout", Some("idle_timeout")),
            ("IdleTimeout", Some("idle_timeout")),
            ("lifetmie", Some("lifetime")),
            ("key", Some("keys")),
            ("trusted_proxies", None),
            ("", None),
        ] {
            assert_eq!(nearest(written, keys), meant, "{written}");
        }
    }
}
