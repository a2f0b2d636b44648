//! What is fuzzed: each target takes any bytes, and panics where something does not hold that must.
//!
//! `make fuzz` runs them with coverage for guidance (`fuzz/`); `make test` runs each on its committed corpus.

mod cookies;
mod messages;
mod stored;

pub use cookies::{cookie, jar, set_cookie, ticket};
pub use messages::{answer, headers, proxy_header, request};
pub use stored::{config, record};

#[cfg(test)]
type Target = (&'static str, fn(&[u8]));

/// Every target by the name of its corpus.
#[cfg(test)]
const TARGETS: [Target; 10] = [
    ("answer", answer),
    ("config", config),
    ("cookie", cookie),
    ("headers", headers),
    ("jar", jar),
    ("proxy_header", proxy_header),
    ("record", record),
    ("request", request),
    ("set_cookie", set_cookie),
    ("ticket", ticket),
];

/// The lines of an input, as the parts of what is made of it.
fn lines(data: &[u8]) -> impl Iterator<Item = &[u8]> + Clone {
    data.split(|byte| *byte == b'\n')
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn every_target_holds_on_its_corpus() {
        let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
        for (name, target) in TARGETS {
            let corpus = fs::read_dir(fuzz.join("corpus").join(name)).expect("a corpus");
            let inputs: Vec<_> = corpus.map(|input| fs::read(input.unwrap().path()).unwrap()).collect();
            assert!(!inputs.is_empty(), "{name}");
            for input in inputs {
                target(&input);
            }
            target(b"");
        }
    }

    #[test]
    fn every_target_is_fuzzed() {
        let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
        let files = fs::read_dir(fuzz.join("targets")).expect("the targets");
        let files: BTreeSet<_> = files.map(|file| file.unwrap().path().file_stem().unwrap().to_owned()).collect();
        assert_eq!(files, TARGETS.iter().map(|(name, _)| (*name).into()).collect());
    }
}
