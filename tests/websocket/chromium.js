"use strict";

/** WebSockets of a page in a real Chromium, which has its page over HTTP/2, and opens them on the same connection. */

const assert = require("node:assert/strict");
const inChromium = require("../apps/in_chromium.js");

const origin = process.argv[2];

inChromium(async (browser) => {
  const context = await browser.newContext({ ignoreHTTPSErrors: true });
  const page = await context.newPage();
  await page.goto(`${origin}/login`);
  const protocol = await page.evaluate(() => performance.getEntriesByType("navigation")[0].nextHopProtocol);
  assert.equal(protocol, "h2");

  const seen = await page.evaluate(converse);
  assert.equal(seen.via, "2 session-gateway", "the handshake came over HTTP/2");
  assert.equal(seen.user, "alice");
  assert.deepEqual(seen.echoed, ["", "söme töxt \u{1f35e}", 3_000_000, 3_000_000]);
  assert.deepEqual(seen.closedBy, [4001, "as you like"]);
  assert.equal(seen.protocol, "chat");
  assert.deepEqual(seen.loggedOut, [1008, "the session has ended"]);
  assert.ok(seen.took < 2000, "within a second, and another for a browser on a busy machine");
});

/** Runs in the page. */
async function converse() {
  const open = (path, protocols = []) => {
    const websocket = new WebSocket(`wss://${location.host}${path}`, protocols);
    websocket.binaryType = "arraybuffer";
    const come = [];
    let wake = () => {};
    websocket.onmessage = (event) => {
      come.push(event.data);
      wake();
    };
    websocket.message = async () => {
      while (come.length === 0) await new Promise((resolve) => (wake = resolve));
      return come.shift();
    };
    websocket.closed = new Promise((resolve) => (websocket.onclose = (event) => resolve([event.code, event.reason])));
    return new Promise((resolve, reject) => {
      websocket.onopen = () => resolve(websocket);
      websocket.onerror = () => reject(new Error(`${path} could not be opened`));
    });
  };
  const seen = { echoed: [] };
  seen.via = await (await open("/via")).message();
  const listening = await open("/whoami");
  seen.user = await listening.message();

  const echo = await open("/echo", ["other", "chat"]);
  seen.protocol = echo.protocol;
  for (const message of ["", "söme töxt \u{1f35e}", "x".repeat(3_000_000), new Uint8Array(3_000_000)]) {
    echo.send(message);
    const answer = await echo.message();
    const size = answer.byteLength ?? answer.length;
    seen.echoed.push(size > 1000 ? size : answer);
  }
  seen.closedBy = await (await open("/close?4001")).closed;

  await fetch("/logout");
  const began = performance.now();
  seen.loggedOut = await listening.closed;
  seen.took = performance.now() - began;
  return seen;
}
