// What one subscription has seen: its positions, and what it already gave to its reader.
//
// The transports feed it: `acked`, `message`, `page`, `gap`, `settled`. It passes each value on once,
// whatever was repeated by a reconnect or by patterns that overlap, and says when it had to reload.
//
// A position is `{epoch, offset}`: everything up to it was passed on. It moves only when that is
// certain; coming back with an old one repeats values, which are known by their offsets.

import { Emitter } from './emitter.js';
import { matches } from './names.js';

/** A message of the hub, from JSON: 64-bit numbers come as text. */
export function value(message) {
  return {
    channel: message.channel,
    type: message.type ?? '',
    data: message.data,
    payload: message.payload,
    problem: message.problem,
    offset: Number(message.offset ?? 0),
    timeMs: Number(message.time_unix_ms ?? 0),
    measuredMs: Number(message.measured_unix_ms ?? 0),
    boot: message.boot ?? 0,
    seq: Number(message.seq ?? 0),
  };
}

/** The bytes of a value whose channel has no type that the hub knows, or that was asked for as bytes. */
export function bytesOf({ payload = '' }) {
  if (payload instanceof Uint8Array) return payload;
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(payload);
  const characters = atob(payload);
  const bytes = new Uint8Array(characters.length);
  for (let at = 0; at < characters.length; at += 1) bytes[at] = characters.charCodeAt(at);
  return bytes;
}

/** A value as JSON: its data, or the text of its bytes, as `publish` puts it into a channel without type. */
export function jsonOf(value) {
  return value.data !== undefined ? value.data : JSON.parse(new TextDecoder().decode(bytesOf(value)));
}

/** What was seen last of each channel and type. */
class Marks {
  /** Of channels with one type, nearly all, the mark itself; else a list of them. */
  #byChannel = new Map();

  get({ channel, type }) {
    const found = this.#byChannel.get(channel);
    return Array.isArray(found) ? found.find((mark) => mark.type === type) : found?.type === type ? found : undefined;
  }

  set({ channel, type, offset, timeMs, measuredMs, boot, seq }) {
    const mark = { type, offset, timeMs, measuredMs, boot, seq };
    const found = this.#byChannel.get(channel);
    if (found === undefined || found.type === type) this.#byChannel.set(channel, mark);
    else {
      const others = [found].flat().filter((one) => one.type !== type);
      this.#byChannel.set(channel, [...others, mark]);
    }
  }

  delete(value) {
    const found = this.#byChannel.get(value.channel);
    if (Array.isArray(found)) this.#byChannel.set(value.channel, found.filter((mark) => mark.type !== value.type));
    else if (found?.type === value.type) this.#byChannel.delete(value.channel);
  }

  /** All of these and of newer ones, which win. */
  with(newer) {
    const all = new Marks();
    for (const marks of [this, newer]) {
      for (const [channel, found] of marks.#byChannel) for (const mark of [found].flat()) all.set({ channel, ...mark });
    }
    return all;
  }
}

export class Subscription extends Emitter {
  #epoch = null;
  /** Newest that was passed on, by channel and type. */
  #marks = new Marks();
  /** The same of epochs before, until something newer comes: across epochs values are only recognised. */
  #before = new Marks();
  #owed = new Set();

  /** @param {string[]} patterns */
  constructor(patterns, { snapshot = true, encoding = 'json', labels = '', maxRate = 0, conflate = false } = {}) {
    super();
    this.patterns = [...new Set(patterns)];
    this.snapshot = snapshot;
    this.encoding = encoding;
    /** What asks for less, as the protocol calls it. */
    this.choice = {
      ...(labels ? { labels } : {}),
      ...(maxRate ? { max_rate: maxRate } : {}),
      ...(conflate ? { conflate } : {}),
    };
    this.positions = new Map();
    /** Whether the transport of now has taken it up. */
    this.isStarted = false;
    /** Whether the hub has said to it what it makes of the subscription. */
    this.isAnswered = false;
  }

  /** The position to come back with for one pattern, or null. */
  since(pattern) {
    return this.positions.get(pattern) ?? null;
  }

  /** One for all patterns: the oldest, or null if one has none or they are of several epochs. */
  sinceAll() {
    let oldest = null;
    for (const pattern of this.patterns) {
      const position = this.since(pattern);
      if (!position || (oldest && oldest.epoch !== position.epoch)) return null;
      if (!oldest || position.offset < oldest.offset) oldest = position;
    }
    return oldest;
  }

