// The second choice: server-sent events, one stream a subscription. By fetch and not by EventSource,
// which can't send a header, so that the token never stands in an address.

import { HubError } from './emitter.js';
import { get, hubTimeMs, wish } from './http.js';
import { Reader } from './reader.js';
import { parsePosition, position } from './subscription.js';

/** The hub gives a sign of life every 15 s. */
const SILENCE_MS = 40_000;
/** A proxy that collects an answer before it passes it on shows nothing until then. */
const FIRST_MS = 10_000;

/** Takes a stream of text apart into events (the HTML standard, section 9.2.6). */
export class EventParser {
  #rest = '';
  #event = fresh();

  /** The events that end in this text. */
  feed(text) {
    // A CR at the end may be half of a CR LF.
    const lines = (this.#rest + text).split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop();
    const events = [];
    for (const line of lines) {
      if (line === '') {
        const event = this.#event;
        this.#event = fresh();
        if (event.data !== null || event.id !== null || event.retry !== null) events.push(event);
      } else this.#field(line);
    }
    return events;
  }

  #field(line) {
    const colon = line.indexOf(':');
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (name === 'data') this.#event.data = this.#event.data === null ? value : `${this.#event.data}\n${value}`;
    else if (name === 'event') this.#event.event = value;
    else if (name === 'id') this.#event.id = value;
    else if (name === 'retry') this.#event.retry = Number(value);
  }
}

function fresh() {
  return { event: 'message', data: null, id: null, retry: null };
}

export class Events extends Reader {
  static kind = 'events';

  async follow(subscription, signal) {
    const asked = subscription.sinceAll();
    let timer;
    const watch = (ms) => {
      clearTimeout(timer);
      timer = setTimeout(() => this.lost({ reason: 'silence' }), ms);
    };
    watch(FIRST_MS);
    try {
      const headers = { accept: 'text/event-stream' };
      const response = await get(this.context, '/v1/events', wish(subscription, asked), { headers, signal });
      const stream = { subscription, asked, windowS: 0, code: 0 };
      const parser = new EventParser();
      for await (const text of pieces(response)) {
        watch(SILENCE_MS);
        this.opened({ hubTimeMs: hubTimeMs(response) });
        for (const event of parser.feed(text)) {
          if (signal.aborted) return;
          take(stream, event);
        }
      }
      if (!signal.aborted) this.lost({ code: stream.code, windowS: stream.windowS });
    } finally {
      clearTimeout(timer);
    }
  }
}

/** The text of an answer, as it comes. */
async function* pieces(response) {
  if (!response.body?.getReader) {
    throw new HubError('UNSUPPORTED', 'this browser can not read an answer while it comes');
  }
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    yield decoder.decode(value, { stream: true });
  }
}

function take(stream, { event, data, id }) {
  const { subscription, asked } = stream;
  const envelope = data === null ? {} : JSON.parse(data);
  if (event === 'ack') {
    const recovered = envelope.ack.recovered === true;
    const follows = subscription.snapshot && !recovered;
    const at = position(envelope.ack.position ?? {});
    for (const pattern of subscription.patterns) {
      subscription.acked(pattern, at, { recovered, asked, follows });
    }
  } else if (envelope.message) subscription.message(envelope.message);
  else if (envelope.snapshot) subscription.page(envelope.snapshot);
  else if (envelope.gap) subscription.gap(envelope.gap);
  else if (envelope.go_away) {
    stream.code = envelope.go_away.code ?? 0;
    stream.windowS = envelope.go_away.reconnect_window_s ?? 0;
  }
  if (id) subscription.settled(parsePosition(id));
}
