// What the dashboard costs with a large fleet: `make bench-dashboard`. Prints a row a figure, with its mark.
//
//   node large.js [lamps] [connected] [seconds between two reports of one]
//
// DASHBOARD_DIST=hub/dashboard/dist/page takes the page from there and not from the hub, to try a change.

import { existsSync, readFileSync } from 'node:fs';
import { extname, join, resolve } from 'node:path';
import { launch, shoot, visit } from './browser.js';
import { until } from './city.js';
import { prepared } from './large/town.js';

const [LAMPS = 100_000, CONNECTED = 2_000, EVERY_S = 2] = process.argv.slice(2).map(Number);
const PAGE = process.env['DASHBOARD_DIST'] ? resolve(process.env['DASHBOARD_DIST']) : null;
const MARKS = { interactive_ms: 3_000, frames_per_s: 30, tab_mb: 400, hub_share: 0.05 };
const PAN_MS = 8_000;
const CPU_ROUNDS = 2;
const CPU_ROUND_MS = 12_000;
const TICKS_PER_S = 100;
const KINDS = { '.js': 'text/javascript', '.css': 'text/css', '.html': 'text/html', '.woff2': 'font/woff2', '.svg': 'image/svg+xml' };

const rows = [];
const row = (figure, value, mark, isHeld) => {
  rows.push({ figure, value, mark, held: isHeld === undefined ? '' : isHeld ? 'yes' : 'NO' });
  console.log(`${figure}: ${value}${mark ? ` (mark ${mark})` : ''}`);
};
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

/** s of processor time that a process and its threads have used. */
function cpuOf(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_S;
}

/** MB of a process that are its own. */
function ownMemory(pid) {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/RssAnon:\s+(\d+)/.exec(status)[1]) / 1024;
}

async function openPage(browser, city) {
  const visitor = await visit(browser, 'about:blank');
  const { page, context } = visitor;
  if (PAGE) {
    await context.route(`${city.url}/{,assets/**}`, async (route) => {
      const { pathname } = new URL(route.request().url());
      const file = join(PAGE, pathname === '/' ? 'index.html' : pathname);
      if (!existsSync(file)) return route.continue();
      await route.fulfill({ body: readFileSync(file), contentType: KINDS[extname(file)] ?? 'application/octet-stream' });
    });
  }
  await page.goto(city.url);
  await page.getByLabel('Token').fill(city.token('operator'));
  return visitor;
}

/** From the log-in until the first view shows its figures and another view that was clicked is there. */
async function interactive(page) {
  const began = Date.now();
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.locator('.tile', { hasText: 'Lights in light' }).waitFor();
  const shown = Date.now() - began;
  await page.getByRole('navigation', { name: 'Views' }).getByRole('link', { name: 'Lamps' }).click();
  await page.getByRole('row').nth(5).waitFor();
  const answered = Date.now() - began;
  await page.getByRole('navigation', { name: 'Views' }).getByRole('link', { name: 'Tonight' }).click();
  const all = new RegExp(`of ${LAMPS.toLocaleString('en-GB')} lamps`);
  const isWhole = async () => all.test((await page.locator('.tile', { hasText: 'Online' }).textContent()) ?? '') && !(await page.getByText('Loading').count());
  await until(isWhole, 'all lamps are there', 120_000);
  return { shown, answered, whole: Date.now() - began };
}

/** Frames a second while the map is dragged, by Chromium's own trace; and the longest the page's thread was busy. */
async function pan(browser, page, deeper) {
  const box = await page.locator('.map-box').boundingBox();
  const middle = { x: box.x + box.width / 2, y: box.y + box.height / 2 };
  await page.mouse.move(middle.x, middle.y);
  for (let step = 0; step < deeper; step += 1) {
    await page.mouse.wheel(0, -400);
    await pause(400);
  }
  await pause(2_000);
  await browser.startTracing(page, { categories: ['devtools.timeline', 'disabled-by-default-devtools.timeline.frame', 'viz', 'toplevel'] });
  const began = Date.now();
  await page.mouse.down();
  for (let step = 0; Date.now() - began < PAN_MS; step += 1) {
    await page.mouse.move(middle.x + 220 * Math.sin(step / 30), middle.y + 140 * Math.sin(step / 43));
    await pause(4);
  }
  await page.mouse.up();
  const took = (Date.now() - began) / 1000;
  const { traceEvents } = JSON.parse((await browser.stopTracing()).toString());
  const drawn = traceEvents.filter(({ name }) => name === 'DrawFrame').length;
  const tasks = traceEvents.filter(({ name, ph, dur }) => name === 'RunTask' && ph === 'X' && dur > 50_000);
  const swaps = traceEvents.filter(({ name, ph }) => name === 'Display::DrawAndSwap' && (ph === 'X' || ph === 'B')).length;
  return { perS: Math.min(drawn, swaps || drawn) / took, drawn, swaps, longestMs: Math.max(0, ...tasks.map(({ dur }) => dur / 1000)) };
}

