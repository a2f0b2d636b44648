//! What happens when requests of one visitor overlap. The backend holds every answer until the test lets it go, so that
//! each order is the one written here. Where the sessions are, and how many gateways there are, `crate::build` says.

mod expiry;
mod logins;
mod logouts;
mod renewals;
mod writes;

use crate::build;
use crate::support::*;

fn stand() -> Site {
    build().start()
}

/// Past `renew_after`, with sessions that are not idle by then.
const RENEWAL_DUE: u64 = 3601;

fn patient() -> Site {
    build().session("idle_timeout = \"4h\"").start()
}

/// Sends a request and waits until the backend has it.
fn begin(site: &Site, browser: &Browser, request: Request) -> (Pending, Exchange) {
    let pending = browser.send(request);
    (pending, site.backend.next())
}

/// Begins a slow request, and lets its ticket be renewed meanwhile, until the old one opens nothing any more. The
/// browser holds the new ticket.
fn begin_before_a_renewal(site: &Site, browser: &Browser, request: Request) -> (Pending, Exchange) {
    site.wait(RENEWAL_DUE);
    let old = browser.copy();
    let slow = begin(site, &old, request);
    site.look(browser);
    site.look(browser);
    site.wait(11);
    site.look(&old.copy()).assert_stranger();
    slow
}
