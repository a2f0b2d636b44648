"use strict";

/**
 * A real Chromium visits an application alone, and through gateways in every mode: node chromium.js JSON, with CHROMIUM
 * naming the binary. The JSON has their origins and a row of the table of applications.
 */

const assert = require("node:assert/strict");
const inChromium = require("../apps/in_chromium.js");

const app = JSON.parse(process.argv[2]);

inChromium(async (browser) => {
  await fromLoginToLogout(browser, app.alone, app.cookies);
  await fromLoginToLogout(browser, app.observe, [app.ticket, ...app.cookies]);
  await fromLoginToLogout(browser, app.enforce, [app.ticket]);
  await fromOneToTheOther(browser, app.observe, app.adopt);
});

/** One visit, where the browser of whoever is logged in holds these cookies, and the application's others. */
async function fromLoginToLogout(browser, origin, held) {
  const page = await newPage(browser);
  await assertUser(page, origin, false);
  await logIn(page, origin, "wrong");
  await assertUser(page, origin, false);
  await logIn(page, origin, app.password);
  await assertUser(page, origin, true);
  await assertCookies(page, held);
  await assertUser(page, origin, true);
  await logOut(page);
  await assertUser(page, origin, false);
  if (!held.includes(app.cookies[0])) await assertKept(page);
  await page.context().close();
}

/** The jar is switched on while somebody is logged in. */
async function fromOneToTheOther(browser, before, after) {
  const page = await newPage(browser);
  await logIn(page, before, app.password);
  await assertCookies(page, [app.ticket, ...app.cookies]);
  await assertUser(page, after, true);
  await assertCookies(page, [app.ticket]);
  await assertUser(page, after, true);
  await logOut(page);
  await assertUser(page, after, false);
  await assertKept(page);
  await page.context().close();
}

async function newPage(browser) {
  const context = await browser.newContext({ ignoreHTTPSErrors: true });
  const page = await context.newPage();
  page.setDefaultTimeout(30_000);
  return page;
}

async function logIn(page, origin, password) {
  await page.goto(origin + app.login);
  await page.fill("[name=username]", app.user);
  await page.fill("[name=password]", password);
  await Promise.all([page.waitForEvent("load"), page.press("[name=password]", "Enter")]);
}

async function logOut(page) {
  const way = `form[action="${app.logout}"] button, a[href="${app.logout}"]`;
  await Promise.all([page.waitForEvent("load"), page.click(way)]);
}

async function assertUser(page, origin, isLoggedIn) {
  const answer = await page.goto(origin + app.home);
  assert.equal(answer.status(), 200);
  const html = await page.content();
  assert.equal(html.includes(app.shows), isLoggedIn, html);
}

async function assertCookies(page, names) {
  const held = (await page.context().cookies()).map(({ name }) => name);
  assert.deepEqual(held.sort(), [...names, ...app.others].sort());
}

/** What the gateway keeps is not in the browser. */
async function assertKept(page) {
  const held = (await page.context().cookies()).map(({ name }) => name);
  assert.ok(!held.some((name) => app.cookies.includes(name)), held.join());
}
