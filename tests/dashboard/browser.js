// Chromium, watched: what the page asks for, what it complains of, what axe finds.

import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { chromiumProgram } from '../tools/chromium.mjs';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
/** Where screenshots of the run go. */
export const SHOTS = join(import.meta.dirname, '../../target/dashboard');
/** The demo's certificate is nobody's; there may be no graphics card, and no user but root. */
const ARGUMENTS = ['--no-sandbox', '--ignore-certificate-errors', '--use-angle=swiftshader', '--enable-unsafe-swiftshader'];

export async function launch() {
  mkdirSync(SHOTS, { recursive: true });
  return chromium.launch({ executablePath: chromiumProgram(), args: ARGUMENTS });
}

/** A page of its own, that notes everything that should not be. */
export async function visit(browser, url, options = {}) {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, viewport: { width: 1280, height: 720 }, locale: 'en-GB', ...options });
  const page = await context.newPage();
  const faults = [];
  const asked = [];
  page.on('pageerror', (error) => faults.push(`error: ${error.message}`));
  page.on('console', (message) => ['error', 'warning'].includes(message.type()) && faults.push(`${message.type()}: ${message.text()}`));
  page.on('request', (request) => asked.push(request.url()));
  page.on('websocket', (socket) => asked.push(socket.url()));
  await page.goto(url);
  return { page, faults, asked, context };
}

export async function logIn(page, token) {
  await page.getByLabel('Token').fill(token);
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.locator('.connection[data-state="open"]').waitFor();
}

/** Nothing was complained of, and nobody but the hub was asked. `expected`: complaints that belong to the story. */
export function assertClean({ faults, asked }, url, expected = /^$/) {
  assert.deepEqual(faults.filter((fault) => !expected.test(fault)), []);
  const host = new URL(url).host;
  const foreign = asked.filter((address) => /^(https?|wss?):/.test(address) && new URL(address).host !== host);
  assert.deepEqual(foreign, [], 'only the hub is asked');
  assert.ok(!asked.some((address) => /token|lk_/i.test(new URL(address).search)), 'no token in an address');
}

/** No violation that axe calls serious or critical. */
export async function assertAccessible(page, what) {
  // The page's own policy lets no other script in; the debugger may.
  const found = await page.evaluate(`${AXE}; axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'] })`);
  const serious = found.violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
  const text = serious.map(({ id, help, nodes }) => `${id}: ${help}\n${nodes.slice(0, 4).map(({ html, failureSummary }) => `  ${html.slice(0, 160)}\n    ${failureSummary.split('\n').slice(1).join(' ')}`).join('\n')}`);
  assert.equal(text.join('\n'), '', `axe on ${what}`);
}

export async function shoot(page, name) {
  await page.screenshot({ path: join(SHOTS, `${name}.png`) });
}
