// The parts of the module that need no hub.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { Backoff } from '../backoff.js';
import { Collection } from '../collection.js';
import { Command } from '../command.js';
import { PROTOBUF } from '../envelopes.js';
import { EventParser } from '../events.js';
import { Hub, HubError, bytesOf, jsonOf } from '../lamplighter.js';
import { Bytes, read, table } from '../protobuf.js';
import { matches, overlap, registrationOf, selector } from '../names.js';
import { Subscription } from '../subscription.js';
import { write } from '../write.js';

test('a pattern stands for the channels that the hub means', () => {
  assert.ok(matches('devices.*.telemetry', 'devices.lamp-1.telemetry'));
  assert.ok(matches('devices.>', 'devices.lamp-1.telemetry'));
  assert.ok(!matches('devices.>', 'devices'));
  assert.ok(!matches('devices.*', 'devices.lamp-1.telemetry'));
  assert.ok(!matches('devices.*.telemetry', 'devices.lamp-1'));
  assert.equal(registrationOf('devices.lamp-1.>'), 'devices.lamp-1.registration');
  assert.equal(registrationOf('city.*'), null);
});

test('a selector means devices by all of its conditions', () => {
  const device = { id: 'lamp-1', profile: 'led', labels: { street: 'Queen St', note: 'a, b' } };
  assert.ok(selector('')(device));
  assert.ok(selector("street='Queen St', profile=led")(device));
  assert.ok(selector('note="a, b",id=lamp-1')(device));
  assert.ok(!selector('street=King St')(device));
  for (const bad of ['street', '=x', "street='Queen"]) assert.throws(() => selector(bad), TypeError);
});

test('the first try comes within the window, the next ones back off, a healthy life starts over', () => {
  const backoff = new Backoff({}, () => 1);
  backoff.window(3);
  assert.deepEqual([1, 2, 3, 4].map(() => backoff.next()), [3_000, 2_000, 4_000, 8_000]);
  for (let tries = 0; tries < 20; tries += 1) backoff.next();
  assert.equal(backoff.next(), 120_000);
  backoff.ended(59_000);
  assert.equal(backoff.next(), 120_000);
  backoff.ended(60_000);
  assert.equal(backoff.next(), 3_000);
});

test('events are found however the stream is cut into pieces', () => {
  const text = 'retry: 9\n\n:\n\nevent: ack\r\nid: 1.2\r\ndata: {"a":\r\ndata: 1}\r\n\r\ndata:x\n\n:\nid: 1.3\n\n';
  const whole = new EventParser().feed(text);
  const parser = new EventParser();
  const pieces = [...text].flatMap((character) => parser.feed(character));
  assert.deepEqual(pieces, whole);
  assert.deepEqual(whole.map(({ event, id, data }) => [event, id, data]), [
    ['message', null, null],
    ['ack', '1.2', '{"a":\n1}'],
    ['message', null, 'x'],
    ['message', '1.3', null],
  ]);
});

const message = (channel, offset, data = {}) => ({ channel, offset: String(offset), data });
const at = (epoch, offset) => ({ epoch, offset });

function heard(subscription) {
  const events = [];
  for (const name of ['value', 'message', 'reload', 'begin', 'end']) {
    subscription.on(name, (event) => events.push(event.offset ? `${name} ${event.offset}` : name));
  }
  return events;
}

test('a value is passed on once, whatever is repeated', () => {
  const subscription = new Subscription(['a.*']);
  const events = heard(subscription);
  subscription.acked('a.*', at('7', 10), { recovered: false, asked: null, follows: true });
  subscription.page({ pattern: 'a.*', values: [message('a.b', 9)], last: true, position: at('7', '10') });
  subscription.message(message('a.b', 11));
  subscription.message(message('a.b', 11));
  subscription.message(message('a.c', 12));
  subscription.lost();
  subscription.acked('a.*', at('7', 13), { recovered: true, asked: at('7', 10), follows: false });
  subscription.message(message('a.b', 11));
  subscription.message(message('a.c', 13));
  assert.deepEqual(events, ['begin', 'value 9', 'end', 'message 11', 'message 12', 'message 13']);
});

test('the position waits until a snapshot is complete', () => {
  const subscription = new Subscription(['a', 'b']);
  for (const pattern of ['a', 'b']) {
    subscription.acked(pattern, at('7', 10), { recovered: false, asked: null, follows: true });
  }
  subscription.page({ pattern: 'a', values: [message('a', 3)], last: true, position: at('7', '10') });
  assert.equal(subscription.sinceAll(), null);
  subscription.page({ pattern: 'b', last: true, position: at('7', '12') });
  assert.deepEqual(subscription.sinceAll(), at('7', 10));
  subscription.settled(at('7', 20));
  assert.deepEqual(subscription.since('b'), at('7', 20));
});

