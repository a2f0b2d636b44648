//! Our cookie, in and out: its shape, its attributes, what becomes of other cookies, and what caches are told.

#[path = "cookies/inbound.rs"]
mod inbound;
#[path = "cookies/outbound.rs"]
mod outbound;
mod support;
#[path = "cookies/ticket.rs"]
mod ticket;
#[path = "cookies/withheld.rs"]
mod withheld;

const DAY: u64 = 24 * 60 * 60;
