//! Real Flask and real Express behind the real gateway, visited by curl with a cookie jar and by a real Chromium.
//!
//! The applications and their configuration are those of `examples/`. Both are driven in the same way: what one
//! promises to a browser, the other promises too.

#[path = "apps/curl.rs"]
mod curl;
#[path = "apps/process.rs"]
mod process;
#[path = "apps/stand.rs"]
mod stand;
#[expect(dead_code, reason = "the unmodified applications use the rest")]
#[path = "apps/tools.rs"]
mod tools;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use curl::{Answer, Visitor};
use stand::{App, Stand};

const COOKIE: &str = "__Host-sid";

#[test]
fn curl_visits_flask_from_login_to_logout() {
    visit_by_curl(App::Flask);
}

#[test]
fn curl_visits_express_from_login_to_logout() {
    visit_by_curl(App::Express);
}

#[test]
fn chromium_visits_flask_from_login_to_logout() {
    visit_by_chromium(App::Flask);
}

#[test]
fn chromium_visits_express_from_login_to_logout() {
    visit_by_chromium(App::Express);
}

#[test]
fn flask_remembers_a_login_beyond_the_browser_session() {
    remember_by_curl(App::Flask);
}

#[test]
fn express_remembers_a_login_beyond_the_browser_session() {
    remember_by_curl(App::Express);
}

fn visit_by_curl(app: App) {
    if tools::skipped() {
        return;
    }
    let stand = Stand::start(app);
    let visitor = Visitor::of(&stand);
    // As typed, and as a page must show it. Express cannot be relied on to send more than ASCII in a header.
    let (typed, shown) = match app {
        App::Flask => ("Jo\u{eb}l <b>", "Jo\u{eb}l &lt;b&gt;"),
        App::Express => ("Joel <b>", "Joel &lt;b&gt;"),
    };

    let page = visitor.get("/");
    assert_logged_out(&page);
    assert_eq!(page.new_ticket().as_deref(), Some(&*visitor.ticket()), "the first answer brings the cookie");
    let page = visitor.get("/");
    assert_logged_out(&page);
    assert_eq!(page.new_ticket(), None, "a guest's second visit needs no new cookie");

    assert_eq!(visitor.post("/cart", &[("item", "tea & <b>biscuits</b>")]).status, 303);
    let guest = visitor.ticket();
    let page = visitor.get("/");
    assert_logged_out(&page);
    assert_eq!(page.cart(), ["tea &amp; &lt;b&gt;biscuits&lt;/b&gt;"], "the cart is escaped");

    let login = visitor.post("/login", &[("username", typed)]);
    assert_eq!((login.status, login.header("location")), (303, Some("/")));
    let joel = visitor.ticket();
    assert_eq!(login.new_ticket().as_deref(), Some(&*joel));
    assert_ne!(joel, guest, "a login renews the ticket");
    assert_holds_no_name(&joel, typed);
    let page = visitor.get("/");
    assert_logged_in(&page, shown, 1);
    assert_eq!(page.cart().len(), 1, "what a guest put into the cart is still there after login");

    let copied = visitor.get_with_ticket("/", &guest);
    assert_logged_out(&copied);
    assert!(copied.cart().is_empty(), "the ticket from before the login is dead");
    assert_eq!(copied.new_cookie(), None, "a late answer must not overwrite the cookie of the login");

    visitor.post("/cart", &[("item", "kn\u{e4}ckebr\u{f6}d \u{1f35e}")]);
    let page = visitor.get("/");
    assert_logged_in(&page, shown, 2);
    assert_eq!(page.cart()[1..], ["kn\u{e4}ckebr\u{f6}d \u{1f35e}"]);
    assert_eq!(visitor.ticket(), joel, "nothing but login and logout changes the ticket");
    assert!([404, 405].contains(&visitor.get("/logout").status), "logout is not for GET");
    assert_logged_in(&visitor.get("/"), shown, 3);
    visitor.post("/cart/empty", &[]);
    let page = visitor.get("/");
    assert_logged_in(&page, shown, 4);
    assert!(page.cart().is_empty());

    assert_eq!(visitor.post("/logout", &[]).status, 303);
    let page = visitor.get("/");
    assert_logged_out(&page);
    let copied = visitor.get_with_ticket("/", &joel);
    assert_logged_out(&copied);
    assert_eq!(copied.new_cookie(), None);
    let after = visitor.ticket();
    assert!(after != joel && after != guest, "the visitor is a new guest after logout");
}

fn remember_by_curl(app: App) {
    if tools::skipped() {
        return;
    }
    let stand = Stand::start(app);
    let visitor = Visitor::of(&stand);

    let login = visitor.post("/login", &[("username", "alice"), ("remember", "on")]);
    let (ticket, attributes) = login.new_cookie().expect("a login sets the cookie");
    // 31 days.
    assert_eq!(attributes, ["httponly", "max-age=2678400", "path=/", "samesite=lax", "secure"]);
    let [cookie] = &visitor.jar()[..] else { panic!("not exactly one cookie: {:?}", visitor.jar()) };
    assert!(cookie.expires > 0 && cookie.value == ticket, "{cookie:?}");
    assert_logged_in(&visitor.get("/"), "alice", 1);

    visitor.post("/logout", &[]);
    assert_logged_out(&visitor.get("/"));
    assert_ne!(visitor.ticket(), ticket, "a guest's cookie, for this browser session");
}

fn visit_by_chromium(app: App) {
    if tools::skipped() {
        return;
    }
    let stand = Stand::start(app);
    tools::visit_in_chromium("apps/browser.js", &stand.origin);
}

fn assert_logged_out(page: &Answer) {
    assert_eq!(page.status, 200, "{page:?}");
    assert!(page.body.contains("You are not logged in."), "{page:?}");
    assert_eq!(page.text_of("user"), None, "{page:?}");
}

fn assert_logged_in(page: &Answer, user: &str, visits: u32) {
    assert_eq!(page.status, 200, "{page:?}");
    assert_eq!(page.text_of("user"), Some(user), "{page:?}");
    assert_eq!(page.text_of("visits"), Some(&*visits.to_string()), "{page:?}");
}

/// Neither as text nor in base64, wherever in a group of three bytes it may start.
fn assert_holds_no_name(ticket: &str, name: &str) {
    let bytes = URL_SAFE_NO_PAD.decode(ticket).expect("a ticket is base64url");
    assert!(!ticket.contains(name), "{ticket}");
    assert!(!bytes.windows(name.len()).any(|part| part == name.as_bytes()), "{ticket}");
}
