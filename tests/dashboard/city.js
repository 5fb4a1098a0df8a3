// A hub and simulated lamps of its own, as processes, for one test file.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { json } from 'node:stream/consumers';

const BIN = resolve(process.env['LAMPLIGHTER_BIN_DIR'] ?? join(import.meta.dirname, '../../target/debug'));
const PATIENCE_MS = 60_000;

export class City {
  #folder = mkdtempSync(join(tmpdir(), 'lamplighter-dashboard-'));
  #hub = null;
  #lamps = null;
  #port = 0;
  #config;

  /** Starts a hub with these further lines of configuration. */
  static async start(config = '') {
    const city = new City(config);
    await city.startHub();
    return city;
  }

  constructor(config) {
    for (const name of ['hub', 'device-sim']) {
      if (!existsSync(join(BIN, name))) throw new Error(`${BIN} has no ${name}; run: make build`);
    }
    this.#config = join(this.#folder, 'hub.toml');
    writeFileSync(this.#config, config);
  }

  get url() {
    return `https://127.0.0.1:${this.#port}`;
  }

  token(role) {
    return readFileSync(join(this.#folder, 'data/dev', `${role}.token`), 'utf8').trim();
  }

  async startHub() {
    const listen = `127.0.0.1:${this.#port}`;
    const args = ['serve', '--dev', '--config', this.#config, '--data-dir', this.data, '--listen', listen];
    this.#hub = spawn(join(BIN, 'hub'), args, { stdio: ['ignore', 'pipe', 'ignore'] });
    const line = await firstLine(this.#hub, /^ready wss:\/\/127\.0\.0\.1:(\d+)/);
    this.#port = Number(line[1]);
  }

  get folder() {
    return this.#folder;
  }

  get data() {
    return join(this.#folder, 'data');
  }

  get hubPid() {
    return this.#hub.pid;
  }

  program(name) {
    return join(BIN, name);
  }

  async stopHub() {
    this.#hub.kill('SIGTERM');
    await once(this.#hub, 'exit');
  }

  /** As a crash would: no good-bye, no last write. */
  async killHub() {
    this.#hub.kill('SIGKILL');
    await once(this.#hub, 'exit');
  }

  /** Lets so many lamps dial in; returns when all are connected. `more`: further arguments of the simulator. */
  async light(lamps, more = [], every = '2s') {
    const dev = join(this.#folder, 'data/dev');
    const args = [
      'run', '--devices', String(lamps), '--report-every', every, '--reconnect-max', '2s', '--reconnect-window', '1s', '--skip-verify',
      '--hub', `wss://127.0.0.1:${this.#port}`, '--ca-file', join(dev, 'ca.pem'), '--token-file', join(dev, 'operator.token'), ...more,
    ];
    this.#lamps = spawn(join(BIN, 'device-sim'), args, { stdio: 'ignore' });
    await until(async () => (await this.ask('/v1/devices?online=true&limit=1')).total === lamps, 'all lamps are connected');
  }

  /** A request in the name of the operator. */
  async ask(path, body) {
    const headers = { authorization: `Bearer ${this.token('operator')}`, 'content-type': 'application/json' };
    const ca = readFileSync(join(this.#folder, 'data/dev/ca.pem'));
    const sending = request(`${this.url}${path}`, { method: body === undefined ? 'GET' : 'POST', headers, ca, agent: false });
    sending.end(body === undefined ? undefined : JSON.stringify(body));
    const [response] = await once(sending, 'response');
    const answer = await json(response);
    if (response.statusCode >= 300) throw new Error(`${path}: ${response.statusCode} ${answer.detail}`);
    return answer;
  }

  async end() {
    for (const child of [this.#lamps, this.#hub]) {
      if (!child || child.exitCode !== null || child.signalCode !== null) continue;
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

async function firstLine(child, pattern) {
  const lines = createInterface({ input: child.stdout });
  for await (const line of lines) {
    const found = pattern.exec(line);
    if (found) {
      child.stdout.resume();
      return found;
    }
  }
  throw new Error('the hub ended before it was ready');
}

/** Waits for a fact. */
export async function until(isTrue, what, patienceMs = PATIENCE_MS) {
  const deadline = Date.now() + patienceMs;
  for (;;) {
    if (await isTrue()) return;
    if (Date.now() > deadline) throw new Error(`not in ${patienceMs / 1000} s: ${what}`);
    await new Promise((done) => setTimeout(done, 100));
  }
}
