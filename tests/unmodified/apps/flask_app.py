"""A login as Flask's own documentation has it, and requests that wait. It knows nothing of the gateway.

flask --app flask_app run                               Flask's signed cookie
flask --app 'flask_app:create_app(permanent=True)' run  one that outlives the browser
flask --app 'flask_app:create_app(redis="URL")' run     Flask-Session
"""

import socket

import flask
from flask import Flask, redirect, request, session

FORM = """<!doctype html><title>Log in</title>
{% if session.failures %}<p>Incorrect password.</p>{% endif %}
<form method="post"><input name="username"><input name="password" type="password"><button>Log in</button></form>"""
HOME = """<!doctype html><title>Home</title>
{% if session.user %}<b id="user">{{ session.user }}</b>
<form method="post" action="/logout"><button>Log out</button></form>
{% else %}<a href="/login">Log in</a>{% endif %}"""


def create_app(permanent=False, redis=None):
    app = Flask(__name__)
    app.secret_key = "a secret of the application's own"
    if redis:
        from flask_session import Session
        from redis import Redis

        app.config.update(SESSION_TYPE="redis", SESSION_REDIS=Redis.from_url(redis))
        Session(app)

    @app.get("/")
    def home():
        return flask.render_template_string(HOME)

    @app.get("/login")
    def form():
        return flask.render_template_string(FORM)

    @app.post("/login")
    def login():
        if request.form["password"] != "secret":
            session["failures"] = session.get("failures", 0) + 1
            return redirect("/login")
        session.permanent = permanent
        session["user"] = request.form["username"]
        return redirect("/")

    @app.post("/logout")
    def logout():
        session.clear()
        return redirect("/")

    @app.get("/notes")
    def read():
        notes = session.get("notes", {})
        wait()
        return "".join(f"{name}: {text}\n" for name, text in sorted(notes.items()))

    @app.post("/notes/<name>")
    def write(name):
        notes = dict(session.get("notes", {}))
        wait()
        session["notes"] = notes | {name: request.form["text"]}
        return "noted"

    return app


def wait():
    """Where the request names a gate, a port, waits there until somebody opens it."""
    if "gate" in request.args:
        with socket.create_connection(("127.0.0.1", int(request.args["gate"])), timeout=30) as gate:
            gate.recv(1)
