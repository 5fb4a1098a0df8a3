// Lamplighter in a browser, or in any runtime with fetch: reads live values, sends commands.
//
//   import { Hub } from '/sdk/lamplighter.js';
//   const hub = new Hub({ token });
//   const lamps = hub.collection({ pattern: 'devices.*.telemetry', where: "street='Queen St'" });
//   lamps.on('snapshot', ({ items }) => draw(items));
//   lamps.on('update', ({ item }) => redraw(item, item.ageMs));
//   hub.connect();
//
// It connects by WebSocket, else by server-sent events, else by long polling; comes back after a loss
// at the pace that the protocol wants, with the position that it had; and says by `reload` when
// something was missed and had to be read anew. Types stand in lamplighter.d.ts.

import { Backoff } from './backoff.js';
import { Collection } from './collection.js';
import { Command, send } from './command.js';
import { Emitter, HubError } from './emitter.js';
import { Events } from './events.js';
import { get } from './http.js';
import { deviceOf, overlap } from './names.js';
import { Poll } from './poll.js';
import { Socket } from './socket.js';
import { Subscription, bytesOf, jsonOf } from './subscription.js';

export { Backoff, Collection, Command, HubError, bytesOf, jsonOf };

const TRANSPORTS = { websocket: Socket, events: Events, poll: Poll };
/** Tries that fail while the hub answers otherwise, before another way is taken. */
const FAILURES_MAX = 2;
const BLOCKED_MS = 600_000;
/** Close codes from here on mean: stay away until something changed. */
const STAY_AWAY_MIN = 4500;
const STAY_AWAY_MAX = 4999;

export class Hub extends Emitter {
  #options;
  #subscriptions = new Set();
  #transport = null;
  #backoff;
  #state = 'idle';
  #ending = null;
  #openedAt = 0;
  #timer = null;
  #clockOffsetMs = 0;
  #failures = new Map();
  #blocked = new Map();

