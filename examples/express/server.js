"use strict";

/** The same application as examples/flask: a login, a visit counter and a cart, and no cookie or store of its own. */

const express = require("express");
const gatewaySession = require("./gateway-session");
const { indexPage, loginPage } = require("./pages");

const app = express();
app.disable("x-powered-by");
app.use(gatewaySession);
app.use(express.urlencoded({ extended: false }));

/** A form field as text; a field sent twice arrives as an array. */
const field = (req, name) => String(req.body?.[name] ?? "").trim();

app.get("/", (req, res) => {
  const { user, data } = req.session;
  // Visitors who are not logged in are not counted: so nothing needs to be stored for them.
  if (user) data.visits = (data.visits ?? 0) + 1;
  res.send(indexPage(user, data));
});

app.get("/login", (req, res) => {
  res.send(loginPage());
});

app.post("/login", (req, res) => {
  const username = field(req, "username");
  // The name travels in a header, so: ASCII. A real application checks a password here.
  if (!/^[\x20-\x7e]{1,64}$/.test(username)) {
    return res.status(400).send(loginPage(username));
  }
  req.session.login(username);
  req.session.persist(field(req, "remember") !== "");
  res.redirect(303, "/");
});

app.post("/logout", (req, res) => {
  req.session.logout();
  res.redirect(303, "/");
});

app.post("/cart", (req, res) => {
  const { data } = req.session;
  // Bounded, since the gateway sends no more than 6 KiB of a session in a header.
  const item = [...field(req, "item")].slice(0, 40).join("");
  if (item) data.cart = [...(data.cart ?? []), item].slice(-10);
  res.redirect(303, "/");
});

app.post("/cart/empty", (req, res) => {
  delete req.session.data.cart;
  res.redirect(303, "/");
});

// Loopback only: whoever reaches this port directly can claim to be anybody.
const server = app.listen(process.env.PORT ?? 3000, "127.0.0.1", (error) => {
  if (error) throw error;
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
});
