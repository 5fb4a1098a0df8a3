// The last choice: long polling, one request at a time for each subscription.

import { HubError } from './emitter.js';
import { get, hubTimeMs, loss, wish } from './http.js';
import { parsePosition } from './subscription.js';

const WAIT_S = 25;
/** Longer than the hub waits, and than an answer may take. */
const SILENCE_MS = 60_000;

export class Poll {
  static kind = 'poll';
  canWrite = false;
  #context;
  #loops = new Map();
  #isOpen = false;
  #isClosed = false;

  constructor(context) {
    this.#context = context;
  }

  start() {
    const { subscriptions } = this.#context;
    if (subscriptions.size === 0) queueMicrotask(() => this.#opened({ hubTimeMs: 0 }));
    for (const subscription of subscriptions) this.subscribe(subscription);
  }

  subscribe(subscription) {
    if (this.#isClosed) return;
    subscription.isStarted = true;
    const stop = new AbortController();
    this.#loops.set(subscription, stop);
    this.#run(subscription, stop).catch((error) => {
      if (this.#isClosed || stop.signal.aborted) return;
      this.close();
      this.#context.lost(loss(error));
    });
  }

  unsubscribe(subscription) {
    this.#loops.get(subscription)?.abort();
    this.#loops.delete(subscription);
  }

  request() {
    const text = 'this connection only reads: the WebSocket can not be reached';
    return Promise.reject(new HubError('UNSUPPORTED', text));
  }

  close() {
    this.#isClosed = true;
    for (const stop of this.#loops.values()) stop.abort();
    this.#loops.clear();
  }

  async #run(subscription, stop) {
    while (!stop.signal.aborted) {
      const asked = subscription.sinceAll();
      const headers = { accept: 'application/json', prefer: `wait=${asked ? WAIT_S : 0}` };
      const query = wish(subscription, asked);
      const { answer, response } = await this.#ask(query, headers, stop);
      if (stop.signal.aborted) return;
      this.#opened({ hubTimeMs: hubTimeMs(response) });
      this.#take(subscription, asked, answer);
    }
  }

  async #ask(query, headers, stop) {
    const late = AbortSignal.timeout(SILENCE_MS);
    const signal = AbortSignal.any([stop.signal, late]);
    const response = await get(this.#context, '/v1/poll', query, { headers, signal });
    return { response, answer: await response.json() };
  }

  #take(subscription, asked, { recovered, snapshot, messages, position }) {
    const at = parsePosition(position);
    const follows = subscription.snapshot && !recovered;
    for (const pattern of subscription.patterns) {
      subscription.acked(pattern, at, { recovered, asked, follows });
    }
    if (follows) {
      subscription.patterns.forEach((pattern, index) => {
        subscription.page({ pattern, values: index === 0 ? snapshot : [], last: true });
      });
    }
    for (const message of messages) subscription.message(message);
    subscription.settled(at);
  }

  #opened(info) {
    if (this.#isOpen || this.#isClosed) return;
    this.#isOpen = true;
    this.#context.opened(info);
  }
}