test('what gets fewer messages is as far as its own messages say, pattern by pattern', () => {
  const subscription = new Subscription(['a.*', 'b'], { maxRate: 5, labels: 'street=x' });
  assert.deepEqual(subscription.choice, { labels: 'street=x', max_rate: 5 });
  assert.ok(subscription.isNarrowed && !new Subscription(['a']).isNarrowed);
  for (const pattern of ['a.*', 'b']) {
    subscription.acked(pattern, at('7', 10), { recovered: false, asked: null, follows: pattern === 'b' });
  }
  subscription.passed('a.c', at('7', 12));
  subscription.passed('b', at('7', 13));
  assert.deepEqual(subscription.since('a.*'), at('7', 12));
  assert.equal(subscription.since('b'), null, 'its snapshot is still to come');
  subscription.page({ pattern: 'b', last: true, position: at('7', '11') });
  subscription.passed('b', at('7', 14));
  subscription.passed('a.c', at('7', 11));
  assert.deepEqual([subscription.since('a.*'), subscription.since('b')], [at('7', 12), at('7', 14)]);
});

test('patterns overlap if a channel may be of both', () => {
  for (const [one, other] of [['a', 'a'], ['a.*', '*.b'], ['a.>', 'a.b.c'], ['>', '*'], ['a.*.c', 'a.b.>']]) {
    assert.ok(overlap(one, other) && overlap(other, one), `${one} ${other}`);
  }
  for (const [one, other] of [['a', 'b'], ['a.>', 'a'], ['a.*', 'a.b.c'], ['*.b', 'a.c'], ['a.b.>', 'a.c.d']]) {
    assert.ok(!overlap(one, other) && !overlap(other, one), `${one} ${other}`);
  }
});

test('another life of the hub is told, and what is the same there is not repeated', () => {
  const subscription = new Subscription(['a.*']);
  const events = heard(subscription);
  const old = message('a.b', 9);
  subscription.acked('a.*', at('7', 8), { recovered: false, asked: null, follows: false });
  subscription.message(old);
  subscription.lost();
  subscription.acked('a.*', at('8', 99), { recovered: false, asked: at('7', 9), follows: true });
  subscription.page({ pattern: 'a.*', values: [old, message('a.c', 3)], last: true, position: at('8', '99') });
  // A hub that forgot everything counts from the beginning.
  subscription.message(message('a.d', 100));
  assert.deepEqual(events, ['message 9', 'reload', 'begin', 'value 3', 'end', 'message 100']);
});

test('a report that a crashed hub forgot and gets again is not shown again, and the next one is', () => {
  const subscription = new Subscription(['a.*']);
  const events = heard(subscription);
  const report = (offset, seq, boot = 1) => ({ ...message('a.b', offset), boot, seq: String(seq) });
  subscription.acked('a.*', at('7', 0), { recovered: false, asked: null, follows: false });
  for (const seq of [5, 6, 7]) subscription.message(report(10 + seq, seq));
  subscription.lost();
  subscription.acked('a.*', at('8', 16), { recovered: false, asked: at('7', 17), follows: true });
  subscription.page({ pattern: 'a.*', values: [report(16, 6)], last: true, position: at('8', '16') });
  for (const seq of [7, 8]) subscription.message(report(20 + seq, seq));
  // After it was switched off, the device counts from 1.
  subscription.message(report(30, 1, 2));
  assert.deepEqual(events, ['message 15', 'message 16', 'message 17', 'reload', 'begin', 'end', 'message 28', 'message 30']);
});

test('who waits for an answer to a subscription is told of a loss and of a refusal, too', async () => {
  const lost = new Subscription(['a']);
  const waiting = lost.whenAnswered();
  lost.lost();
  await waiting;
  assert.equal(lost.isAnswered, false);
  const refused = new Subscription(['a']);
  const errors = [];
  refused.on('refused', ({ code }) => errors.push(code));
  refused.refused(new HubError('BAD_CHANNEL', 'is no pattern'));
  await refused.whenAnswered();
  assert.deepEqual(errors, ['BAD_CHANNEL']);
});

function collection(where) {
  const subscription = new Subscription(['devices.*.telemetry', 'devices.*.registration']);
  subscription.close = () => {};
  const hub = { nowMs: () => 5_000, subscribe: () => subscription };
  const lamps = new Collection(hub, { pattern: 'devices.*.telemetry', where }, 1);
  const events = [];
  for (const name of ['snapshot', 'enter', 'update', 'leave', 'reload']) {
    lamps.on(name, ({ item, items }) => events.push(`${name} ${item?.device ?? items?.length ?? ''}`.trim()));
  }
  return { subscription, lamps, events };
}