async function tabMemory(browser) {
  const session = await browser.newBrowserCDPSession();
  const { processInfo } = await session.send('SystemInfo.getProcessInfo');
  return Math.max(...processInfo.filter(({ type }) => type === 'renderer').map(({ id }) => ownMemory(id)));
}

async function share(pid, ms) {
  const before = cpuOf(pid);
  await pause(ms);
  return (cpuOf(pid) - before) / (ms / 1000);
}

console.log(`preparing ${LAMPS} lamps, of which ${CONNECTED} report every ${EVERY_S} s …`);
const city = await prepared(LAMPS, '[limits]\naccept_per_s = 2000\n');
let browser;
try {
  await city.light(CONNECTED, ['--ramp', '400/s', '--observe', 'false', '--place', '51.34,12.375'], `${EVERY_S}s`);
  await pause(5_000);
  browser = await launch();
  // The hub has made its first forms of all values after one page; the second log-in finds them.
  for (const which of ['first', 'second']) {
    const { page, context } = await openPage(browser, city);
    const { shown, answered, whole } = await interactive(page);
    row(`${which} log-in: figures shown`, `${shown} ms`);
    row(`${which} log-in: interactive, another view answered`, `${answered} ms`, `≤ ${MARKS.interactive_ms} ms`, answered <= MARKS.interactive_ms);
    row(`${which} log-in: all values there`, `${whole} ms`);
    if (which === 'first') {
      await context.close();
      continue;
    }
    await page.goto(`${city.url}/#/map`);
    await page.locator('.map-box canvas').waitFor();
    await pause(5_000);
    for (const [where, deeper] of [['whole city', 0], ['streets, a lamp each', 6]]) {
      const { perS, longestMs, drawn, swaps } = await pan(browser, page, deeper);
      row(`map pans, ${where}`, `${perS.toFixed(1)} frames/s, longest task ${longestMs.toFixed(0)} ms, ${drawn} drawn, ${swaps} swapped`, `≥ ${MARKS.frames_per_s} frames/s`, perS >= MARKS.frames_per_s);
      await shoot(page, `large-${deeper}`);
    }
    await page.goto(`${city.url}/#/tonight`);
    await pause(20_000);
    const megabytes = await tabMemory(browser);
    row('memory of the tab', `${megabytes.toFixed(0)} MB`, `< ${MARKS.tab_mb} MB`, megabytes < MARKS.tab_mb);
    await context.close();
  }
  const [without, beside] = [[], []];
  for (let round = 0; round < CPU_ROUNDS; round += 1) {
    without.push(await share(city.hubPid, CPU_ROUND_MS));
    const { page, context } = await openPage(browser, city);
    await interactive(page);
    await pause(5_000);
    beside.push(await share(city.hubPid, CPU_ROUND_MS));
    await context.close();
    await pause(2_000);
  }
  const mean = (of) => of.reduce((sum, one) => sum + one, 0) / of.length;
  const cost = mean(beside) - mean(without);
  const text = `${(cost * 100).toFixed(1)} % of a core (${beside.map((one) => (one * 100).toFixed(1)).join(', ')} beside ${without.map((one) => (one * 100).toFixed(1)).join(', ')})`;
  row(`hub for one open page, ${Math.round(CONNECTED / EVERY_S)} messages/s`, text, `< ${MARKS.hub_share * 100} %`, cost < MARKS.hub_share);
} finally {
  await browser?.close();
  await city.end();
}
console.table(rows);
process.exitCode = rows.some(({ held }) => held === 'NO') ? 1 : 0;
