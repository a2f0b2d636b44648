"use strict";

/** A login as express-session's README has it. It knows nothing of the gateway. */

const express = require("express");
const session = require("express-session");

const app = express();
// As behind any proxy that speaks TLS: express-session sets its cookie Secure where the visitor came by https.
app.set("trust proxy", "loopback");
app.use(
  session({
    secret: "a secret of the application's own",
    resave: false,
    saveUninitialized: false,
    cookie: { secure: "auto", sameSite: "lax" },
  }),
);
app.use(express.urlencoded({ extended: false }));

const escape = (text) => text.replace(/[&<>"]/g, (each) => `&#${each.charCodeAt(0)};`);

app.get("/", (request, response) => {
  const { user } = request.session;
  response.send(
    user
      ? `<!doctype html><b id="user">${escape(user)}</b>
         <form method="post" action="/logout"><button>Log out</button></form>`
      : '<!doctype html><a href="/login">Log in</a>',
  );
});

app.get("/login", (request, response) => {
  const { message = "" } = request.session;
  delete request.session.message;
  response.send(`<!doctype html><p>${message}</p><form method="post">
    <input name="username"><input name="password" type="password"><button>Log in</button></form>`);
});

app.post("/login", (request, response, next) => {
  const { username, password } = request.body;
  if (password !== "secret") {
    request.session.message = "Incorrect password.";
    return response.redirect("/login");
  }
  request.session.regenerate((error) => {
    if (error) return next(error);
    request.session.user = username;
    response.redirect("/");
  });
});

app.post("/logout", (request, response, next) => {
  request.session.destroy((error) => (error ? next(error) : response.redirect("/")));
});

const server = app.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}`));
