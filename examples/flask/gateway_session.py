"""Flask's `session`, kept by Session Gateway: request headers in, response headers out, nothing stored here."""

import json

from flask.sessions import SessionInterface, SessionMixin


class GatewaySession(dict, SessionMixin):
    """The visitor's data, and `user`: who the gateway says is calling, or None."""

    def __init__(self, headers):
        if "X-Session-Data-Omitted" in headers:
            # Read as empty, it would soon be overwritten.
            raise RuntimeError("the session is too large for a header: fetch it from the gateway's API")
        super().__init__(json.loads(headers.get("X-Session-Data", "{}")))
        # The header is UTF-8, which WSGI shows as Latin-1.
        self.user = headers.get("X-Session-User", "").encode("latin-1").decode() or None
        self.asked = {}
        # As text, so that a change inside a list is seen too.
        self.before = {key: json.dumps(value) for key, value in self.items()}

    def login(self, user):
        if self.user not in (None, user):
            self.forget()  # as the gateway does with another user's data
        self.user = user
        self.asked["X-Session-User"] = user.encode().decode("latin-1")

    def logout(self, which="this"):
        """Ends `this` session, the user's `others`, or `all` of them. What is written after that is not kept."""
        self.asked["X-Session-End"] = which
        if which != "others":
            self.user = None
            self.forget()

    def renew(self):
        """A new ticket and id, for a change of privilege that is no login."""
        self.asked["X-Session-Renew"] = "true"

    def persist(self, yes=True):
        """Whether the session outlives the browser."""
        self.asked["X-Session-Persist"] = "true" if yes else "false"

    permanent = property(fset=persist)  # Flask's name for it; the gateway does not tell which it is

    def forget(self):
        self.clear()
        self.before.clear()

    def changes(self):
        """The response headers that tell the gateway what this request changed."""
        keys = self.keys() | self.before.keys()
        patch = {key: self.get(key) for key in keys if json.dumps(self.get(key)) != self.before.get(key, "null")}
        return self.asked | ({"X-Session-Patch": json.dumps(patch)} if patch else {})


class GatewaySessions(SessionInterface):
    def open_session(self, app, request):
        return GatewaySession(request.headers)

    def save_session(self, app, session, response):
        response.headers.extend(session.changes())
