// What the pages of the whole-hub tests do, in Node and in Chromium. `say(kind, text)` is what the test
// hears; `place` has the hub's address and the token, and may change.

/** A socket that a proxy lets nothing through. */
class Blocked {
  constructor() {
    setTimeout(() => this.onclose?.({ code: 1006, reason: '' }));
  }

  close() {}
}

const WAYS = ['websocket', 'events', 'poll'];
const STORIES = { watch, write, look, choose };

/**
 * `story` in words: `watch`, `write` or `look`, and over which way: one of them, `protobuf` for the socket in protobuf,
 * `any` or `blocked`.
 */
export function tell({ Hub }, { story, way, place, say }) {
  const hub = new Hub({
    ...(place.url ? { url: () => place.url } : {}),
    token: () => place.token,
    transports: WAYS.includes(way) ? [way] : way === 'protobuf' ? ['websocket'] : undefined,
    envelopes: way === 'protobuf' ? 'protobuf' : 'json',
    backoff: { windowMs: 50, minMs: 50, maxMs: 200 },
    ...(way === 'blocked' ? { WebSocket: Blocked } : {}),
  });
  hub.on('open', ({ transport }) => say('open', way === 'protobuf' && transport === 'websocket' ? way : transport));
  hub.on('lost', ({ code, reason, error }) => say('lost', `${code} ${reason} ${error ?? ''}`));
  hub.on('error', (error) => say('complaint', error));
  STORIES[story](hub, say);
  hub.connect();
}

/** Every number that its collection shows, with the lamp that it is of. */
function watch(hub, say) {
  const lamps = hub.collection({ pattern: 'devices.*.telemetry' });
  const shown = ({ device, data }) => `${device} ${data.logger_id}`;
  lamps.on('reload', ({ reason }) => say('reload', reason));
  lamps.on('snapshot', ({ items }) => say('snapshot', items.map(shown).sort().join(', ')));
  lamps.on('enter', ({ item }) => say('enter', shown(item)));
  lamps.on('update', ({ item }) => say('update', shown(item)));
  lamps.on('leave', ({ item }) => say('leave', shown(item)));
}

const IDENTIFY = { identify: { duration_s: 3 } };
const WISH = { version: '1' };

/** What an operator does, and what it is refused. */
async function write(hub, say) {
  await hub.once('open');
  const command = await hub.send('lamp-1', IDENTIFY);
  say('sent', command.id);
  command.on('update', ({ state }) => say('step', state));
  await command.done;
  say('done', command.state);

  const waiting = await hub.send('lamp-2', IDENTIFY, { ttlS: 60, requestId: `evening-${hub.transport}` });
  await hub.cancel(waiting);
  say('done', (await waiting.done).state);

  const channel = `city.${hub.transport}`;
  const { revision, durable } = await hub.publish(channel, { text: 'on' }, { instead: 0 });
  say('published', durable);
  say('published', (await hub.publish(channel, { text: 'off' }, { instead: revision })).durable);
  say('published', (await hub.publish(channel, { text: 'on again' })).revision > revision);

  const wishes = `devices.lamp-${hub.transport}.desired`;
  const wished = await hub.publish(wishes, WISH, { instead: 0 });
  say('published', wished.durable);
  const calendar = await hub.patch(wishes, { calendar_id: 'night' }, { instead: wished.revision });
  const stale = await hub.patch(wishes, { calendar_id: null }, { instead: wished.revision }).catch((error) => error);
  say('patched', `${calendar.durable} ${JSON.stringify(stale.current?.data)}`);

  const refused = refusals(say);
  await refused('a stale revision', hub.publish(channel, {}, { instead: revision }));
  await refused('none expected', hub.publish(channel, {}, { instead: 0 }));
  await refused('a wish without revision', hub.publish(wishes, WISH));
  await refused('a patch that is none', hub.patch('typed.news', []));
  await refused('a patch of no type', hub.patch(channel, {}));
  await refused('a channel', hub.publish('a..b', {}));
  await refused('dots', hub.publish('..', {}));
  await refused('a type', hub.publish('typed.news', {}, { type: 'lighting.v1.Nothing' }));
  await refused('content', hub.publish('typed.news', { unheard_of: 1 }));
  await refused('a channel of a device', hub.publish('devices.lamp-1.telemetry', {}));
  await refused('an unknown device', hub.send('lamp-9', IDENTIFY));
  await refused('no device', hub.send('Lamp_9', IDENTIFY));
  await refused('a command', hub.send('lamp-1', { unheard_of: 1 }));
  await refused('a lifetime', hub.send('lamp-1', IDENTIFY, { ttlS: 1 }));
  await refused('other content', hub.send('lamp-2', { reboot: {} }, { requestId: waiting.requestId }));
  await refused('an ended command', hub.cancel(command));
  await refused('no command', hub.cancel('lamp-1'));
  await refused('an unknown command', hub.cancel('01890a5d-ac96-774b-bcce-b302099a8057'));
  say('end');
}

/** What somebody tries who may only look. */
async function look(hub, say) {
  await hub.once('open');
  const refused = refusals(say);
  const { commands } = await hub.read('/v1/commands?device=lamp-1');
  await refused('publish', hub.publish('city.news', {}));
  await refused('send', hub.send('lamp-1', IDENTIFY));
  await refused('cancel', hub.cancel(commands[0].command));
  const { code, field } = await hub.subscribe({ pattern: 'a..b' }).once('refused');
  say('refused', `subscribe: ${code} ${field}`);
  say('end', hub.state);
}

/** Some lamps only, at a beat. */
async function choose(hub, say) {
  await hub.once('open');
  const wish = { pattern: 'devices.*.telemetry', labels: "street='Queen St'", maxRate: 20 };
  const chosen = hub.subscribe(wish);
  const shown = ({ channel, data }) => `${channel} ${data.logger_id}`;
  // A poll that comes after the history is too short gets what it missed as a snapshot.
  for (const event of ['value', 'message']) chosen.on(event, (value) => say('seen', shown(value)));
  await chosen.once('end');
  try {
    hub.subscribe({ pattern: 'devices.lamp-1.>' });
  } catch ({ code, field }) {
    say('refused', `an overlap: ${code} ${field}`);
  }
  for (const [what, options] of [['labels', { labels: 'street' }], ['a rate', { maxRate: 101 }]]) {
    const { code, field } = await hub.subscribe({ pattern: `city.${options.maxRate ?? 0}`, ...options }).once('refused');
    say('refused', `${what}: ${code} ${field}`);
  }
  say('end');
}

/** Says of something that is tried whether it was taken, or as what it was refused. */
function refusals(say) {
  const told = (what, { code, field }) => say('refused', `${what}: ${code} ${field}`.trim());
  return (what, tried) => tried.then(() => say('taken', what), (error) => told(what, error));
}
