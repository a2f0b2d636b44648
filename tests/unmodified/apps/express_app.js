"use strict";

/** A login as a session middleware's README has it: node express_app.js NAME. It knows nothing of the gateway. */

const cookieSession = require("cookie-session");
const express = require("express");
const expressSession = require("express-session");

const secret = "a secret of the application's own";
const { middleware, begin, end } = {
  "express-session": {
    // Secure where the visitor came by https.
    middleware: expressSession({ secret, resave: false, saveUninitialized: false, cookie: { secure: "auto" } }),
    begin: (request, user, next) =>
      request.session.regenerate((error) => {
        if (!error) request.session.user = user;
        next(error);
      }),
    end: (request, next) => request.session.destroy(next),
  },
  "cookie-session": {
    middleware: cookieSession({ secret }),
    begin: (request, user, next) => {
      request.session = { user };
      next();
    },
    end: (request, next) => {
      request.session = null;
      next();
    },
  },
}[process.argv[2]];

const app = express();
app.set("trust proxy", "loopback"); // as behind any proxy that speaks TLS
app.use(middleware);
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
  begin(request, username, (error) => (error ? next(error) : response.redirect("/")));
});

app.post("/logout", (request, response, next) => {
  end(request, (error) => (error ? next(error) : response.redirect("/")));
});

const server = app.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}`));