  constructor(options) {
    super();
    const { token, envelopes = 'json', transports = ['websocket', 'events', 'poll'] } = options ?? {};
    if (!token) throw new TypeError('a hub needs a token, or a function that gives one');
    const unknown = transports.find((kind) => !(kind in TRANSPORTS));
    if (unknown) throw new TypeError(`there is no transport ${unknown}`);
    if (envelopes !== 'json' && envelopes !== 'protobuf') throw new TypeError(`envelopes are not written as ${envelopes}`);
    this.#options = {
      WebSocket: globalThis.WebSocket,
      fetch: globalThis.fetch?.bind(globalThis),
      agent: 'lamplighter.js/0.1',
      url: globalThis.location?.origin,
      ...options,
      envelopes,
      transports,
    };
    this.#backoff = new Backoff(options.backoff);
  }

  /** `idle`, `connecting`, `open`, `waiting` for the next try, `refused` for good, or `closed`. */
  get state() {
    return this.#state;
  }

  /** `websocket`, `events` or `poll`; null while there is none. */
  get transport() {
    return this.#state === 'open' ? this.#transport.constructor.kind : null;
  }

  /** Whether it won't come back by itself. */
  get isEnded() {
    return this.#state === 'closed' || this.#state === 'refused';
  }

  /** Connects, and stays connected. Resolves at the first success, rejects if that can't come. */
  connect() {
    if (this.#state === 'idle' || this.isEnded) this.#try();
    const opened = this.whenOpen();
    // Who doesn't wait for it hears of it by `lost` and `state`.
    opened.catch(() => {});
    return opened;
  }

  /** Resolves when it is connected; rejects when it won't be. */
  async whenOpen() {
    while (this.#state !== 'open') {
      if (this.isEnded) throw this.#ending ?? new HubError('CLOSED', 'the hub object was closed');
      await this.once('state');
    }
  }

  /** Ends everything. */
  close() {
    clearTimeout(this.#timer);
    this.#transport?.close();
    this.#transport = null;
    this.#become('closed');
    for (const subscription of this.#subscriptions) subscription.lost();
  }

  /**
   * What channels carry. Events of what comes back: `value` (of a snapshot), `message`, `reload`,
   * `begin` and `end` of a snapshot, `refused`. `labels` chooses devices, `maxRate` (beats a second) and
   * `conflate` fewer messages. With `encoding: 'protobuf'` values have `payload` in the place of `data`; of
   * channels that stand in several subscriptions, the first decides.
   */
  subscribe({ pattern, patterns = [pattern], ...options }) {
    const subscription = new Subscription(patterns, options);
    this.#requireApart(subscription);
    subscription.close = () => this.#unsubscribe(subscription);
    subscription.on('reload', (event) => this.emit('reload', event));
    this.#subscriptions.add(subscription);
    // In its own turn, so that whoever subscribes can listen before anything comes.
    queueMicrotask(() => {
      const isWanted = this.#subscriptions.has(subscription) && !subscription.isStarted;
      if (this.#state === 'open' && isWanted) this.#transport.subscribe(subscription);
    });
    return subscription;
  }

  /** The last values of channels, kept up to date: see collection.js. */
  collection(wish) {
    return new Collection(this, wish);
  }

  /**
   * Puts a value into a channel; `{revision, durable}`. `instead`: the revision that it is to replace, 0
   * for none yet. What a device is wished to be is never written without.
   */
  async publish(channel, data, options) {
    return this.#put({ channel, data }, options);
  }

  /** The same by a merge patch (RFC 7396): members replace, `null` takes away, the others stay. */
  async patch(channel, patch, options) {
    return this.#put({ channel, data: patch, patch: true }, options);
  }

  /** Sends a command to a device; resolves with the command when the hub has it on disk. */
  send(device, data, options) {
    return send(this, device, data, options);
  }

  /** Withdraws a command that the device has not started. */
  async cancel(command) {
    await this.request('cancel', { command: command.id ?? command });
  }

  /** Any request of the protocol; its `ack`. Without the socket only `publish`, `send` and `cancel`. */
  async request(kind, body) {
    this.#requireOpen();
    return this.#transport.request(kind, body);
  }

  /** GET of a resource, as JSON. */
  async read(path) {
    const response = await get(this.#context(null), path, []);
    return response.json();
  }

  /** Now, by the hub's clock. */
  nowMs() {
    return Date.now() + this.#clockOffsetMs;
  }

  /** A connection doesn't say for which of its subscriptions a message comes. */
  #requireApart(subscription) {
    for (const other of this.#subscriptions) {
      const isNarrowed = subscription.isNarrowed || other.isNarrowed;
      const meet = (one) => other.patterns.some((pattern) => overlap(one, pattern));
      if (isNarrowed && subscription.patterns.some(meet)) {
        const patterns = `${subscription.patterns} and ${other.patterns}`;
        throw new HubError(
          'UNSUPPORTED',
          `${patterns} overlap, and one has \`labels\`, \`maxRate\` or \`conflate\`; use another Hub for it`,
          { field: 'subscribe.pattern' },
        );
      }
    }
  }

  #requireOpen() {
    if (this.#state !== 'open') throw new HubError('LOST', 'the hub is not connected');
  }

  async #put(body, { type, instead } = {}) {
    const wish = { ...body };
    if (type) wish.type = type;
    if (instead !== undefined) wish.expected_revision = String(instead);
    try {
      const ack = await this.request('publish', wish);
      return { revision: Number(ack.revision ?? 0), durable: ack.durable === true };
    } catch (error) {
      if (error.code === 'CONFLICT') error.current ??= await this.#standing(wish);
      throw error;
    }
  }

  /** The value that stands in a channel; null if there is none. */
  async #standing({ channel, type = '' }) {
    const path = `/v1/channels/${encodeURIComponent(channel)}?type=${encodeURIComponent(type)}`;
    return this.read(path).catch(() => null);
  }

  #unsubscribe(subscription) {
    subscription.lost();
    if (!this.#subscriptions.delete(subscription)) return;
    this.#transport?.unsubscribe(subscription);
  }

  #become(state) {
    if (this.#state === state) return;
    this.#state = state;
    this.emit('state', { state });
  }

  #try() {
    this.#ending = null;
    const kind = this.#choose();
    this.#become('connecting');
    const transport = new TRANSPORTS[kind](this.#context(() => this.#transport === transport));
    this.#transport = transport;
    try {
      transport.start();
    } catch (error) {
      this.#lost(transport, { error });
    }
  }

  /** The best way that isn't known to be blocked. */
  #choose() {
    const { transports, WebSocket } = this.#options;
    const now = Date.now();
    const isOpen = (kind) => (this.#blocked.get(kind) ?? 0) <= now && (kind !== 'websocket' || WebSocket);
    const found = transports.find(isOpen);
    if (found) return found;
    this.#blocked.clear();
    return transports.find((kind) => kind !== 'websocket' || WebSocket) ?? 'poll';
  }

  /** What a transport knows of us. Once another has taken over, it is heard no more. */
  #context(isCurrent) {
    const { WebSocket, fetch, agent, envelopes } = this.#options;
    const hub = this;
    return {
      WebSocket,
      fetch,
      agent,
      envelopes,
      url: this.#url(),
      subscriptions: this.#subscriptions,
      token: () => this.#token(),
      opened: (info) => isCurrent() && hub.#opened(info),
      lost: (how) => isCurrent() && hub.#lost(hub.#transport, how),
      complain: (error) => isCurrent() && hub.emit('error', error),
    };
  }

  #url() {
    const { url } = this.#options;
    return typeof url === 'function' ? url() : url;
  }

  async #token() {
    const { token } = this.#options;
    return typeof token === 'function' ? token() : token;
  }

  #opened({ identity, hubTimeMs, windowS }) {
    if (hubTimeMs) this.#clockOffsetMs = hubTimeMs - Date.now();
    this.#backoff.window(windowS ?? 0);
    this.#openedAt = Date.now();
    const kind = this.#transport.constructor.kind;
    this.#failures.delete(kind);
    this.#become('open');
    this.emit('open', { transport: kind, identity });
    for (const subscription of this.#subscriptions) {
      if (!subscription.isStarted) this.#transport.subscribe(subscription);
    }
  }

  #lost(transport, { code = 0, reason = '', error, final = false, windowS = 0, retryAfterMs = 0 }) {
    if (this.isEnded) return;
    const wasOpen = this.#state === 'open';
    transport.close();
    this.#transport = null;
    for (const subscription of this.#subscriptions) subscription.lost();
    const isFinal = final || (code >= STAY_AWAY_MIN && code <= STAY_AWAY_MAX);
    if (wasOpen) this.#backoff.ended(Date.now() - this.#openedAt);
    this.#backoff.window(windowS);
    this.emit('lost', { code, reason, error, final: isFinal, transport: transport.constructor.kind });
    if (isFinal) {
      this.#ending = error ?? new HubError('REFUSED', reason || `closed with ${code}`, { status: code });
      return this.#become('refused');
    }
    const wait = Math.max(this.#backoff.next(), retryAfterMs);
    this.#become('waiting');
    const isTold = code >= 4000 || error?.status > 0;
    const judged = wasOpen || isTold ? Promise.resolve() : this.#judge(transport.constructor.kind);
    this.#timer = setTimeout(() => judged.then(() => this.#state === 'waiting' && this.#try()), wait);
  }

  /** A way that fails while the hub answers otherwise is blocked by something between. */
  async #judge(kind) {
    try {
      const options = { cache: 'no-store', credentials: 'omit', signal: AbortSignal.timeout(5_000) };
      const answer = await this.#options.fetch(new URL('/healthz', this.#url()).href, options);
      if (!answer.ok) return;
    } catch {
      return;
    }
    const failures = (this.#failures.get(kind) ?? 0) + 1;
    this.#failures.set(kind, failures);
    if (failures < FAILURES_MAX) return;
    this.#failures.delete(kind);
    this.#blocked.set(kind, Date.now() + BLOCKED_MS);
    this.emit('fallback', { from: kind });
  }
}
