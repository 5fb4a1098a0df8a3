// A live collection: the last values of channels, as they are now and as they change.
//
//   snapshot  all of them, once they are complete: at the start and after each reload
//   enter     a value of a channel that had none, or of a device that is meant from now on
//   update    a newer value
//   leave     the device is not meant any more, or the value is gone
//   reload    something was missed; a snapshot follows
//
// With `where` only values of devices count that are meant by it. That is known from the devices'
// registrations, which are watched beside the pattern; a value of a device that isn't known yet waits.

import { Emitter } from './emitter.js';
import { deviceOf, matches, registrationOf, selector } from './names.js';

/**
 * ms that a value may be missing after a snapshot before it counts as gone: one that changed while the
 * snapshot was read isn't in it, but comes as a message.
 */
const DOUBT_MS = 3_000;

export class Collection extends Emitter {
  #hub;
  #subscription;
  #pattern;
  #where;
  /** All values by channel and type, also those that are not shown. */
  #held = new Map();
  #shown = new Map();
  #devices = new Map();
  /** Values that the snapshot of everything, or what follows it, has not shown again yet. */
  #unconfirmed = new Set();
  #doubtMs;
  #timer = null;
  #isReady = false;

  constructor(hub, { pattern, where = null }, doubtMs = DOUBT_MS) {
    super();
    this.#doubtMs = doubtMs;
    this.#hub = hub;
    this.#pattern = pattern;
    this.#where = typeof where === 'string' ? selector(where) : where;
    const patterns = [pattern];
    if (this.#where) {
      const registrations = registrationOf(pattern);
      if (!registrations) throw new TypeError('`where` chooses devices; the pattern is of none');
      patterns.push(registrations);
    }
    this.#subscription = hub.subscribe({ patterns, snapshot: true });
    this.#listen();
  }

  /** All values now. */
  get items() {
    return [...this.#shown.values()];
  }

  get size() {
    return this.#shown.size;
  }

  /** Whether the first snapshot is complete. */
  get isReady() {
    return this.#isReady;
  }

  /** The newest value of a channel, of one type if that is named. */
  get(channel, type) {
    const found = this.items.filter((item) => item.channel === channel && (type === undefined || item.type === type));
    return found.reduce((newest, item) => (newest && newest.offset > item.offset ? newest : item), undefined);
  }

  [Symbol.iterator]() {
    return this.#shown.values();
  }

  close() {
    clearTimeout(this.#timer);
    this.#subscription.close();
  }

  #listen() {
    const on = (name, listener) => this.#subscription.on(name, listener);
    on('reload', (event) => this.emit('reload', event));
    on('begin', ({ full }) => {
      // Only a snapshot of everything shows by silence that something is gone.
      if (full) this.#unconfirmed = new Set(this.#held.keys());
      clearTimeout(this.#timer);
    });
    on('value', (value) => this.#take(value));
    on('known', (value) => this.#unconfirmed.delete(keyOf(value)));
    on('message', (value) => this.#take(value));
    on('end', () => this.#complete());
    on('refused', (error) => this.emit('error', error));
  }

  #take(value) {
    const key = keyOf(value);
    this.#unconfirmed.delete(key);
    if (this.#where && value.channel.endsWith('.registration')) this.#register(value);
    if (!matches(this.#pattern, value.channel)) return;
    const item = new Item(value, this.#hub);
    this.#held.set(key, item);
    this.#show(key, item);
  }

  #register({ channel, data = {} }) {
    const id = deviceOf(channel);
    if (data.removed) this.#devices.delete(id);
    else this.#devices.set(id, { id, profile: data.profile ?? '', labels: data.labels ?? {} });
    for (const [key, item] of this.#held) if (item.device === id) this.#show(key, item);
    if (!data.removed) return;
    for (const [key, item] of this.#held) if (item.device === id) this.#held.delete(key);
  }

  #isMeant(item) {
    if (!this.#where) return true;
    const device = this.#devices.get(item.device);
    return device !== undefined && Boolean(this.#where(device));
  }

  /** Brings what is shown in line with what is held. */
  #show(key, item) {
    const before = this.#shown.get(key);
    if (!this.#isMeant(item)) return this.#hide(key);
    if (before === item) return;
    this.#shown.set(key, item);
    if (this.#isReady) this.emit(before ? 'update' : 'enter', before ? { item, before } : { item });
  }

  #hide(key) {
    const item = this.#shown.get(key);
    if (this.#shown.delete(key) && this.#isReady) this.emit('leave', { item });
  }

  #complete() {
    this.#isReady = true;
    this.emit('snapshot', { items: this.items });
    if (this.#unconfirmed.size > 0) this.#doubt();
  }

  #doubt() {
    this.#timer = setTimeout(() => {
      // Who is away hears nothing of anything.
      if (!this.#subscription.isAnswered) return this.#doubt();
      for (const key of this.#unconfirmed) {
        this.#held.delete(key);
        this.#hide(key);
      }
      this.#unconfirmed.clear();
    }, this.#doubtMs);
  }
}

/** One value. It is never shown without its age. */
class Item {
  #hub;

  constructor(value, hub) {
    Object.assign(this, value);
    this.device = deviceOf(value.channel);
    this.#hub = hub;
  }

  /** ms since it was measured, or since the hub got it if nobody knows that, by the hub's clock. */
  get ageMs() {
    return Math.max(0, this.#hub.nowMs() - (this.measuredMs || this.timeMs));
  }
}

const keyOf = ({ channel, type }) => `${channel}\n${type}`;
