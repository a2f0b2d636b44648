"use strict";

/** The pages, as templates that escape whatever they are given. */

class Html {
  constructor(text) {
    this.text = text;
  }
}

const ENTITIES = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

function escape(value) {
  if (value instanceof Html) return value.text;
  if (Array.isArray(value)) return value.map(escape).join("");
  return String(value).replace(/[&<>"']/g, (c) => ENTITIES[c]);
}

const html = (parts, ...values) => new Html(String.raw({ raw: parts }, ...values.map(escape)));

const page = (content) =>
  html`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Corner shop</title>
<style>
  :root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; accent-color: #2a7; }
  body { max-width: 34rem; margin: 3rem auto; padding: 0 1rem; }
  section { margin: 1rem 0; padding: .5rem 1.25rem 1rem; border: 1px solid #8886; border-radius: .5rem; }
  h2 { margin: .25rem 0 .5rem; font-size: 1.1rem; }
  form { display: inline-block; margin: .25rem .5rem .25rem 0; }
  input, button { font: inherit; padding: .3rem .7rem; border: 1px solid #8888; border-radius: .35rem; }
  .refused { color: #c33; }
  footer { font-size: .85rem; opacity: .7; }
</style>
<h1>Corner shop</h1>
${content}
<footer>Express behind Session Gateway: this application stores nothing and sets no cookie.</footer>
</html>
`.text;

const loggedIn = (user, visits) => html`
  <p>Logged in as <strong id="user">${user}</strong>. Visits since then: <strong id="visits">${visits}</strong>.</p>
  <form method="post" action="/logout"><button id="logout">Log out</button></form>`;

const anonymous = html`
  <p id="anonymous">You are not logged in. <a href="/login">Log in</a></p>`;

const filled = (cart) => html`
  <ul id="cart">${cart.map((item) => html`
    <li>${item}</li>`)}
  </ul>`;

const empty = html`
  <p>Nothing yet. What you add before you log in stays with you.</p>`;

const emptyButton = html`
  <form method="post" action="/cart/empty"><button id="empty">Empty</button></form>`;

exports.indexPage = (user, { visits, cart = [] }) =>
  page(html`<section>${user ? loggedIn(user, visits) : anonymous}
</section>
<section>
  <h2>Cart</h2>${cart.length ? filled(cart) : empty}
  <form method="post" action="/cart"><input name="item" aria-label="Item" maxlength="40" placeholder="tea" required> <button id="add">Add</button></form>${cart.length ? emptyButton : ""}
</section>`);

const refusal = (username) => html`
  <p class="refused">“${username}” will not do: a name has 1 to 64 printable ASCII characters.</p>`;

exports.loginPage = (refused) =>
  page(html`<section>
  <h2>Log in</h2>${refused === undefined ? "" : refusal(refused)}
  <form method="post">
    <p><label>Name <input name="username" maxlength="64" autocomplete="username" required autofocus></label></p>
    <p><label><input type="checkbox" name="remember"> Remember me</label></p>
    <button id="login">Log in</button>
  </form>
</section>`);
