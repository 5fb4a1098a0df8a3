// The two ways in which envelopes are written over the WebSocket (docs/protocol.md, section 2). Both give the same
// objects, those of proto3 JSON; in protobuf, numbers are numbers and a payload is bytes.

import { Bytes, read, table, varint, write } from './protobuf.js';

/** A line an envelope. */
export const JSON_LINES = {
  /** Whether requests may carry content, which pages have as JSON. */
  takesContent: true,
  /** What a subscription asks for, by the content that it wants. */
  contents: { json: undefined, protobuf: 'ENCODING_PROTOBUF' },

  joined(envelopes) {
    return envelopes.map((envelope) => JSON.stringify(envelope)).join('\n');
  },

  *parsed(data) {
    for (const line of data.split('\n')) if (line !== '') yield JSON.parse(line);
  },
};

const POSITION = { 1: ['epoch', 'u64'], 2: ['offset', 'number'] };

const SENT = table({
  1: ['request', 'u64'],
  2: ['hello', { one: { 1: ['protocol', 'number'], 2: ['token', 'text'], 6: ['agent', 'text'] } }],
  4: ['subscribe', {
    one: {
      1: ['pattern', 'text'],
      2: ['since', { one: POSITION }],
      3: ['snapshot', 'bool'],
      4: ['encoding', 'number'],
      5: ['labels', 'text'],
      6: ['max_rate', 'number'],
      7: ['conflate', 'bool'],
    },
  }],
  5: ['unsubscribe', { one: { 1: ['pattern', 'text'] } }],
  8: ['ping', { one: {} }],
});

const MESSAGE = {
  1: ['channel', 'text'],
  2: ['payload', 'bytes'],
  4: ['offset', 'number'],
  5: ['time_unix_ms', 'number'],
  6: ['boot', 'number'],
  7: ['seq', 'number'],
  8: ['measured_unix_ms', 'number'],
  9: ['type', 'text'],
  10: ['json', 'text'],
  11: ['problem', 'text'],
};

const HEARD = table({
  1: ['request', 'u64'],
  9: ['message', { one: MESSAGE }],
  10: ['ack', { one: { 3: ['position', { one: POSITION }], 4: ['recovered', 'bool'] } }],
  13: ['pong', { one: { 1: ['time_unix_ms', 'number'] } }],
  14: ['gap', { one: { 1: ['from', 'number'], 2: ['to', 'number'], 3: ['dropped', 'number'], 5: ['snapshot_follows', 'bool'] } }],
  15: ['error', { one: { 1: ['code', 'number'], 2: ['message', 'text'], 3: ['field', 'text'], 4: ['retry_after_ms', 'number'] } }],
  16: ['welcome', {
    one: { 1: ['session', 'text'], 2: ['identity', 'text'], 3: ['time_unix_ms', 'number'], 5: ['reconnect_window_s', 'number'] },
  }],
  17: ['snapshot', {
    one: { 1: ['pattern', 'text'], 2: ['values', { list: MESSAGE }], 3: ['last', 'bool'], 4: ['position', { one: POSITION }] },
  }],
  18: ['go_away', { one: { 1: ['code', 'number'], 3: ['reconnect_window_s', 'number'] } }],
});

/** `ErrorCode`, by its numbers. */
const CODES = [
  'UNSPECIFIED', 'BAD_CHANNEL', 'BAD_VALUE', 'CONFLICT', 'LIMIT', 'MALFORMED', 'NOT_FOUND', 'NOT_PERMITTED', 'QUEUE_FULL',
  'RATE', 'STALE_EPOCH', 'STATE_LIMIT', 'UNAVAILABLE', 'UNSUPPORTED',
];

/** An envelope after the other, each with its length in front. */
export const PROTOBUF = {
  takesContent: false,
  contents: { json: 2, protobuf: undefined },

  joined(envelopes) {
    const out = [];
    for (const envelope of envelopes) {
      const bytes = write(envelope, SENT);
      varint(out, bytes.length);
      out.push(...bytes);
    }
    return Uint8Array.from(out);
  },

  *parsed(data) {
    const bytes = new Bytes(new Uint8Array(data));
    while (!bytes.isAtEnd) yield settled(read(bytes.part(), HEARD));
  },
};

/** As proto3 JSON has it, where that is more than the bytes say. */
function settled(envelope) {
  if (envelope.message) withData(envelope.message);
  else if (envelope.snapshot) for (const value of envelope.snapshot.values ?? []) withData(value);
  else if (envelope.error) envelope.error.code = CODES[envelope.error.code ?? 0];
  return envelope;
}

function withData(message) {
  if (message.json !== undefined) message.data = JSON.parse(message.json);
}
