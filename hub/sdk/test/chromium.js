// A page in a real browser, which loads the module from the hub. Run and told as page.js; the address
// that it is told must stay, since it is the page's origin.
//
// Chromium is driven through a pipe, by its own protocol: file 3 takes requests, file 4 gives answers and
// events, each a JSON text with a zero byte after it. When this process ends the pipe does, and Chromium.

import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { chromiumProgram } from '../../../tests/tools/chromium.mjs';

/** There may be no graphics card, and no user but root. */
const ARGUMENTS = [
  '--headless', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--no-proxy-server', '--remote-debugging-pipe',
];

const [story, way] = process.argv.slice(2);
const source = readFileSync(new URL('story.js', import.meta.url), 'utf8');

class Chromium {
  #process;
  #waiting = new Map();
  #number = 0;
  #heard = '';

  /** `onEvent(method, params)` hears what the page does. */
  constructor(onEvent) {
    const folder = mkdtempSync(join(tmpdir(), 'lamplighter-chromium-'));
    const stdio = ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'];
    this.#process = spawn(chromiumProgram(), [...ARGUMENTS, `--user-data-dir=${folder}`], { stdio });
    this.#process.on('exit', () => {
      rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
      process.exit(1);
    });
    this.#process.stdio[4].setEncoding('utf8').on('data', (text) => {
      const parts = (this.#heard + text).split('\0');
      this.#heard = parts.pop();
      for (const part of parts) this.#hear(JSON.parse(part), onEvent);
    });
  }

  ask(method, params = {}, sessionId = undefined) {
    const id = (this.#number += 1);
    this.#process.stdio[3].write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    return new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
  }

  end() {
    this.#process.kill();
  }

  #hear({ id, result, error, method, params }, onEvent) {
    if (method) return onEvent(method, params);
    const { resolve, reject } = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (error) reject(new Error(error.message));
    else resolve(result);
  }
}

const say = (kind, text = '') => console.log(`${kind} ${text}`);

let onLoad = null;
const loaded = new Promise((resolve) => {
  onLoad = resolve;
});

function onEvent(method, params) {
  if (method === 'Page.loadEventFired') onLoad();
  if (method === 'Runtime.bindingCalled') say(...JSON.parse(params.payload));
  if (method === 'Runtime.exceptionThrown') say('error', params.exceptionDetails.exception?.description ?? '');
}

/** A page of the hub's own origin; what it evaluates. */
async function open(url) {
  const chromium = new Chromium(onEvent);
  const { targetId } = await chromium.ask('Target.createTarget', { url: 'about:blank' });
  const { sessionId } = await chromium.ask('Target.attachToTarget', { targetId, flatten: true });
  await chromium.ask('Runtime.enable', {}, sessionId);
  await chromium.ask('Runtime.addBinding', { name: 'told' }, sessionId);
  await chromium.ask('Page.enable', {}, sessionId);
  await chromium.ask('Page.navigate', { url: `${url}/healthz` }, sessionId);
  await loaded;
  const evaluate = async (expression) => {
    const asked = { expression, awaitPromise: true };
    const { exceptionDetails } = await chromium.ask('Runtime.evaluate', asked, sessionId);
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
  };
  return { chromium, evaluate };
}

const begun = `(async () => {
  const say = (kind, text = '') => told(JSON.stringify([kind, String(text)]));
  const { tell } = await import('data:text/javascript,' + encodeURIComponent(${JSON.stringify(source)}));
  tell(await import('/sdk/lamplighter.js'), { ...${JSON.stringify({ story, way })}, place, say });
})()`;

let page = null;
const lines = createInterface({ input: process.stdin });
for await (const line of lines) {
  const [url, token] = line.split(' ');
  const isFirst = page === null;
  page ??= await open(url);
  await page.evaluate(`Object.assign(globalThis.place ??= {}, ${JSON.stringify({ token })})`);
  if (isFirst) await page.evaluate(begun);
}
page?.chromium.end();
