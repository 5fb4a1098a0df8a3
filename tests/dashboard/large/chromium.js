// A Chromium of which nothing is asked but what is measured, by its own protocol over a pipe. What drives pages for the
// other tests also hears every message between page and hub, which takes more of the machine than the page itself.

import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { extname, join } from 'node:path';
import { chromiumProgram } from '../../tools/chromium.mjs';

/** As a browser without a graphics card is: WebGL by the processor, the page put together without it. */
const ARGUMENTS = [
  '--headless=new', '--no-sandbox', '--ignore-certificate-errors', '--enable-unsafe-swiftshader',
  '--window-size=1280,720', '--hide-scrollbars', '--no-first-run', '--disable-extensions', '--disable-component-update', '--disable-background-networking',
  '--remote-debugging-pipe',
];
const KINDS = { '.js': 'text/javascript', '.css': 'text/css', '.html': 'text/html', '.woff2': 'font/woff2', '.svg': 'image/svg+xml' };

export class Chromium {
  #child;
  #folder = mkdtempSync(join(tmpdir(), 'lamplighter-chromium-'));
  #waiting = new Map();
  #listeners = new Map();
  #number = 0;
  #rest = '';

  /** `more`: further arguments. */
  constructor(more = []) {
    this.#child = spawn(chromiumProgram(), [...ARGUMENTS, ...more, `--user-data-dir=${this.#folder}`], { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] });
    this.#child.stdio[4].setEncoding('utf8').on('data', (piece) => this.#hear(piece));
  }

  #hear(piece) {
    const messages = (this.#rest + piece).split('\0');
    this.#rest = messages.pop();
    for (const message of messages) {
      const { id, result, error, method, params, sessionId } = JSON.parse(message);
      if (id === undefined) this.#listeners.get(method)?.(params, sessionId);
      else if (error) this.#waiting.get(id).reject(new Error(error.message));
      else this.#waiting.get(id).resolve(result);
      this.#waiting.delete(id);
    }
  }

  send(method, params = {}, sessionId = undefined) {
    const id = (this.#number += 1);
    this.#child.stdio[3].write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    return new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
  }

  on(method, listener) {
    this.#listeners.set(method, listener);
  }

  /** A page with nothing from others. `files`: a folder to take the hub's page from, in the place of the hub. */
  async open(url, files) {
    const { browserContextId } = await this.send('Target.createBrowserContext');
    const { targetId } = await this.send('Target.createTarget', { url: 'about:blank', browserContextId, width: 1280, height: 720 });
    const { sessionId } = await this.send('Target.attachToTarget', { targetId, flatten: true });
    const page = new Page(this, sessionId, browserContextId);
    await page.send('Page.enable');
    await page.send('Emulation.setDeviceMetricsOverride', { width: 1280, height: 720, deviceScaleFactor: 1, mobile: false });
    if (files) await this.#serve(page, url, files);
    await page.goTo(url);
    return page;
  }

  async #serve(page, url, files) {
    this.on('Fetch.requestPaused', async ({ requestId, request }, sessionId) => {
      const { pathname } = new URL(request.url);
      const file = join(files, pathname === '/' ? 'index.html' : pathname);
      if (!existsSync(file)) return this.send('Fetch.continueRequest', { requestId }, sessionId);
      const responseHeaders = [{ name: 'content-type', value: KINDS[extname(file)] ?? 'application/octet-stream' }];
      return this.send('Fetch.fulfillRequest', { requestId, responseCode: 200, responseHeaders, body: readFileSync(file, 'base64') }, sessionId);
    });
    await page.send('Fetch.enable', { patterns: [{ urlPattern: `${url}/` }, { urlPattern: `${url}/assets/*` }] });
  }

  /** What `act` does, as the browser's own trace has it. */
  async traced(categories, act) {
    const events = [];
    this.on('Tracing.dataCollected', ({ value }) => events.push(...value));
    await this.send('Tracing.start', { transferMode: 'ReportEvents', traceConfig: { includedCategories: categories } });
    await act();
    const complete = new Promise((done) => this.on('Tracing.tracingComplete', done));
    await this.send('Tracing.end');
    await complete;
    return events;
  }

  async close() {
    await this.send('Browser.close').catch(() => {});
    await new Promise((done) => (this.#child.exitCode === null ? this.#child.once('exit', done) : done()));
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

class Page {
  constructor(browser, session, context) {
    Object.assign(this, { browser, session, context });
  }

  send(method, params) {
    return this.browser.send(method, params, this.session);
  }

  async goTo(url) {
    const loaded = new Promise((done) => this.browser.on('Page.loadEventFired', done));
    await this.send('Page.navigate', { url });
    await loaded;
  }

  /** What a function, which sees nothing of this side, gives in the page. */
  async run(act, ...given) {
    const expression = `(${act})(${given.map((one) => JSON.stringify(one)).join(',')})`;
    const { result, exceptionDetails } = await this.send('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true });
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  }

  mouse(type, x, y, more = {}) {
    return this.send('Input.dispatchMouseEvent', { type, x, y, ...more });
  }

  async shoot(path) {
    const { data } = await this.send('Page.captureScreenshot');
    writeFileSync(path, data, 'base64');
  }

  async close() {
    await this.browser.send('Target.disposeBrowserContext', { browserContextId: this.context });
  }
}