const lamp = (id, offset, data = {}) => message(`devices.${id}.telemetry`, offset, data);
const registered = (id, offset, street) =>
  message(`devices.${id}.registration`, offset, street ? { device: id, labels: { street } } : { device: id, removed: true });

function begin(subscription, values, epoch = '7', asked = null) {
  const [first, second] = subscription.patterns;
  for (const pattern of subscription.patterns) {
    subscription.acked(pattern, at(epoch, 50), { recovered: false, asked, follows: true });
  }
  subscription.page({ pattern: first, values, last: true, position: at(epoch, '50') });
  subscription.page({ pattern: second, last: true, position: at(epoch, '50') });
}

test('a collection shows the devices that are meant, and sees them leave and come', () => {
  const { subscription, lamps, events } = collection('street=Queen St');
  const values = [lamp('l1', 1), lamp('l2', 2), registered('l1', 3, 'Queen St'), registered('l2', 4, 'King St')];
  begin(subscription, values);
  assert.deepEqual(lamps.items.map((item) => item.device), ['l1']);
  subscription.message(lamp('l2', 60));
  subscription.message(lamp('l1', 61));
  subscription.message(registered('l2', 62, 'Queen St'));
  subscription.message(registered('l1', 63, 'King St'));
  subscription.message(registered('l2', 64, null));
  assert.deepEqual(events, ['snapshot 1', 'update l1', 'enter l2', 'leave l1', 'leave l2']);
  assert.equal(lamps.size, 0);
});

test('after a restart what is gone leaves, what is the same is left in peace, and what changes meanwhile, too', async () => {
  const { subscription, events } = collection(null);
  begin(subscription, [lamp('l1', 1), lamp('l2', 2), lamp('l4', 4)]);
  subscription.lost();
  begin(subscription, [lamp('l1', 1), lamp('l3', 3)], '8', at('7', 50));
  // It changed while the snapshot was read, so it isn't in it.
  subscription.message(lamp('l4', 51));
  assert.deepEqual(events, ['snapshot 3', 'reload', 'enter l3', 'snapshot 4', 'update l4']);
  subscription.lost();
  await turn();
  assert.equal(events.length, 5, 'nobody is gone because the hub is');
  subscription.acked('devices.*.telemetry', at('8', 51), { recovered: true, asked: at('8', 51), follows: false });
  await turn();
  assert.deepEqual(events.slice(5), ['leave l2']);
});

test('a gap is told, and only what changed is told after it', () => {
  const { subscription, events } = collection(null);
  begin(subscription, [lamp('l1', 1), lamp('l2', 2)]);
  subscription.gap({ dropped: '7', snapshot_follows: true });
  for (const pattern of subscription.patterns) {
    const values = pattern.endsWith('telemetry') ? [lamp('l1', 70)] : [];
    subscription.page({ pattern, values, last: true, position: at('7', '80') });
  }
  assert.deepEqual(events, ['snapshot 2', 'reload', 'update l1', 'snapshot 2']);
});

test('a value has its age by the clock of the hub', () => {
  const { subscription, lamps } = collection(null);
  const measured = { ...lamp('l1', 1), time_unix_ms: '4000', measured_unix_ms: '3000' };
  begin(subscription, [measured, { ...lamp('l2', 2), time_unix_ms: '4000' }]);
  assert.equal(lamps.get('devices.l1.telemetry').ageMs, 2_000);
  assert.equal(lamps.get('devices.l2.telemetry').ageMs, 1_000);
});

test('the life of a command goes one way and ends once', async () => {
  const command = new Command('lamp-1', 'r');
  const states = [];
  command.on('update', ({ state }) => states.push(state));
  for (const state of ['SENT', 'ACCEPTED', 'RUNNING', 'SUCCEEDED', 'RUNNING', 'FAILED']) {
    command.step({ state: `COMMAND_STATE_${state}` });
  }
  assert.deepEqual(states, ['SENT', 'RUNNING', 'SUCCEEDED']);
  assert.ok((await command.done).succeeded);
});

test('bytes of a channel without type are read as what was published', () => {
  const value = { payload: btoa('{"text":"x"}') };
  assert.equal(bytesOf(value).length, 12);
  assert.deepEqual(jsonOf(value), { text: 'x' });
  assert.deepEqual(jsonOf({ data: 7 }), 7);
});

/** A socket that the test plays the hub for. */
class FakeSocket {
  static all = [];

