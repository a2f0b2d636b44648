"use strict";

/** One visit to an example application by a real Chromium: node browser.js ORIGIN, with CHROMIUM naming the binary. */

const assert = require("node:assert/strict");
const inChromium = require("./in_chromium.js");

const COOKIE = "__Host-sid";
const origin = process.argv[2];

inChromium(fromLoginToLogout);

async function fromLoginToLogout(browser) {
  const context = await browser.newContext({ ignoreHTTPSErrors: true });
  const page = await context.newPage();
  page.setDefaultTimeout(30_000);
  const leaked = [];
  page.on("response", (response) => {
    leaked.push(...Object.keys(response.headers()).filter((name) => name.startsWith("x-session-")));
  });

  await page.goto(origin);
  const [{ nextHopProtocol }] = await page.evaluate(() => performance.getEntriesByType("navigation"));
  assert.equal(nextHopProtocol, "h2");
  await assertLoggedOut(page);
  await ticketOf(context);

  await addToCart(page, "<img src=x onerror=document.title=1>");
  assert.deepEqual(await page.locator("#cart li").allTextContents(), ["<img src=x onerror=document.title=1>"]);
  assert.equal(await page.title(), "Corner shop", "the cart is escaped");
  const guest = await ticketOf(context);

  await follow(page, "text=Log in");
  await page.fill("[name=username]", "alice");
  await follow(page, "#login");
  await assertLoggedIn(page, 1);
  assert.equal(await page.locator("#cart li").count(), 1, "what a guest put into the cart is still there after login");
  const alice = await ticketOf(context);
  assert.notEqual(alice, guest, "a login renews the ticket");
  await assertNoStateIn(page, "alice");
  await assertDead(browser, guest);

  await page.reload();
  await assertLoggedIn(page, 2);
  await addToCart(page, "knäckebröd 🍞");
  await assertLoggedIn(page, 3);
  assert.equal(await page.locator("#cart li").nth(1).textContent(), "knäckebröd 🍞");
  await follow(page, "#empty");
  await assertLoggedIn(page, 4);
  assert.equal(await page.locator("#cart li").count(), 0);
  assert.equal(await ticketOf(context), alice, "nothing but login and logout changes the ticket");
  await assertNoStateIn(page, "alice");

  await follow(page, "#logout");
  await assertLoggedOut(page);
  await page.goto(origin);
  await assertLoggedOut(page);
  await assertDead(browser, alice);
  assert.ok(![guest, alice].includes(await ticketOf(context)), "the visitor is a new guest after logout");
  await assertNoStateIn(page, "alice");

  assert.deepEqual(leaked, [], "session headers have reached the browser");
}

/** Clicks what leads to another page, and waits for that page. */
async function follow(page, selector) {
  await Promise.all([page.waitForEvent("load"), page.click(selector)]);
}

async function addToCart(page, item) {
  await page.fill("[name=item]", item);
  await follow(page, "#add");
}

async function assertLoggedOut(page) {
  assert.equal(await page.locator("#anonymous").count(), 1, await page.content());
  assert.equal(await page.locator("#user").count(), 0);
}

async function assertLoggedIn(page, visits) {
  assert.deepEqual(await page.locator("#user, #visits").allTextContents(), ["alice", String(visits)]);
}

/** The value of the one cookie that the browser holds, which must be as promised. */
async function ticketOf(context) {
  const cookies = await context.cookies();
  assert.equal(cookies.length, 1, JSON.stringify(cookies));
  const { value, ...attributes } = cookies[0];
  assert.deepEqual(attributes, {
    name: COOKIE,
    domain: "127.0.0.1", // without a leading dot: for this host alone
    path: "/",
    expires: -1, // with the browser session
    httpOnly: true,
    secure: true,
    sameSite: "Lax",
  });
  assert.match(value, /^[A-Za-z0-9_-]{96}$/);
  return value;
}

/** Another browser that presents a copy of `ticket` is nobody. */
async function assertDead(browser, ticket) {
  const context = await browser.newContext({ ignoreHTTPSErrors: true });
  await context.addCookies([{ name: COOKIE, value: ticket, url: origin, secure: true, httpOnly: true, sameSite: "Lax" }]);
  const page = await context.newPage();
  const [request] = await Promise.all([page.waitForRequest(`${origin}/`), page.goto(origin)]);
  assert.equal((await request.allHeaders()).cookie, `${COOKIE}=${ticket}`, "the copy was presented");
  await assertLoggedOut(page);
  assert.equal(await page.locator("#cart li").count(), 0);
  await context.close();
}

/** Nothing of the application is in the browser: not in what scripts can see, and not inside a cookie. */
async function assertNoStateIn(page, name) {
  const stored = await page.evaluate(async () => ({
    cookies: document.cookie,
    local: localStorage.length,
    session: sessionStorage.length,
    databases: (await indexedDB.databases()).length,
    caches: (await caches.keys()).length,
    workers: (await navigator.serviceWorker.getRegistrations()).length,
  }));
  assert.deepEqual(stored, { cookies: "", local: 0, session: 0, databases: 0, caches: 0, workers: 0 });
  for (const { value } of await page.context().cookies()) {
    assert.ok(!value.includes(name), value);
    assert.ok(!Buffer.from(value, "base64url").includes(name), value);
  }
}