  /**
   * The hub took up a pattern. `asked`: the position that was asked for; `follows`: whether a snapshot
   * comes. Without either the reader has everything from here on.
   */
  acked(pattern, position, { recovered, asked, follows }) {
    if (this.#epoch !== position.epoch) {
      this.#before = this.#before.with(this.#marks);
      this.#marks = new Marks();
      this.#epoch = position.epoch;
    }
    if (asked && !recovered) this.#reload(asked.epoch === position.epoch ? 'position' : 'restart');
    if (follows) {
      if (this.#owed.size === 0) this.emit('begin', { full: !asked || asked.epoch !== position.epoch });
      this.#owed.add(pattern);
    } else if (!recovered) {
      this.positions.set(pattern, position);
    }
    // What was missed comes with no end of its own; the position moves with the first live message.
    this.#answered();
  }

  /** The hub doesn't give it. */
  refused(error) {
    this.emit('refused', error);
    this.#answered();
  }

  /** Resolves when the hub took it up or refused it, or when the connection ended before that. */
  async whenAnswered() {
    if (!this.isAnswered) await this.once('answered');
  }

  /** A message that came after all that is owed, or was recovered. */
  message(message) {
    this.#pass(value(message), 'message');
  }

  /** A page of last values of one pattern. */
  page(page) {
    for (const message of page.values ?? []) this.#pass(value(message), 'value');
    if (!page.last) return;
    if (page.position) this.positions.set(page.pattern, position(page.position));
    this.#pageEnded(page.pattern);
  }

  /** Everything up to here was passed on, for all patterns. */
  settled(position) {
    for (const pattern of this.patterns) this.positions.set(pattern, position);
  }

  /**
   * The same for a message of a subscription that gets fewer: what waits for its beat may be older than what
   * others got meanwhile, so that only its own messages say how far it is.
   */
  passed(channel, position) {
    for (const pattern of this.patterns) {
      const held = this.since(pattern);
      const isNewer = held?.epoch !== position.epoch || held.offset < position.offset;
      if (isNewer && !this.#owed.has(pattern) && matches(pattern, channel)) {
        this.positions.set(pattern, position);
      }
    }
  }

  /** Messages were left out, and newer values follow if `snapshot_follows`. */
  gap(gap) {
    this.#reload('gap', Number(gap.dropped ?? 0));
    if (!gap.snapshot_follows) return;
    if (this.#owed.size === 0) this.emit('begin', { full: false });
    for (const pattern of this.patterns) this.#owed.add(pattern);
  }

  /** The connection ended; pages that were owed come again with the next. */
  lost() {
    this.isStarted = false;
    this.#owed.clear();
    this.#answered();
    this.isAnswered = false;
  }

  /** Whether it gets fewer messages than its patterns have. */
  get isNarrowed() {
    return Object.keys(this.choice).length > 0;
  }

  /** Whether last values are still on their way. */
  get isOwed() {
    return this.#owed.size > 0;
  }

  matches(channel) {
    return this.patterns.some((pattern) => matches(pattern, channel));
  }

  #answered() {
    this.isAnswered = true;
    this.emit('answered', {});
  }

  #pageEnded(pattern) {
    if (this.#owed.delete(pattern) && this.#owed.size === 0) this.emit('end', {});
  }

  /** Said once a reload, however many patterns it has. */
  #reload(reason, dropped = 0) {
    if (this.#owed.size === 0) this.emit('reload', { reason, dropped, patterns: this.patterns });
  }

  #pass(one, event) {
    const known = this.#marks.get(one);
    if (known && known.offset >= one.offset) {
      if (event === 'value') this.emit('known', one);
      return;
    }
    this.#marks.set(one);
    const old = this.#before.get(one);
    if (old && wasShown(old, one)) return this.emit('known', one);
    this.#before.delete(one);
    this.emit(event, one);
  }
}

/**
 * Whether a value of this epoch was passed on in the one before. A hub that crashes may forget a report
 * that its readers have seen but that it had not acknowledged; the device sends it again, as the same.
 */
function wasShown(old, one) {
  if (old.offset === one.offset && old.timeMs === one.timeMs) return true;
  const isSameBoot = one.seq > 0 && one.boot === old.boot;
  return isSameBoot && one.seq <= old.seq && one.measuredMs <= old.measuredMs;
}

/** `{epoch, offset}` of JSON, in numbers that can be compared; an epoch is only ever equal or not. */
export function position({ epoch, offset }) {
  return { epoch: String(epoch ?? 0), offset: Number(offset ?? 0) };
}

/** `<epoch>.<offset>`, as `id:` and `since` have it. */
export function positionText({ epoch, offset }) {
  return `${epoch}.${offset}`;
}

/** The position of such a text. */
export function parsePosition(text) {
  const [epoch, offset] = text.split('.');
  return { epoch, offset: Number(offset) };
}
