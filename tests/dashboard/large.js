// What the dashboard costs with a large fleet: `make bench-dashboard`. Prints a row a figure, with its mark.
//
//   node large.js [lamps] [connected] [seconds between two reports of one]
//
// DASHBOARD_DIST=hub/dashboard/dist/page takes the page from there and not from the hub, to try a change.

import { mkdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { SHOTS } from './browser.js';
import { until } from './city.js';
import { Chromium } from './large/chromium.js';
import { prepared } from './large/town.js';

const [LAMPS = 100_000, CONNECTED = 2_000, EVERY_S = 2] = process.argv.slice(2).map(Number);
const PAGE = process.env['DASHBOARD_DIST'] ? resolve(process.env['DASHBOARD_DIST']) : null;
const MARKS = { interactive_ms: 3_000, frames_per_s: 30, tab_mb: 400, hub_share: 0.05 };
const LOG_INS = 3;
const PAN_MS = 8_000;
const CPU_ROUNDS = 2;
const CPU_ROUND_MS = 12_000;
const TICKS_PER_S = 100;

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

/**
 * From the log-in until the first view shows the lamps that came so far, until another view, which is clicked then, shows its
 * list, and until all values are there. Timed within the page, and not at each frame: that alone would have frames made.
 */
async function loggedIn(page, token) {
  const times = await page.run(async (token) => {
    const seen = async (isThere) => {
      while (!isThere()) await new Promise((done) => setTimeout(done, 25));
      await new Promise(requestAnimationFrame);
      return Math.round(performance.now() - start);
    };
    const link = (view) => document.querySelector(`nav a[href="#/${view}"]`);
    const input = document.querySelector('#token');
    input.value = token;
    input.dispatchEvent(new Event('input', { bubbles: true }));
    await new Promise(requestAnimationFrame);
    const start = performance.now();
    document.querySelector('form button').click();
    const shown = await seen(() => /of [1-9].* lamps/.test(document.querySelector('.tiles')?.textContent ?? ''));
    link('lamps').click();
    const answered = await seen(() => document.querySelectorAll('.table-body .row').length > 5);
    link('tonight').click();
    await seen(() => document.querySelector('.tiles') !== null);
    const whole = await seen(() => /^Live/.test(document.querySelector('.connection')?.textContent ?? ''));
    return { shown, answered, whole };
  }, token);
  const lamps = `of ${LAMPS.toLocaleString('en-US')} lamps`;
  const isWhole = () => page.run((lamps) => document.querySelector('.tiles').textContent.includes(lamps), lamps);
  await until(isWhole, 'all lamps are counted', 30_000);
  return times;
}

/** Frames a second while the map is dragged, by Chromium's own trace; and the longest the page's thread was busy. */
async function pan(browser, page, deeper) {
  const middle = await page.run(() => {
    const { x, y, width, height } = document.querySelector('.map-box').getBoundingClientRect();
    return { x: x + width / 2, y: y + height / 2 };
  });
  await page.mouse('mouseMoved', middle.x, middle.y);
  for (let step = 0; step < deeper; step += 1) {
    await page.mouse('mouseWheel', middle.x, middle.y, { deltaX: 0, deltaY: -400 });
    await pause(400);
  }
  await pause(2_000);
  let took = 0;
  const events = await browser.traced(['disabled-by-default-devtools.timeline.frame', 'devtools.timeline', 'viz', 'toplevel'], async () => {
    const began = Date.now();
    const held = { button: 'left', buttons: 1 };
    await page.mouse('mousePressed', middle.x, middle.y, { ...held, clickCount: 1 });
    for (let step = 0; Date.now() - began < PAN_MS; step += 1) {
      await page.mouse('mouseMoved', middle.x + 220 * Math.sin(step / 30), middle.y + 140 * Math.sin(step / 43), held);
      await pause(4);
    }
    await page.mouse('mouseReleased', middle.x, middle.y, { ...held, clickCount: 1 });
    took = (Date.now() - began) / 1000;
  });
  const drawn = events.filter(({ name }) => name === 'DrawFrame').length;
  const swaps = events.filter(({ name, ph }) => name === 'Display::DrawAndSwap' && (ph === 'X' || ph === 'B')).length;
  return { perS: Math.min(drawn, swaps || drawn) / took, drawn, swaps };
}

async function tabMemory(browser) {
  const { processInfo } = await browser.send('SystemInfo.getProcessInfo');
  return Math.max(...processInfo.filter(({ type }) => type === 'renderer').map(({ id }) => ownMemory(id)));
}

async function share(pid, ms) {
  const before = cpuOf(pid);
  await pause(ms);
  return (cpuOf(pid) - before) / (ms / 1000);
}

mkdirSync(SHOTS, { recursive: true });
console.log(`preparing ${LAMPS} lamps, of which ${CONNECTED} report every ${EVERY_S} s …`);
const city = await prepared(LAMPS, '[limits]\naccept_per_s = 2000\n');
const token = city.token('operator');
let browser;
try {
  await city.light(CONNECTED, ['--ramp', '400/s', '--observe', 'false', '--place', '51.34,12.375'], `${EVERY_S}s`);
  await pause(5_000);
  // A page that is handed out here comes from no address, and may else not ask one of this machine.
  browser = new Chromium(PAGE ? ['--disable-features=LocalNetworkAccessChecks'] : []);
  for (let number = 1; number <= LOG_INS; number += 1) {
    const page = await browser.open(city.url, PAGE);
    const { shown, answered, whole } = await loggedIn(page, token);
    const which = `log-in ${number}${number === 1 ? ', of a browser that has just begun' : ''}`;
    row(`${which}: figures shown`, `${shown} ms`);
    row(`${which}: interactive, another view answered`, `${answered} ms`, `≤ ${MARKS.interactive_ms} ms`, answered <= MARKS.interactive_ms);
    row(`${which}: all values there`, `${whole} ms`);
    if (number < LOG_INS) {
      await page.close();
      continue;
    }
    await page.run(() => void (location.hash = '#/map'));
    await until(() => page.run(() => document.querySelector('.map-box canvas') !== null), 'the map is there');
    await pause(5_000);
    for (const [where, deeper] of [['whole city', 0], ['streets, a lamp each', 6]]) {
      const { perS, drawn, swaps } = await pan(browser, page, deeper);
      row(`map pans, ${where}`, `${perS.toFixed(1)} frames/s, ${drawn} drawn, ${swaps} swapped`, `≥ ${MARKS.frames_per_s} frames/s`, perS >= MARKS.frames_per_s);
      await page.shoot(join(SHOTS, `large-${deeper}.png`));
    }
    await page.run(() => void (location.hash = '#/tonight'));
    await pause(20_000);
    await page.shoot(join(SHOTS, 'large-tonight.png'));
    const megabytes = await tabMemory(browser);
    row('memory of the tab', `${megabytes.toFixed(0)} MB`, `< ${MARKS.tab_mb} MB`, megabytes < MARKS.tab_mb);
    await page.close();
  }
  const [without, beside] = [[], []];
  for (let round = 0; round < CPU_ROUNDS; round += 1) {
    without.push(await share(city.hubPid, CPU_ROUND_MS));
    const page = await browser.open(city.url, PAGE);
    await loggedIn(page, token);
    await pause(5_000);
    beside.push(await share(city.hubPid, CPU_ROUND_MS));
    await page.close();
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
