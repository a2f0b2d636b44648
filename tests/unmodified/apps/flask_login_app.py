"""A login as Flask-Login's documentation has it, with "remember me". It knows nothing of the gateway."""

from flask import Flask, redirect, render_template_string, request
from flask_login import LoginManager, UserMixin, login_user, logout_user

from flask_app import FORM, HOME

app = Flask(__name__)
app.secret_key = "a secret of the application's own"
logins = LoginManager(app)


class User(UserMixin):
    def __init__(self, name):
        self.id = name


@logins.user_loader
def load(name):
    return User(name)


@app.get("/")
def home():
    return render_template_string(HOME.replace("session.user", "current_user.id"))


@app.get("/login")
def form():
    return render_template_string(FORM)


@app.post("/login")
def login():
    if request.form["password"] != "secret":
        return redirect("/login")
    login_user(User(request.form["username"]), remember=True)
    return redirect("/")


@app.post("/logout")
def logout():
    logout_user()
    return redirect("/")
