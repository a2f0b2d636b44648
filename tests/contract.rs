//! The header contract of DESIGN section 5, row by row: what the upstream is told, and what it may ask.

#[path = "contract/end.rs"]
mod end;
#[path = "contract/login.rs"]
mod login;
#[path = "contract/patch.rs"]
mod patch;
#[path = "contract/refused.rs"]
mod refused;
#[path = "contract/renewal.rs"]
mod renewal;
mod support;
#[path = "contract/told.rs"]
mod told;
#[path = "contract/trust.rs"]
mod trust;

const MONTH: u64 = 31 * 24 * 60 * 60;

fn is_public_id(id: &str) -> bool {
    id.len() == 22 && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}
