//! The shop's one page.

use axum::http::header::{HeaderMap, HeaderName};
use serde_json::Value;

/// The page for one visitor.
pub(crate) fn render(headers: &HeaderMap, user: &HeaderName, visits: u64, cart: Option<&Value>) -> String {
    let user = headers.get(user).map(|name| escaped(&String::from_utf8_lossy(name.as_bytes())));
    let who = match &user {
        Some(name) => {
            format!("<p>You are <b>{name}</b>.</p><form method=post action=/logout><button>Log out</button></form>")
        }
        None => "<form method=post action=/login><input name=name placeholder='Your name' required autofocus> \
                 <label><input type=checkbox name=remember> remember me</label> <button>Log in</button></form>"
            .to_owned(),
    };
    let items: Vec<String> = cart
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(|item| format!("<li>{}</li>", escaped(item.as_str().unwrap_or_default())))
        .collect();
    let ours = |(name, _): &(&HeaderName, _)| !name.as_str().starts_with("x-session-");
    let mut headers: Vec<_> = headers.iter().collect();
    headers.sort_by_key(ours);
    let rows: Vec<String> = headers
        .iter()
        .map(|(name, value)| {
            let mark = if name.as_str().starts_with("x-session-") { " class=ours" } else { "" };
            let value = escaped(&String::from_utf8_lossy(value.as_bytes()));
            format!("<tr{mark}><td>{name}</td><td>{value}</td></tr>")
        })
        .collect();
    let (items, rows) = (items.concat(), rows.concat());
    format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>\
         <title>Session Gateway demo</title><style>{STYLE}</style>\
         <h1>A shop that keeps nothing</h1>\
         <p>This backend has no session code, no cookie and no store. The gateway in front of it tells it who you are.</p>\
         <div class=cards><section><h2>You</h2>{who}<p>Visit number <b id=visits>{visits}</b>.</p></section>\
         <section><h2>Cart</h2><ul id=cart>{items}</ul>\
         <form method=post action=/cart><input name=item placeholder='An item' required maxlength=40> \
         <button>Add</button></form>\
         <form method=post action=/cart/empty><button class=quiet>Empty it</button></form></section></div>\
         <h2>The headers this backend saw</h2><table>{rows}</table>\
         <p class=note>Your browser holds one cookie, signed and opaque, that no script can read. \
         It never reaches this backend.</p></html>"
    )
}

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:56rem;margin:2rem auto;padding:0 1rem;color:#1c2733}\
h1{margin-bottom:.2rem}h2{font-size:1.1rem;margin:.2rem 0 .6rem}.cards{display:flex;gap:1rem;flex-wrap:wrap}\
section{flex:1;min-width:18rem;border:1px solid #d5dde5;border-radius:8px;padding:1rem}\
input:not([type=checkbox]){font:inherit;padding:.3rem .5rem;border:1px solid #9fb0c0;border-radius:5px}\
button{font:inherit;padding:.3rem .9rem;border:0;border-radius:5px;background:#1660a8;color:#fff;cursor:pointer}\
button.quiet{background:#e6ecf2;color:#1c2733;margin-top:.5rem}table{border-collapse:collapse;width:100%;font:13px/1.4 monospace}\
td{border-bottom:1px solid #e6ecf2;padding:.25rem .5rem;vertical-align:top;overflow-wrap:anywhere}td:first-child{white-space:nowrap}\
tr.ours{background:#eaf4e6;font-weight:600}.note{color:#5a6b7b}";

fn escaped(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut page, character| {
        match character {
            '&' => page.push_str("&amp;"),
            '<' => page.push_str("&lt;"),
            '>' => page.push_str("&gt;"),
            '"' => page.push_str("&quot;"),
            '\'' => page.push_str("&#39;"),
            character => page.push(character),
        }
        page
    })
}
