"use strict";

/** The client of `ws`. Called with an address, the file of the certificate that it must show, and what to do there. */

const assert = require("node:assert/strict");
const { once } = require("node:events");
const fs = require("node:fs");
const https = require("node:https");
const WebSocket = require("ws");

const [address, certificate, scenario] = process.argv.slice(2);
const ca = fs.readFileSync(certificate);
const tls = { ca, servername: "localhost" };
let cookie;

setTimeout(() => {
  console.error("this has taken more than a minute");
  process.exit(1);
}, 60_000).unref();

/** A WebSocket that is open; what comes is kept until it is asked for. */
async function open(path, protocols = [], options = {}) {
  const headers = cookie ? { cookie } : {};
  const websocket = new WebSocket(`wss://${address}${path}`, protocols, { ...tls, headers, ...options });
  const come = [];
  let wake = () => {};
  websocket.on("message", (data, binary) => {
    come.push(binary ? data : data.toString());
    wake();
  });
  websocket.message = async () => {
    while (come.length === 0) await new Promise((resolve) => (wake = resolve));
    return come.shift();
  };
  websocket.closed = once(websocket, "close").then(([code, reason]) => [code, reason.toString()]);
  // Who opens it is told so of a failure.
  websocket.closed.catch(() => {});
  websocket.on("error", () => {});
  await once(websocket, "open");
  return websocket;
}

async function login() {
  const [host, port] = address.split(":");
  const request = https.get({ host, port, path: "/login", ...tls });
  const [response] = await once(request, "response");
  response.resume();
  cookie = response.headers["set-cookie"][0].split(";")[0];
}

const scenarios = {
  async messages() {
    for (const perMessageDeflate of [true, false]) {
      const websocket = await open("/echo", [], { perMessageDeflate });
      assert.equal(websocket.extensions.includes("permessage-deflate"), perMessageDeflate);
      const large = Buffer.alloc(3_000_000, "x");
      for (const message of ["", "text", "söme töxt \u{1f35e}", Buffer.from([0, 255]), large.toString(), large]) {
        websocket.send(message);
        assert.deepEqual(await websocket.message(), message);
      }
      for (const [part, fin] of [["one ", false], ["mess", false], ["age", true]]) websocket.send(part, { fin });
      assert.equal(await websocket.message(), "one message");
      websocket.terminate();
    }
  },

  async pings() {
    const websocket = await open("/ping");
    assert.equal(await websocket.message(), "pong has come");
    websocket.ping("payload");
    const [payload] = await once(websocket, "pong");
    assert.equal(payload.toString(), "payload");
    websocket.terminate();
  },

  async closes() {
    for (const code of [1000, 1001, 4001]) {
      const websocket = await open(`/close?${code}`);
      assert.deepEqual(await websocket.closed, [code, "as you like"]);
    }
    const websocket = await open("/echo");
    websocket.close(4002, "I have to go");
    assert.equal((await websocket.closed)[0], 4002);
  },

  async subprotocols() {
    const websocket = await open("/echo", ["other", "chat"]);
    assert.equal(websocket.protocol, "chat");
    websocket.terminate();
  },

  async refusal() {
    await assert.rejects(open("/refuse"), /403/);
  },

  async revoked() {
    const nobody = await open("/whoami");
    assert.equal(await nobody.message(), "nobody");
    nobody.terminate();
    await login();
    const websocket = await open("/whoami");
    assert.equal(await websocket.message(), "alice");
    console.log("listening");
    await once(process.stdin, "data");
    process.stdin.destroy();
    const began = performance.now();
    assert.deepEqual(await websocket.closed, [1008, "the session has ended"]);
    assert.ok(performance.now() - began < 1500, "within a second, and half a second for a busy machine");
  },
};

scenarios[scenario]().then(
  () => console.log("done"),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
