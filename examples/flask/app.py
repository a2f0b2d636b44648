"""The login of Flask's quickstart with a visit counter and a cart, and without SECRET_KEY or a cookie of its own."""

from flask import Flask, redirect, render_template, request, session, url_for
from gateway_session import GatewaySessions

app = Flask(__name__)
app.session_interface = GatewaySessions()


@app.get("/")
def index():
    # Visitors who are not logged in are not counted: so nothing needs to be stored for them.
    if session.user:
        session["visits"] = session.get("visits", 0) + 1
    return render_template("index.html")


@app.get("/login")
def login_form():
    return render_template("login.html")


@app.post("/login")
def login():
    username = request.form.get("username", "").strip()
    # The name travels in a header, so: no control characters. A real application checks a password here.
    if not (0 < len(username) <= 64 and username.isprintable()):
        return render_template("login.html", refused=username), 400
    session.login(username)
    session.persist("remember" in request.form)
    return redirect(url_for("index"), 303)


@app.post("/logout")
def logout():
    session.logout()
    return redirect(url_for("index"), 303)


@app.post("/cart")
def add_to_cart():
    # Bounded, since the gateway sends no more than 6 KiB of a session in a header.
    item = request.form.get("item", "").strip()[:40]
    if item:
        session["cart"] = [*session.get("cart", []), item][-10:]
    return redirect(url_for("index"), 303)


@app.post("/cart/empty")
def empty_cart():
    session.pop("cart", None)
    return redirect(url_for("index"), 303)
