// The first choice: the WebSocket of docs/protocol.md, in text or in protobuf.

import { HubError, cutOff } from './emitter.js';
import { JSON_LINES, PROTOBUF } from './envelopes.js';
import { position } from './subscription.js';
import { write } from './write.js';

const SUBPROTOCOL = 'lamplighter.v1';
const SILENCE_MS = 20_000;
const PONG_MS = 10_000;
const WELCOME_MS = 10_000;
/** ms that a write beside the socket may take. */
const WRITE_MS = 30_000;
const ENVELOPES = { json: JSON_LINES, protobuf: PROTOBUF };

export class Socket {
  static kind = 'websocket';
  #context;
  #envelopes;
  #socket = null;
  #requests = new Map();
  #request = 0;
  #isOpen = false;
  #timer = null;
  #window = 0;
  /** Subscriptions of which acks are awaited, with their number. */
  #awaited = new Map();
  /** Live messages are those above the positions of all acks. */
  #acked = { epoch: null, offset: 0 };

  constructor(context) {
    this.#context = context;
    this.#envelopes = ENVELOPES[context.envelopes];
  }

  start() {
    const url = new URL('/v1/ws', this.#context.url);
    url.protocol = url.protocol === 'http:' ? 'ws:' : 'wss:';
    const socket = new this.#context.WebSocket(url.href, [SUBPROTOCOL]);
    this.#socket = socket;
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => this.#greet();
    socket.onmessage = ({ data }) => this.#hear(data);
    socket.onerror = () => {};
    socket.onclose = ({ code, reason }) => this.#ended(code, reason);
    this.#watch(WELCOME_MS, () => this.#giveUp());
  }

  close() {
    const socket = this.#socket;
    this.#socket = null;
    clearTimeout(this.#timer);
    this.#fail();
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    // A socket that is still opening says so by an error, which nobody has to hear.
    socket.onerror = () => {};
    socket.close(1000);
  }

  /** All patterns in one message, so that their answers come before anything of them. */
  subscribe(subscription) {
    if (!this.#isOpen) return;
    subscription.isStarted = true;
    const encoding = this.#envelopes.contents[subscription.encoding];
    const asks = subscription.patterns.map((pattern) => {
      const asked = subscription.since(pattern);
      const wish = { pattern, ...subscription.choice };
      if (subscription.snapshot) wish.snapshot = true;
      if (encoding) wish.encoding = encoding;
      if (asked) wish.since = { epoch: asked.epoch, offset: String(asked.offset) };
      // Answered at once and not by a promise: pages may stand in the same message, after the answer.
      const onAck = (ack) => this.#onAck(subscription, pattern, asked, ack);
      return this.#ask('subscribe', wish, onAck, (error) => this.#onRefusal(subscription, error));
    });
    this.#awaited.set(subscription, (this.#awaited.get(subscription) ?? 0) + asks.length);
    this.#send(...asks);
  }

  unsubscribe(subscription) {
    this.#awaited.delete(subscription);
    if (!this.#isOpen) return;
    const others = [...this.#context.subscriptions].filter((other) => other !== subscription);
    const isUsed = (pattern) => others.some((other) => other.patterns.includes(pattern));
    for (const pattern of subscription.patterns.filter((one) => !isUsed(one))) {
      this.#send({ unsubscribe: { pattern } });
    }
  }

  /** Asks for something; the answer's `ack`. */
  request(kind, body) {
    if (!this.#isOpen) return Promise.reject(cutOff());
    // In protobuf content has no JSON; the other door of the hub takes it.
    if (!this.#envelopes.takesContent) return write(this.#context, kind, body, AbortSignal.timeout(WRITE_MS));
    return new Promise((resolve, reject) => {
      this.#send(this.#ask(kind, body, resolve, reject));
    });
  }

  /** The envelope to send; its answer goes to `resolve` or `reject`. */
  #ask(kind, body, resolve, reject) {
    const request = String((this.#request += 1));
    this.#requests.set(request, { resolve, reject });
    return { request, [kind]: body };
  }

  /** In one message. */
  #send(...envelopes) {
    this.#socket.send(this.#envelopes.joined(envelopes));
  }

  async #greet() {
    const socket = this.#socket;
    try {
      const token = await this.#context.token();
      const hello = { protocol: 1, token, agent: this.#context.agent };
      if (socket === this.#socket) this.#send({ hello });
    } catch (error) {
      this.#context.lost({ error });
    }
  }

  #hear(data) {
    if (this.#isOpen) this.#watch(SILENCE_MS, () => this.#ping());
    for (const envelope of this.#envelopes.parsed(data)) {
      this.#envelope(envelope);
      if (!this.#socket) return;
    }
  }

  #envelope(envelope) {
    const { subscriptions } = this.#context;
    if (envelope.message) this.#message(envelope.message);
    else if (envelope.snapshot) {
      const { pattern } = envelope.snapshot;
      for (const one of subscriptions) if (one.patterns.includes(pattern)) one.page(envelope.snapshot);
    } else if (envelope.gap) {
      for (const one of subscriptions) if (!this.#awaited.has(one)) one.gap(envelope.gap);
    } else if (envelope.welcome) this.#welcome(envelope.welcome);
    else if (envelope.go_away) this.#window = envelope.go_away.reconnect_window_s ?? 0;
    else this.#answer(envelope);
  }

  #message(message) {
    const offset = Number(message.offset);
    const isLive = offset > this.#acked.offset;
    for (const one of this.#context.subscriptions) {
      const isOwn = one.matches(message.channel);
      if (isOwn) one.message(message);
      if (this.#awaited.has(one)) continue;
      const position = { epoch: this.#acked.epoch, offset };
      if (one.isNarrowed) {
        if (isOwn) one.passed(message.channel, position);
      } else if (isLive && !one.isOwed) one.settled(position);
    }
  }

  #welcome(welcome) {
    this.#isOpen = true;
    this.#watch(SILENCE_MS, () => this.#ping());
    for (const subscription of this.#context.subscriptions) this.subscribe(subscription);
    this.#context.opened({
      identity: welcome.identity,
      hubTimeMs: Number(welcome.time_unix_ms ?? 0),
      windowS: welcome.reconnect_window_s ?? 0,
    });
  }

  #answer({ request, ack, error, pong }) {
    const waiting = this.#requests.get(request);
    this.#requests.delete(request);
    if (error && waiting) waiting.reject(refusal(error));
    else if (waiting) waiting.resolve(ack ?? pong ?? {});
    else if (error) this.#context.complain(refusal(error));
  }

  #onAck(subscription, pattern, asked, ack) {
    if (!this.#awaited.has(subscription)) return;
    const left = this.#awaited.get(subscription) - 1;
    if (left > 0) this.#awaited.set(subscription, left);
    else this.#awaited.delete(subscription);
    const at = position(ack.position ?? {});
    this.#acked = { epoch: at.epoch, offset: Math.max(this.#acked.offset, at.offset) };
    const recovered = ack.recovered === true;
    subscription.acked(pattern, at, {
      recovered,
      asked,
      follows: subscription.snapshot && !recovered,
    });
  }

  #onRefusal(subscription, error) {
    if (error.code === 'LOST') return;
    this.#awaited.delete(subscription);
    subscription.refused(error);
    this.#context.complain(error);
  }

  #ping() {
    this.#send({ ping: {} });
    this.#watch(PONG_MS, () => this.#giveUp());
  }

  #watch(ms, then) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(then, ms);
  }

  /** A dead connection is not closed: its good-bye would not arrive either. */
  #giveUp() {
    this.close();
    this.#context.lost({ reason: 'silence' });
  }

  #ended(code, reason) {
    clearTimeout(this.#timer);
    this.#socket = null;
    this.#fail();
    this.#context.lost({ code, reason, windowS: this.#window });
  }

  #fail() {
    this.#isOpen = false;
    const waiting = [...this.#requests.values()];
    this.#requests.clear();
    for (const { reject } of waiting) reject(cutOff());
  }
}

function refusal({ code = 'ERROR_CODE_UNSPECIFIED', message = '', field, retry_after_ms }) {
  const word = code.replace(/^ERROR_CODE_/, '');
  return new HubError(word, message, { field, retryAfterMs: retry_after_ms ?? 0 });
}