  constructor(url) {
    Object.assign(this, { url, sent: [] });
    FakeSocket.all.push(this);
    queueMicrotask(() => this.onopen());
  }

  send(text) {
    this.sent.push(...text.split('\n').map((line) => JSON.parse(line)));
  }

  say(...envelopes) {
    this.onmessage({ data: envelopes.map((one) => JSON.stringify(one)).join('\n') });
  }

  close() {}
}

const turn = () => new Promise((resolve) => setTimeout(resolve, 20));

test('a page that comes back asks from where it was, and gives the token to nobody else', async () => {
  FakeSocket.all = [];
  const hub = new Hub({ url: 'https://hub.example', token: 'secret', WebSocket: FakeSocket, backoff: { windowMs: 1, maxMs: 1 } });
  const subscription = hub.subscribe({ pattern: 'a.*' });
  hub.connect();
  await turn();
  const [first] = FakeSocket.all;
  assert.equal(first.url, 'wss://hub.example/v1/ws');
  assert.equal(first.sent[0].hello.token, 'secret');
  first.say({ welcome: { identity: 'viewer x', epoch: '7' } });
  const { request, subscribe } = first.sent[1];
  assert.deepEqual(subscribe, { pattern: 'a.*', snapshot: true });
  const events = heard(subscription);
  first.say(
    { request, ack: { position: { epoch: '7', offset: '5' } } },
    { snapshot: { pattern: 'a.*', values: [message('a.b', 4)], last: true, position: { epoch: '7', offset: '5' } } },
    { message: message('a.b', 6) },
  );
  assert.deepEqual(events, ['begin', 'value 4', 'end', 'message 6']);
  assert.deepEqual(subscription.since('a.*'), at('7', 6));

  first.onclose({ code: 4000, reason: '' });
  await turn();
  const second = FakeSocket.all[1];
  second.say({ welcome: {} });
  assert.deepEqual(second.sent[1].subscribe.since, { epoch: '7', offset: '6' });
  hub.close();
});

test('a page that is refused stays away', async () => {
  FakeSocket.all = [];
  const hub = new Hub({ url: 'https://hub.example', token: 'old', WebSocket: FakeSocket, backoff: { windowMs: 1 } });
  const opened = hub.connect();
  await turn();
  FakeSocket.all[0].onclose({ code: 4502, reason: 'revoked' });
  await assert.rejects(opened, HubError);
  assert.equal(hub.state, 'refused');
  await turn();
  assert.equal(FakeSocket.all.length, 1);
});

/** What a hub over HTTP is asked; it answers with these. */
function asked(...answers) {
  const requests = [];
  const fetch = async (url, { method, headers, body }) => {
    requests.push([method, url.replace('https://hub.example', ''), headers, body]);
    const answer = answers.shift();
    if (!answer) throw new TypeError('nobody is there');
    return new Response(JSON.stringify(answer.body ?? {}), answer);
  };
  const context = { url: 'https://hub.example', token: () => 'secret', fetch };
  return { requests, context };
}

test('a write over HTTP names the revision that it replaces, and what is refused as the protocol does', async () => {
  const conflict = { status: 412, body: { code: 'CONFLICT', field: 'If-Match', detail: 'changed', current: { revision: '9' } } };
  const { requests, context } = asked({ body: { revision: '8', durable: true } }, conflict);
  const done = await write(context, 'publish', { channel: 'city.news', data: { on: true }, expected_revision: '7' });
  assert.deepEqual(done, { revision: '8', durable: true });
  const [method, path, headers, body] = requests[0];
  assert.deepEqual([method, path, headers['if-match'], body], ['PUT', '/v1/channels/city.news', '"7"', '{"on":true}']);
  const again = write(context, 'publish', { channel: 'city.news', data: { off: null }, patch: true, expected_revision: '7' });
  await assert.rejects(again, { code: 'CONFLICT', field: 'publish.expected_revision', current: { revision: '9' } });
  assert.deepEqual([requests[1][0], requests[1][2]['content-type']], ['PATCH', 'application/merge-patch+json']);
});

test('what HTTP can not say is refused, and nobody there is a lost connection', async () => {
  const { requests, context } = asked();
  await assert.rejects(write(context, 'ping', {}), { code: 'UNSUPPORTED' });
  await assert.rejects(write(context, 'publish', { channel: 'a', data: 1, seq: 1 }), { code: 'UNSUPPORTED', field: 'publish.seq' });
  await assert.rejects(write(context, 'publish', { channel: '..', data: 1 }), { code: 'BAD_CHANNEL', field: 'publish.channel' });
  await assert.rejects(write(context, 'cancel', { command: '../tokens' }), { code: 'BAD_VALUE', field: 'cancel.command' });
  assert.equal(requests.length, 0);
  await assert.rejects(write(context, 'send', { device: 'lamp-1', data: {} }), { code: 'LOST' });
});

