// A page without a browser: the whole-hub test runs it, tells it on standard input where the hub is,
// and reads on standard output what it sees.

import { createInterface } from 'node:readline';
import { Hub } from '../lamplighter.js';

const story = process.argv[2];
const say = (kind, text = '') => console.log(`${kind} ${text}`);
const place = { url: null, token: null };

/** A socket that a proxy lets nothing through. */
class Blocked {
  constructor() {
    setTimeout(() => this.onclose?.({ code: 1006, reason: '' }));
  }

  close() {}
}

function begin() {
  const hub = new Hub({
    url: () => place.url,
    token: () => place.token,
    transports: ['websocket', 'events', 'poll'].includes(story) ? [story] : undefined,
    backoff: { windowMs: 50, minMs: 50, maxMs: 200 },
    ...(story === 'blocked' ? { WebSocket: Blocked } : {}),
  });
  hub.on('open', ({ transport }) => say('open', transport));
  hub.on('lost', ({ code, reason, error }) => say('lost', `${code} ${reason} ${error ?? ''}`));
  hub.on('error', (error) => say('error', error));
  if (story === 'command') hub.on('open', () => command(hub));
  else watch(hub);
  hub.connect();
}

function watch(hub) {
  const lamps = hub.collection({ pattern: 'devices.*.telemetry' });
  const number = (item) => item.data.logger_id;
  lamps.on('reload', ({ reason }) => say('reload', reason));
  lamps.on('snapshot', ({ items }) => say('snapshot', items.map(number).join(' ')));
  lamps.on('enter', ({ item }) => say('enter', number(item)));
  lamps.on('update', ({ item }) => say('update', number(item)));
  lamps.on('leave', ({ item }) => say('leave', number(item)));
}

async function command(hub) {
  const sent = await hub.send('lamp-1', { identify: { duration_s: 3 } });
  say('sent', sent.id);
  say('done', (await sent.done).state);
  say('published', (await hub.publish('city.news', { text: 'done' })).durable);
}

createInterface({ input: process.stdin }).on('line', (line) => {
  const isFirst = place.url === null;
  [place.url, place.token] = line.split(' ');
  if (isFirst) begin();
});
