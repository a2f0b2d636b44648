//! What happens when requests of one visitor overlap, where one gateway keeps the sessions in its memory.

#[path = "races/overlaps.rs"]
mod overlaps;
mod support;

fn build() -> support::Setup {
    support::Site::build()
}
