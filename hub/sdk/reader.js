// What both ways over HTTP share: a reading of its own for each subscription, and requests beside them.
//
// How one subscription is read is said by whoever extends it, in `follow(subscription, signal)`: it tells
// `opened` when something came, and ends when the signal says so; an error of it ends the connection.

import { cutOff } from './emitter.js';
import { loss } from './http.js';
import { write } from './write.js';

/** ms until a request that isn't answered counts as a lost connection. */
const ANSWER_MS = 30_000;

export class Reader {
  #readings = new Map();
  #requests = new AbortController();
  #isOpen = false;
  #isClosed = false;

  constructor(context) {
    this.context = context;
  }

  start() {
    const { subscriptions } = this.context;
    // Without a subscription nothing has to be held open.
    if (subscriptions.size === 0) queueMicrotask(() => this.opened({ hubTimeMs: 0 }));
    for (const subscription of subscriptions) this.subscribe(subscription);
  }

  subscribe(subscription) {
    if (this.#isClosed) return;
    subscription.isStarted = true;
    const stop = new AbortController();
    this.#readings.set(subscription, stop);
    this.follow(subscription, stop.signal).catch((error) => {
      if (!this.#isClosed && !stop.signal.aborted) this.#failed(subscription, error);
    });
  }

  unsubscribe(subscription) {
    this.#readings.get(subscription)?.abort();
    this.#readings.delete(subscription);
  }

  /** Asks for something, as over the socket; the answer's `ack`. */
  async request(kind, body) {
    const late = AbortSignal.timeout(ANSWER_MS);
    try {
      return await write(this.context, kind, body, AbortSignal.any([this.#requests.signal, late]));
    } catch (error) {
      // Whoever can't be asked can't be read either, and who is unknown may not ask again.
      if (error.code === 'LOST') this.lost({ error });
      else if (error.status === 401) this.lost(loss(error));
      throw error;
    }
  }

  close() {
    this.#isClosed = true;
    this.#requests.abort(cutOff());
    for (const stop of this.#readings.values()) stop.abort();
    this.#readings.clear();
  }

  /** Something came, for the first time. */
  opened(info) {
    if (this.#isOpen || this.#isClosed) return;
    this.#isOpen = true;
    this.context.opened(info);
  }

  /** Nothing comes any more. */
  lost(how) {
    if (this.#isClosed) return;
    this.close();
    this.context.lost(how);
  }

  /** What the hub has against one subscription is no matter of the others. */
  #failed(subscription, error) {
    const isField = ['pattern', 'labels', 'max_rate'].includes(error.field);
    const isOwn = isField && (error.status === 400 || error.status === 403);
    if (!isOwn) return this.lost(loss(error));
    error.field = `subscribe.${error.field}`;
    this.#readings.delete(subscription);
    this.opened({ hubTimeMs: 0 });
    subscription.refused(error);
    this.context.complain(error);
  }
}