const GOLDEN = new URL('../../../proto/golden/envelope/', import.meta.url);
const golden = (name) => Buffer.from(readFileSync(new URL(`${name}.hex`, GOLDEN), 'utf8').replace(/\s/g, ''), 'hex');
const goldenJson = (name) => JSON.parse(readFileSync(new URL(`${name}.json`, GOLDEN), 'utf8'));
/** With its length in front, as it stands in a message. */
const framed = (bytes) => Uint8Array.from([...(bytes.length > 127 ? [(bytes.length & 127) | 128, bytes.length >> 7] : [bytes.length]), ...bytes]);

test('what the hub says in protobuf is what it says in JSON, but for content', () => {
  const plain = (one) => JSON.parse(JSON.stringify(one), (key, given) => (typeof given === 'number' ? String(given) : given));
  for (const name of ['gap', 'welcome', 'pong', 'go_away', 'ack', 'error']) {
    const [heard, ...more] = PROTOBUF.parsed(framed(golden(name)).buffer);
    assert.deepEqual(more, []);
    const { [name]: told, ...rest } = goldenJson(name);
    if (told.code?.startsWith?.('ERROR_CODE_')) told.code = told.code.slice('ERROR_CODE_'.length);
    const { [name]: seen, ...others } = plain(heard);
    // What no page needs isn't read; all else is the same.
    for (const key of Object.keys(seen)) assert.deepEqual(seen[key], plain(told)[key], `${name}.${key}`);
    assert.deepEqual(others, plain(rest));
  }
  const [{ snapshot }] = PROTOBUF.parsed(framed(golden('snapshot')).buffer);
  const { values: [told], ...page } = goldenJson('snapshot').snapshot;
  const { values: [seen, ...more], ...same } = snapshot;
  assert.deepEqual([plain(same), more], [plain(page), []]);
  const { payload, ...rest } = seen;
  const { payload: text, data, ...others } = told;
  assert.ok(payload instanceof Uint8Array && bytesOf(seen) === payload);
  assert.deepEqual(plain(rest), plain(others));
});

test('several envelopes stand in one message, and what is cut off is an error', () => {
  const both = Uint8Array.from([...framed(golden('pong')), ...framed(golden('gap'))]);
  assert.deepEqual([...PROTOBUF.parsed(both.buffer)].map((one) => Object.keys(one).at(-1)), ['pong', 'gap']);
  for (let length = 1; length < framed(golden('pong')).length; length += 1) {
    assert.throws(() => [...PROTOBUF.parsed(both.slice(0, length).buffer)], RangeError);
  }
});

test('what a page says in protobuf is read back as it was meant', () => {
  const wish = { pattern: 'devices.*.telemetry', since: { epoch: '18446744073709551615', offset: '7' }, snapshot: true, max_rate: 5, conflate: true, labels: "street='É'" };
  const bytes = new Bytes(PROTOBUF.joined([{ request: '3', subscribe: wish }, { ping: {} }, { request: '4', unsubscribe: { pattern: '0' } }]));
  const position = { 1: ['epoch', 'u64'], 2: ['offset', 'u64'] };
  const sent = table({
    1: ['request', 'u64'],
    4: ['subscribe', { one: { 1: ['pattern', 'text'], 2: ['since', { one: position }], 3: ['snapshot', 'bool'], 5: ['labels', 'text'], 6: ['max_rate', 'number'], 7: ['conflate', 'bool'] } }],
    5: ['unsubscribe', { one: { 1: ['pattern', 'text'] } }],
    8: ['ping', { one: {} }],
  });
  assert.deepEqual(read(bytes.part(), sent), { request: '3', subscribe: wish });
  assert.deepEqual(read(bytes.part(), sent), { ping: {} });
  assert.deepEqual(read(bytes.part(), sent), { request: '4', unsubscribe: { pattern: '0' } });
  assert.ok(bytes.isAtEnd);
});

test('values of two types in one channel are known apart', () => {
  const subscription = new Subscription(['a.*']);
  const events = heard(subscription);
  subscription.acked('a.*', at('7', 0), { recovered: false, asked: null, follows: false });
  for (const [type, offset] of [['x', 1], ['y', 2], ['x', 2], ['y', 2], ['y', 3], ['x', 2]]) {
    subscription.message({ ...message('a.b', offset), type });
  }
  assert.deepEqual(events, ['message 1', 'message 2', 'message 2', 'message 3']);
});
