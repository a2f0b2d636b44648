"use strict";

/** What every visit by a real Chromium begins and ends with. CHROMIUM names the binary. */

const { chromium } = require("playwright-core");

/** Runs a visit, and says "visited" once it has been made as it should. */
module.exports = function inChromium(visit) {
  setTimeout(() => {
    console.error("the visit has taken more than two minutes");
    process.exit(1); // takes Chromium along
  }, 120_000).unref();

  run(visit).then(
    () => console.log("visited"),
    (error) => {
      console.error(error);
      process.exitCode = 1;
    },
  );
};

async function run(visit) {
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM,
    // Its sandbox does not start for root or in most containers, and every page here is ours.
    chromiumSandbox: false,
    args: [
      "--disable-gpu",
      "--disable-quic",
      "--disable-sync",
      // Nothing leaves this machine, not even a question for a name.
      "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    ],
  });
  try {
    await visit(browser);
  } finally {
    await browser.close();
  }
}
