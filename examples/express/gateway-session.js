"use strict";

/** `req.session`, kept by Session Gateway: request headers in, response headers out, nothing stored here. */
class GatewaySession {
  /** Who the gateway says is calling, or null. */
  user;
  /** The visitor's data. */
  data;
  #asked = {};
  // As text, so that a change inside an array is seen too.
  #before;

  constructor(req) {
    if (req.get("X-Session-Data-Omitted")) {
      // Read as empty, it would soon be overwritten.
      throw new Error("the session is too large for a header: fetch it from the gateway's API");
    }
    this.user = req.get("X-Session-User") ?? null;
    this.data = JSON.parse(req.get("X-Session-Data") ?? "{}");
    this.#before = texts(this.data);
  }

  /** `user` is a name in printable ASCII, or an id: in which charset Node sends a header depends on the body. */
  login(user) {
    if (!/^[\x20-\x7e]+$/.test(user)) throw new TypeError("the user is not printable ASCII");
    if (this.user !== null && this.user !== user) this.#forget(); // as the gateway does with another user's data
    this.user = this.#asked["X-Session-User"] = user;
  }

  /** Ends `this` session, the user's `others`, or `all` of them. What is written after that is not kept. */
  logout(which = "this") {
    this.#asked["X-Session-End"] = which;
    if (which === "others") return;
    this.user = null;
    this.#forget();
  }

  /** A new ticket and id, for a change of privilege that is no login. */
  renew() {
    this.#asked["X-Session-Renew"] = "true";
  }

  /** Whether the session outlives the browser. */
  persist(yes = true) {
    this.#asked["X-Session-Persist"] = String(yes);
  }

  #forget() {
    this.data = {};
    this.#before = {};
  }

  /** The response headers that tell the gateway what this request changed. */
  changes() {
    const after = texts(this.data);
    const patch = {};
    for (const key of Object.keys({ ...this.#before, ...after })) {
      if (after[key] !== this.#before[key]) patch[key] = this.data[key] ?? null; // null removes the key
    }
    return Object.keys(patch).length ? { ...this.#asked, "X-Session-Patch": ascii(patch) } : this.#asked;
  }
}

const texts = (data) => Object.fromEntries(Object.entries(data).map(([key, value]) => [key, JSON.stringify(value)]));

/** JSON for a header, in ASCII. */
const ascii = (value) =>
  JSON.stringify(value).replace(/[\u007f-\uffff]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);

/** Middleware. */
module.exports = function gatewaySession(req, res, next) {
  const session = new GatewaySession(req);
  req.session = session;
  const { writeHead } = res;
  // The last moment at which headers can be set.
  res.writeHead = function (...head) {
    for (const [name, value] of Object.entries(session.changes())) res.setHeader(name, value);
    return writeHead.apply(res, head);
  };
  next();
};
