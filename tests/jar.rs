//! Applications that know nothing of the gateway: their cookies are kept in the session, over every kind of store.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use support::*;

/// The application's login, which keeps what it knows in a cookie of its own.
const APP: &str = "jar = { mode = \"enforce\", capture = [\"session\", \"app_*\"], renew_on = [\"POST /login\"] }\n";

/// What an application does with cookies must hold whatever store keeps them.
macro_rules! in_every_store {
    ($($promise:ident)*) => {
        mod in_memory {
            $(#[test] fn $promise() { super::$promise(super::Site::build()); })*
        }
        mod in_redis {
            $(#[test] fn $promise() { super::$promise(super::Site::build().redis(super::Redis::start(), "")); })*
        }
    };
}

in_every_store! {
    a_captured_cookie_goes_upstream_and_never_to_the_browser
    what_the_application_deletes_is_gone_and_so_is_an_empty_session
    logout_wins_over_the_answer_to_an_earlier_request
    logout_wins_in_a_session_that_holds_more_than_the_cookie
    a_deletion_is_no_bar_to_a_later_login
    a_ticket_from_before_the_login_is_worthless_after_it
    a_login_in_a_session_that_has_the_cookie_already_renews_where_it_is_named
    a_second_click_on_login_logs_in
    parallel_answers_merge_cookie_by_cookie
    an_answer_that_only_refreshes_overwrites_no_newer_value
    a_client_cannot_send_what_is_kept_for_it
    cookies_go_where_their_attributes_say
    a_cookie_that_expires_is_gone_and_one_that_outlives_the_browser_makes_ours_do_so
    ours_outlives_the_browser_no_longer_than_one_of_the_application_s_does
    what_is_more_than_a_session_may_hold_goes_nowhere_and_what_was_there_stands
    what_browsers_hold_beyond_the_limits_stays_theirs_for_a_while
    an_application_s_login_lives_as_a_session_without_a_user
    revoking_the_session_logs_the_application_out
    a_login_of_the_gateway_s_keeps_the_cookies
    what_no_script_can_read_is_captured_by_its_kind
    what_browsers_still_hold_is_taken_over_once
    a_logout_holds_against_what_the_browser_still_held
}

fn set(cookie: &str) -> Reply {
    ok().with("Set-Cookie", cookie)
}

fn deletion() -> Reply {
    set("session=; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; HttpOnly; Path=/")
}

/// What the backend sees in `Cookie` on a request of this kind.
fn sees(site: &Site, browser: &Browser, request: Request) -> Option<String> {
    let (seen, answer) = site.visit(browser, request, ok());
    assert_eq!(answer.status(), 200);
    seen.header("Cookie").map(str::to_owned)
}

/// A visitor who has logged in at the application, whose cookie has this value.
fn logged_in(site: &Site, value: &str) -> Browser {
    let browser = site.guest();
    let (_, answer) = site.visit(&browser, post("/auth"), set(&format!("session={value}; HttpOnly; Path=/")));
    assert_ours_alone(&answer);
    browser
}

fn assert_ours_alone(answer: &Answer) {
    assert_eq!(answer.status(), 200);
    let names: Vec<_> = answer.set_cookies().into_iter().map(|cookie| cookie.name).collect();
    assert_eq!(names, [COOKIE]);
}

fn a_captured_cookie_goes_upstream_and_never_to_the_browser(setup: Setup) {
    let site = setup.upstream(APP).start();
    let browser = logged_in(&site, "one");
    assert_eq!(browser.cookie("session"), None);
    assert_eq!(sees(&site, &browser, get("/")).as_deref(), Some("session=one"));
    // What is not captured is the browser's, as before.
    let (_, answer) = site.visit(&browser, get("/"), set("csrftoken=x; Path=/").with("Set-Cookie", "app_a=1"));
    assert_eq!(answer.headers_all("Set-Cookie")[0], "csrftoken=x; Path=/");
    assert_eq!(sees(&site, &browser, get("/")).as_deref(), Some("csrftoken=x; session=one; app_a=1"));
    // Odd bytes go as they came.
    site.visit(&browser, get("/"), set("session=\"a, b\" = c%00"));
    assert_eq!(sees(&site, &browser, get("/")).as_deref(), Some("csrftoken=x; session=\"a, b\" = c%00; app_a=1"));
    assert_eq!(site.metric("session_gateway_jar_cookies_total", &[("outcome", "captured")]), 3);
}

fn what_the_application_deletes_is_gone_and_so_is_an_empty_session(setup: Setup) {
    let site = setup.upstream(APP).start();
    let browser = logged_in(&site, "one");
    assert_eq!(site.live_sessions(), 1);
    let stolen = browser.copy();
    let (_, answer) = site.visit(&browser, post("/logout"), deletion());
    assert!(answer.deletes_sid(), "{}", answer.text_head());
    assert_ours_alone(&answer);
    assert_eq!(site.live_sessions(), 0);
    assert_eq!(sees(&site, &stolen, get("/")), None);
    assert_eq!(sees(&site, &browser, get("/")), None);
}

fn logout_wins_over_the_answer_to_an_earlier_request(setup: Setup) {
    let site = setup.upstream(APP).start();
    let browser = logged_in(&site, "one");
    let stolen = browser.copy();
    let slow = browser.send(get("/slow"));
    let held = site.backend.next();
    site.visit(&browser, post("/logout"), deletion());
    held.reply(set("session=back; Path=/"));
    let answer = slow.answer();
    assert_eq!((answer.status(), answer.set_cookies()), (200, Vec::new()));
    assert_eq!(site.live_sessions(), 0);
    for browser in [&browser, &stolen] {
        assert_eq!(sees(&site, browser, get("/")), None);
    }
}

fn logout_wins_in_a_session_that_holds_more_than_the_cookie(setup: Setup) {
    let site = setup.upstream(APP).start();
    let browser = site.keep(r#"{"cart":["tea"]}"#);
    site.visit(&browser, post("/auth"), set("session=one; Path=/"));
    let slow = browser.send(get("/slow"));
    let held = site.backend.next();
    site.visit(&browser, post("/logout"), deletion());
    held.reply(set("session=back; Path=/"));
    assert_eq!(slow.answer().status(), 200);
    assert_eq!(sees(&site, &browser, get("/")), None);
    assert_eq!(site.look(&browser).data(), Some(serde_json::json!({"cart": ["tea"]})));
    // Whoever began after the logout sets what it will.
    site.visit(&browser, get("/"), set("session=new; Path=/"));
    assert_eq!(sees(&site, &browser, get("/")).as_deref(), Some("session=new"));
}

fn a_deletion_is_no_bar_to_a_later_login(setup: Setup) {
    let site = setup.upstream(APP).start();
    let browser = logged_in(&site, "one");
    site.visit(&browser, post("/logout"), deletion());
    site.visit(&browser, post("/auth"), set("session=two; Path=/"));
    assert_eq!(sees(&site, &browser, get("/")).as_deref(), Some("session=two"));
    // An application that first deletes and then sets, in one answer, means the last.
    site.visit(&browser, get("/"), deletion().with("Set-Cookie", "session=three; Path=/"));
    assert_eq!(sees(&site, &browser, get("/")).as_deref(), Some("session=three"));
    site.visit(&browser, get("/"), deletion().with("Set-Cookie", "session=three; Path=/"));
    assert_eq!(sees(&site, &browser, get("/")).as_deref(), Some("session=three"), "the same value once more");
}

fn a_ticket_from_before_the_login_is_worthless_after_it(setup: Setup) {
    let site = setup.upstream(APP).start();
    for victim in [site.guest(), site.keep(r#"{"cart":[]}"#)] {
        let planted = victim.copy();
        let old = site.look(&victim).id().to_owned();
        site.visit(&victim, post("/auth"), set("session=one; Path=/"));
        assert_eq!(sees(&site, &victim, get("/")).as_deref(), Some("session=one"));
        assert_ne!(site.look(&victim).id(), old, "a login changes the id");
        assert_eq!(sees(&site, &planted, get("/")), None);
        // Nor does what it writes reach anybody.
        let (_, answer) = site.visit(&planted, get("/"), set("session=evil; Path=/"));
        assert_eq!(answer.set_cookies(), []);
        assert_eq!(sees(&site, &victim, get("/")).as_deref(), Some("session=one"));
    }
}

fn a_login_in_a_session_that_has_the_cookie_already_renews_where_it_is_named(setup: Setup) {
    let site = setup.upstream(APP).start();
    let victim = site.guest();
    // As Flask does for a flashed message: the application keeps something for whoever is not logged in.
    site.visit(&victim, post("/login"), set("session=flash; Path=/"));
    let planted = victim.copy();
    let (_, answer) = site.visit(&victim, post("/login"), set("session=alice; Path=/"));
    assert_ours_alone(&answer);
    assert_eq!(sees(&site, &victim, get("/")).as_deref(), Some("session=alice"));
    assert_eq!(sees(&site, &planted, get("/")), None);
    // The same where the application logs in without a new cookie, as one with its own store may.
    let planted = victim.copy();
    site.visit(&victim, post("/login"), ok());
    assert_eq!(sees(&site, &planted, get("/")), None);
    assert_eq!(sees(&site, &victim, get("/")).as_deref(), Some("session=alice"));
    // By whatever path the application could take for it: a form without an action goes to that of its page.
    for path in ["/%6cogin", "//login", "/login;jsessionid=1", "/LOGIN", "/login/", "/login?next=/"] {
        let before = victim.sid();
        site.visit(&victim, post(path), set("session=alice; Path=/"));
        assert_ne!(victim.sid(), before, "{path}");
    }
    // And nowhere else.
    for request in [get("/login"), post("/login/more"), post("/other")] {
        let before = victim.sid();
        site.visit(&victim, request, set("session=alice; Path=/"));
        assert_eq!(victim.sid(), before);
    }
}

fn a_second_click_on_login_logs_in(setup: Setup) {
    let site = setup.upstream(APP).start();
    let browser = site.guest();
    let (first, second) = (browser.copy().send(post("/login")), browser.send(post("/login")));
    for value in ["one", "two"] {
        site.backend.next().reply(set(&format!("session={value}; Path=/")));
    }
    drop(first.answer());
    assert_ours_alone(&second.answer());
    assert!(sees(&site, &browser, get("/")).is_some_and(|cookie| cookie.starts_with("session=")));
}

fn parallel_answers_merge_cookie_by_cookie(setup: Setup) {
    let site = setup.upstream(APP).start();
    let browser = logged_in(&site, "one");
    site.visit(&browser, get("/"), set("app_a=0; Path=/").with("Set-Cookie", "app_b=0; Path=/"));
    let pending = [browser.send(get("/a")), browser.send(get("/b"))];
    let held = [site.backend.next(), site.backend.next()];
    for exchange in held {
        let name = exchange.target().trim_start_matches('/').to_owned();
        exchange.reply(set(&format!("app_{name}=1; Path=/")));
    }
    for pending in pending {
        assert_eq!(pending.answer().set_cookies(), []);
    }
    assert_eq!(sees(&site, &browser, get("/")).as_deref(), Some("session=one; app_a=1; app_b=1"));
}

fn an_answer_that_only_refreshes_overwrites_no_newer_value(setup: Setup) {
    let site = setup.upstream(APP).start();
    let browser = logged_in(&site, "one");
    let slow = browser.send(get("/slow"));
    let held = site.backend.next();
    site.visit(&browser, get("/"), set("session=two; Path=/"));
    held.reply(set("session=one; Max-Age=600; Path=/"));
    slow.answer();
    assert_eq!(sees(&site, &browser, get("/")).as_deref(), Some("session=two"));
    // The same where a framework signs it anew, with the time at the end: Flask does for a permanent session.
    let signed = |said: &str, time: &str| format!("session={said}.{time}.64U4C4SWN1vp3mDE_4dw8e1RmNY; Path=/");
    site.visit(&browser, get("/"), set(&signed("alice", "avXloA")));
    let slow = browser.send(get("/slow"));
    let held = site.backend.next();
    site.visit(&browser, get("/"), set(&signed("alice-with-tea", "avXloB")));
    held.reply(set(&signed("alice", "avXloC")));
    slow.answer();
    let seen = sees(&site, &browser, get("/"));
    assert!(seen.as_ref().is_some_and(|seen| seen.starts_with("session=alice-with-tea.avXloB.")), "{seen:?}");
    // With nothing newer there, it is kept.
    site.visit(&browser, get("/"), set(&signed("alice-with-tea", "avXloD")));
    let seen = sees(&site, &browser, get("/"));
    assert!(seen.as_ref().is_some_and(|seen| seen.starts_with("session=alice-with-tea.avXloD.")), "{seen:?}");
    // What changed the value itself wins, as in a browser: nobody can merge two opaque values.
    let slow = browser.send(get("/slow"));
    let held = site.backend.next();
    site.visit(&browser, get("/"), set("session=three; Path=/"));
    held.reply(set("session=four; Path=/"));
    slow.answer();
    assert_eq!(sees(&site, &browser, get("/")).as_deref(), Some("session=four"));
}

fn a_client_cannot_send_what_is_kept_for_it(setup: Setup) {
    let site = setup.upstream(APP).start();
    let browser = logged_in(&site, "one");
    for sent in [
        "session=evil",
        "session=evil; a=1",
        "app_x=1;a=1",
        "Session=evil; app.x=2; a=1",
        "session",
        " session = x",
        "x=1 session=evil",
        "%73ession=evil; a=1",
    ] {
        let stranger = get("/").without_jar().with("Cookie", sent);
        let (seen, _) = site.visit(&site.browser(), stranger, ok());
        let rest = sent.contains("a=1").then_some("a=1");
        assert_eq!(seen.header("Cookie"), rest, "{sent}");
        let owner = get("/").without_jar().with("Cookie", &format!("{sent}; {COOKIE}={}", browser.sid().unwrap()));
        let (seen, _) = site.visit(&browser, owner, ok());
        let all = rest.map_or_else(|| "session=one".to_owned(), |rest| format!("{rest}; session=one"));
        assert_eq!(seen.header("Cookie"), Some(&*all), "{sent}");
    }
    let refused = site.metric("session_gateway_jar_cookies_total", &[("outcome", "refused")]);
    assert_eq!(refused, 2 * 9);
}

fn cookies_go_where_their_attributes_say(setup: Setup) {
    let site = setup.upstream(APP).start();
    let browser = logged_in(&site, "one");
    site.visit(&browser, get("/shop/cart?x=/y/z"), set("app_default=1"));
    site.visit(
        &browser,
        get("/"),
        set("app_deep=2; Path=/shop/cart").with("Set-Cookie", "app_secure=3; Secure; Path=/"),
    );
    site.visit(&browser, get("/"), set("app_strict=4; SameSite=Strict; Path=/"));
    site.visit(&browser, get("/"), set("app_foreign=5; Domain=elsewhere.example; Path=/"));
    let path = |path: &str| sees(&site, &browser, get(path)).unwrap();
    assert_eq!(path("/"), "session=one; app_secure=3; app_strict=4");
    assert_eq!(path("/shopping"), path("/"));
    assert_eq!(path("/shop/x"), "app_default=1; session=one; app_secure=3; app_strict=4");
    assert_eq!(path("/shop/cart/1"), "app_deep=2; app_default=1; session=one; app_secure=3; app_strict=4");
    let link = get("/").with("Sec-Fetch-Site", "cross-site").with("Sec-Fetch-Mode", "navigate");
    assert_eq!(sees(&site, &browser, link.clone()).as_deref(), Some("session=one; app_secure=3"));
    let form = post("/").with("Sec-Fetch-Site", "cross-site").with("Sec-Fetch-Mode", "navigate");
    assert_eq!(sees(&site, &browser, form), None);
    // Another upstream has another jar; here there is one only, and another host.
    let elsewhere = site.browser_of("127.0.0.1");
    elsewhere.plant(COOKIE, &browser.sid().unwrap());
    assert_eq!(sees(&site, &elsewhere, get("/")), None);
}

fn a_cookie_that_expires_is_gone_and_one_that_outlives_the_browser_makes_ours_do_so(setup: Setup) {
    let site = setup.upstream(APP).start();
    let browser = site.guest();
    let (_, answer) = site.visit(&browser, post("/auth"), set("session=one; Max-Age=600; Path=/"));
    assert!(answer.sid().unwrap().attribute("max-age").is_some(), "{}", answer.text_head());
    site.visit(&browser, get("/"), set("app_a=1; Expires=Fri, 15 Jan 2027 08:00:30 GMT; Path=/"));
    assert_eq!(sees(&site, &browser, get("/")).as_deref(), Some("session=one; app_a=1"));
    site.wait(31);
    assert_eq!(sees(&site, &browser, get("/")).as_deref(), Some("session=one"));
    site.wait(569);
    assert_eq!(sees(&site, &browser, get("/")), None);
}

fn ours_outlives_the_browser_no_longer_than_one_of_the_application_s_does(setup: Setup) {
    let site = setup.upstream(APP).start();
    let browser = site.guest();
    let persists = |reply: Reply| {
        let (_, answer) = site.visit(&browser, get("/"), reply);
        answer.sid().map(|cookie| cookie.attribute("max-age").is_some())
    };
    assert_eq!(persists(set("session=visitor; Max-Age=600; Path=/")), Some(true));
    // A login without "remember me".
    assert_eq!(persists(set("session=alice; Path=/")), Some(false));
    assert_eq!(persists(set("app_a=1; Max-Age=600; Path=/").with("Set-Cookie", "session=alice; Path=/")), Some(true));
    assert_eq!(persists(set("session=bob; Path=/")), None, "the other still does");
    assert_eq!(persists(set("app_a=; Max-Age=0; Path=/")), Some(false));
    assert_eq!(sees(&site, &browser, get("/")).as_deref(), Some("session=bob"));
}

fn what_is_more_than_a_session_may_hold_goes_nowhere_and_what_was_there_stands(setup: Setup) {
    let site = setup.upstream(APP).start();
    let browser = logged_in(&site, "one");
    let before = browser.sid();
    let long = format!("session={}; Path=/", "x".repeat(4096));
    let (_, answer) = site.visit(&browser, get("/"), set(&long));
    assert_eq!(answer.set_cookies(), [], "the browser would not be believed when it sends it back");
    assert_eq!((sees(&site, &browser, get("/")).as_deref(), browser.sid()), (Some("session=one"), before));
    // 16 KiB, and not a cookie more; what is deleted makes room.
    for index in 0..5 {
        site.visit(&browser, get("/"), set(&format!("app_{index}={}; Path=/", "x".repeat(4000))));
        let seen = sees(&site, &browser, get("/")).unwrap();
        assert_eq!(seen.contains(&format!("app_{index}=")), index < 4, "{index}");
        assert!(seen.starts_with("session=one"), "{index}");
    }
    let (_, answer) = site.visit(&browser, get("/"), set(&format!("session={}; Path=/", "x".repeat(4000))));
    assert_eq!(answer.set_cookies(), []);
    assert!(sees(&site, &browser, get("/")).unwrap().starts_with("session=one; "), "the value that was there");
    let replaced = deletion().with("Set-Cookie", "app_0=; Max-Age=0; Path=/").with("Set-Cookie", "app_9=new; Path=/");
    site.visit(&browser, get("/"), replaced);
    let seen = sees(&site, &browser, get("/")).unwrap();
    assert!(seen.ends_with("app_9=new") && !seen.contains("app_0="), "{} bytes", seen.len());
    let mut many = ok();
    for index in 0..60 {
        many = many.with("Set-Cookie", &format!("app_n{index}=; Path=/"));
    }
    let (_, answer) = site.visit(&browser, get("/"), many);
    assert_ours_alone(&answer);
    let seen = sees(&site, &browser, get("/")).unwrap();
    assert_eq!(seen.matches("app_n").count(), 46, "four were there already");
    assert_eq!(site.metric("session_gateway_jar_cookies_total", &[("outcome", "over_limit")]), 1 + 1 + 1 + 14);
}

fn what_browsers_hold_beyond_the_limits_stays_theirs_for_a_while(setup: Setup) {
    let adopts = "jar = { mode = \"enforce\", capture = [\"app_*\"], adopt_until = 2027-01-16 }";
    let site = setup.upstream(adopts).start();
    let browser = site.browser();
    (0..5).for_each(|index| browser.plant(&format!("app_{index}"), &"x".repeat(4000)));
    for visit in 0..2 {
        let seen = sees(&site, &browser, get("/")).unwrap();
        assert_eq!(seen.matches("app_").count(), 5, "visit {visit}");
        let left = (0..5).filter(|index| browser.cookie(&format!("app_{index}")).is_some()).count();
        assert_eq!(left, 1, "visit {visit}");
    }
}

fn an_application_s_login_lives_as_a_session_without_a_user(setup: Setup) {
    let site = setup.upstream(APP).session("idle_timeout = \"10m\"").anonymous("idle_timeout = \"1h\"").start();
    let browser = logged_in(&site, "one");
    site.wait(3599);
    assert_eq!(sees(&site, &browser, get("/")).as_deref(), Some("session=one"));
    site.wait(3600);
    assert_eq!(sees(&site, &browser, get("/")), None);
}

fn revoking_the_session_logs_the_application_out(setup: Setup) {
    let site = setup.upstream(APP).start();
    let browser = logged_in(&site, "secret-value");
    let id = site.look(&browser).id().to_owned();
    let shown = site.admin(get(&format!("/sessions/{id}")));
    let text = shown.text();
    assert!(text.contains(r#""cookies":[{"upstream":"app","name":"session","path":"/"}]"#), "{text}");
    assert!(!text.contains("secret-value"), "{text}");
    assert_eq!(site.admin(request("DELETE", &format!("/sessions/{id}"))).status(), 200);
    assert_eq!(sees(&site, &browser, get("/")), None);
}

fn a_login_of_the_gateway_s_keeps_the_cookies(setup: Setup) {
    let site = setup.upstream(APP).start();
    let browser = logged_in(&site, "one");
    site.visit(&browser, get("/"), set("app_a=1; Path=/"));
    site.login_as(&browser, "alice");
    assert_eq!(sees(&site, &browser, get("/")).as_deref(), Some("session=one; app_a=1"));
    site.visit(&browser, get("/"), set("app_b=2; Path=/"));
    assert_eq!(sees(&site, &browser, get("/")).as_deref(), Some("session=one; app_a=1; app_b=2"));
    site.login_as(&browser, "bob");
    assert_eq!(sees(&site, &browser, get("/")), None, "another user's cookies are not his");
}

fn what_no_script_can_read_is_captured_by_its_kind(setup: Setup) {
    let site = setup.upstream("jar = { mode = \"enforce\", capture = \"http-only\" }").start();
    let browser = site.guest();
    let readable = ["csrf=1; Path=/", "wide=2; HttpOnly; Domain=localhost.test", "c=3"];
    let reply = readable.iter().fold(set("hidden=x; HttpOnly; Path=/"), |reply, line| reply.with("Set-Cookie", line));
    let (_, answer) = site.visit(&browser, post("/auth"), reply);
    assert_eq!(answer.headers_all("Set-Cookie")[..3], readable);
    assert_eq!(answer.headers_all("Set-Cookie").len(), 4, "and ours");
    let request =
        get("/").without_jar().with("Cookie", &format!("hidden=evil; a=1; {COOKIE}={}", browser.sid().unwrap()));
    assert_eq!(sees(&site, &browser, request).as_deref(), Some("a=1; hidden=x"));
    // A deletion need not say HttpOnly.
    let (_, answer) = site.visit(&browser, post("/logout"), set("hidden=; Max-Age=0; Path=/"));
    assert!(answer.deletes_sid());
    assert_ours_alone(&answer);
}

const ADOPTS: &str = "jar = { mode = \"enforce\", capture = [\"session\"], adopt_until = 2027-01-16 }";

fn what_browsers_still_hold_is_taken_over_once(setup: Setup) {
    let site = setup.upstream(ADOPTS).start();
    for browser in [site.browser(), site.guest(), site.keep(r#"{"cart":[]}"#)] {
        browser.plant("session", "old");
        let (seen, answer) = site.visit(&browser, get("/"), ok());
        assert_eq!(seen.header("Cookie"), Some("session=old"), "nobody is logged out");
        assert!(answer.sid().is_some());
        assert_eq!(browser.cookie("session"), None, "the browser has it no longer: {}", answer.text_head());
        assert_eq!(sees(&site, &browser, get("/")).as_deref(), Some("session=old"));
        // Once: from now on it is not the client's to send.
        let evil = get("/").without_jar().with("Cookie", &format!("session=evil; {COOKIE}={}", browser.sid().unwrap()));
        assert_eq!(sees(&site, &browser, evil).as_deref(), Some("session=old"));
    }
    // What the application says of it at once, under whatever path, takes its place.
    let browser = site.browser();
    browser.plant("session", "old");
    let (_, answer) = site.visit(&browser, get("/app/x"), set("session=new; Path=/app"));
    assert!(
        answer.headers_all("Set-Cookie").contains(&"session=; Max-Age=0; Path=/app; Secure"),
        "{}",
        answer.text_head()
    );
    assert_eq!(sees(&site, &browser, get("/app")).as_deref(), Some("session=new"));
    assert_eq!(sees(&site, &browser, get("/")), None);
    // And how long it is to be held is known once the application sets it, be it to the same value.
    let browser = site.browser();
    browser.plant("session", "old");
    let (_, answer) = site.visit(&browser, get("/"), set("session=old; Max-Age=600; Path=/"));
    assert!(answer.sid().unwrap().attribute("max-age").is_some(), "{}", answer.text_head());
    assert_eq!(site.metric("session_gateway_jar_cookies_total", &[("outcome", "adopted")]), 5);
    // And after the day, as everybody's.
    site.wait(86_400);
    let late = site.browser();
    late.plant("session", "old");
    assert_eq!(sees(&site, &late, get("/")), None);
}

fn a_logout_holds_against_what_the_browser_still_held(setup: Setup) {
    let site = setup.upstream(ADOPTS).start();
    let browser = site.browser();
    browser.plant("session", "old");
    site.visit(&browser, get("/"), ok());
    // An answer that was lost on the way: the browser still holds both.
    browser.plant("session", "old");
    let stale = browser.copy();
    let (_, answer) = site.visit(&browser, post("/logout"), set("session=; Max-Age=0; Path=/app; HttpOnly"));
    assert!(answer.deletes_sid(), "{}", answer.text_head());
    assert!(answer.headers_all("Set-Cookie").contains(&"session=; Max-Age=0; Path=/app; Secure"));
    assert_eq!(site.live_sessions(), 0, "what was adopted is gone whatever path the deletion names");
    assert_eq!(sees(&site, &stale, get("/")), None, "nor is it adopted again with a dead ticket");
}

#[test]
fn a_jar_that_observes_changes_nothing_and_counts_every_cookie() {
    let observing = "jar = { mode = \"observe\", capture = [\"session\"] }";
    let site = Site::build().upstream(observing).trust("none").start();
    let lines = ["session=1; HttpOnly; Path=/", "csrf=2; Secure", "session=3; Domain=elsewhere.example"];
    let reply = lines.iter().fold(ok(), |reply, line| reply.with("Set-Cookie", line));
    let browser = site.guest();
    let (_, answer) = site.visit(&browser, get("/"), reply.clone());
    assert_eq!(answer.headers_all("Set-Cookie"), lines);
    assert_eq!(answer.header("Vary"), None);
    site.visit(&browser, get("/"), reply);
    assert_eq!(sees(&site, &browser, get("/")).as_deref(), Some("csrf=2; session=3"));
    let observed = |labels: &[(&str, &str)]| site.metric_if_any("session_gateway_jar_observed_total", labels);
    assert_eq!(observed(&[("cookie", "session"), ("enforce", "keep"), ("script_readable", "false")]), Some(2));
    assert_eq!(observed(&[("cookie", "session"), ("enforce", "ignore"), ("script_readable", "true")]), Some(2));
    assert_eq!(observed(&[("cookie", "csrf"), ("enforce", "pass"), ("secure", "true")]), Some(2));
    assert_eq!(observed(&[]), Some(6));
    // However many names there are, they are not all told apart.
    for index in 0..100 {
        site.visit(&browser, get("/"), set(&format!("n{index}=1")));
    }
    assert_eq!(observed(&[]), Some(106));
    assert!(observed(&[("cookie", "(others)")]).is_some_and(|others| others > 30));
    assert_eq!(site.live_sessions(), 0);
}

#[test]
fn rules_change_what_passes_to_the_browser_and_nothing_else() {
    let rules = "jar = { mode = \"enforce\", capture = [\"session\"] }\n\
        [upstream.app.cookies.\"debug_*\"]\nblock = true\n[upstream.app.cookies.plain]\n\
        [upstream.app.cookies.\"*\"]\nsecure = true\nsame_site = \"strict\"\n";
    let site = Site::build().upstream(rules).start();
    let reply = set("session=1; Path=/").with("Set-Cookie", "debug_x=1").with("Set-Cookie", "plain=1; Priority=High");
    let (_, answer) = site.visit(&site.guest(), get("/"), reply.with("Set-Cookie", "a=1; Priority=High; SameSite=Lax"));
    let lines = answer.headers_all("Set-Cookie");
    assert_eq!(lines[..2], ["plain=1; Priority=High", "a=1; Priority=High; SameSite=Strict; Secure"]);
    assert!(lines[2].starts_with(COOKIE) && lines[2].contains("SameSite=Lax") && lines.len() == 3, "{lines:?}");
}

#[test]
fn where_memory_is_full_applications_logins_go_before_the_gateway_s_users() {
    let site = Site::build().upstream(APP).store("kind = \"memory\"\nmax_sessions = 3").start();
    let user = site.login("alice");
    let visitors: Vec<_> = ["one", "two", "three"].into_iter().map(|value| logged_in(&site, value)).collect();
    assert_eq!(site.look(&user).user(), Some("alice"));
    let kept = visitors.iter().filter(|visitor| sees(&site, visitor, get("/")).is_some()).count();
    assert_eq!(kept, 2);
}

#[test]
fn where_there_is_no_session_a_captured_cookie_is_nobody_s() {
    let routes = ["path = \"/\"\nupstream = \"app\"", "path = \"/static\"\nupstream = \"app\"\nsession = false"];
    let site = Site::build().upstream(APP).routes(&routes).start();
    let browser = logged_in(&site, "one");
    let (seen, answer) =
        site.visit(&browser, get("/static/x"), set("session=two; Path=/").with("Set-Cookie", "a=1; Path=/"));
    assert_eq!(seen.header("Cookie"), None);
    assert_eq!(answer.headers_all("Set-Cookie"), ["a=1; Path=/"]);
    assert_eq!(sees(&site, &browser, get("/")).as_deref(), Some("a=1; session=one"));
    assert_eq!(site.metric("session_gateway_jar_cookies_total", &[("outcome", "homeless")]), 1);
}

#[test]
fn an_upstream_without_a_jar_keeps_its_cookies_to_itself() {
    let other = Backend::start();
    let routes = ["path = \"/\"\nupstream = \"app\"", "path = \"/other\"\nupstream = \"other\""];
    let site = Site::build().upstream(APP).another("other", &other, "").routes(&routes).start();
    let browser = logged_in(&site, "one");
    let pending = browser.send(get("/other"));
    let exchange = other.next();
    assert_eq!(exchange.header("Cookie"), None, "another upstream's cookies are not its own");
    exchange.reply(set("session=theirs; Path=/"));
    assert_eq!(pending.answer().headers_all("Set-Cookie"), ["session=theirs; Path=/"]);
    assert_eq!(sees(&site, &browser, get("/")).as_deref(), Some("session=one"));
}

#[test]
fn what_cannot_be_stored_is_never_reported_as_done_and_never_reaches_the_browser() {
    let redis = Redis::start();
    let relay = Relay::to(redis.port());
    let routes =
        ["path = \"/\"\nupstream = \"app\"", "path = \"/open\"\nupstream = \"app\"\non_store_failure = \"anonymous\""];
    let site = Site::build().upstream(APP).routes(&routes).redis_at(&redis.url_through(relay.port()), "").start();
    let (browser, guest) = (logged_in(&site, "one"), site.guest());
    relay.suffer(Fault::Refusal);
    for (browser, request) in [(&guest, post("/auth")), (&browser, post("/open")), (&site.browser(), post("/auth"))] {
        let (seen, answer) = site.visit(browser, request, set("session=two; Path=/").with("Set-Cookie", "app_a=1"));
        assert_eq!(seen.header("Cookie"), None);
        assert_eq!((answer.status(), answer.set_cookies()), (503, Vec::new()));
        assert!(!answer.text().contains("two"));
    }
    relay.heal();
    eventually("the gateway has found Redis again", || {
        let answer = browser.copy().send(get("/"));
        site.backend.next_within(std::time::Duration::from_millis(500))?.reply(ok());
        (answer.answer().status() == 200).then_some(())
    });
}

#[test]
fn a_cookie_goes_to_the_upstream_that_set_it_and_to_no_other_with_a_jar() {
    let other = Backend::start();
    let routes = ["path = \"/\"\nupstream = \"app\"", "path = \"/other\"\nupstream = \"other\""];
    let lines = format!("trust = \"full\"\n{APP}");
    let site = Site::build().upstream(APP).another("other", &other, &lines).routes(&routes).start();
    let browser = logged_in(&site, "one");
    let ask = |reply: Reply| {
        let pending = browser.send(get("/other"));
        let exchange = other.next();
        let seen = exchange.header("Cookie").map(str::to_owned);
        exchange.reply(reply);
        let answer = pending.answer();
        assert!(answer.headers_all("Set-Cookie").iter().all(|line| line.starts_with(COOKIE)));
        seen
    };
    assert_eq!(ask(set("session=theirs; Path=/")), None, "one application's login is nothing to another");
    assert_eq!(sees(&site, &browser, get("/")).as_deref(), Some("session=one"));
    assert_eq!(ask(ok()).as_deref(), Some("session=theirs"));
}

#[test]
fn a_login_that_fails_with_an_error_renews_nothing() {
    let site = Site::build().upstream(APP).start();
    let browser = logged_in(&site, "one");
    let before = browser.sid();
    let (_, answer) = site.visit(&browser, post("/login"), status("500 Internal Server Error"));
    assert_eq!((answer.status(), browser.sid()), (500, before));
    assert_eq!(sees(&site, &browser, get("/")).as_deref(), Some("session=one"));
}

#[test]
fn what_cannot_be_taken_over_from_a_browser_stays_there() {
    let site = Site::build().upstream(ADOPTS).start();
    let browser = site.browser();
    // Larger than any cookie that a session may keep.
    browser.plant("session", &"x".repeat(5000));
    assert_eq!(sees(&site, &browser, get("/")), None, "it would not be kept, and is not believed");
    assert!(browser.cookie("session").is_some());
}

#[test]
fn an_answer_to_a_dead_ticket_takes_nothing_from_the_browser() {
    let site = Site::build().upstream(ADOPTS).start();
    let browser = site.guest();
    let late = browser.copy();
    late.plant("session", "old");
    let pending = late.send(get("/slow"));
    let held = site.backend.next();
    assert_eq!(held.header("Cookie"), Some("session=old"));
    site.login_as(&browser, "alice");
    held.reply(ok());
    assert_eq!(pending.answer().set_cookies(), Vec::new(), "what was not taken over is not expired");
    assert_eq!(late.cookie("session").as_deref(), Some("old"));
}
