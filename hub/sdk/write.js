// The requests of the protocol over HTTP: the same bodies, the same acks, the same errors.
//
// For connections that only read.

import { HubError, cutOff } from './emitter.js';
import { ask } from './http.js';
import { bytesOf } from './subscription.js';

const KINDS = { publish, send, cancel };
/** What HTTP calls otherwise, and what it means if it names nothing. */
const FIELDS = {
  publish: { name: 'channel', BAD_VALUE: 'data', NOT_PERMITTED: 'channel', 'If-Match': 'expected_revision', CONFLICT: 'expected_revision' },
  send: { NOT_PERMITTED: 'device' },
  cancel: { id: 'command' },
};
const COMMAND_ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** Asks for something; what the `ack` of the socket would say. */
export async function write(context, kind, body, signal) {
  if (!(kind in KINDS)) {
    throw new HubError('UNSUPPORTED', `\`${kind}\` needs the WebSocket, which can not be reached`);
  }
  try {
    return await KINDS[kind](context, body, signal);
  } catch (error) {
    throw error instanceof HubError ? named(kind, error) : cutOff();
  }
}

async function publish(context, body, signal) {
  const { channel, type, data, payload, expected_revision: expected, patch = false, ...rest } = body;
  refuseOthers('publish', rest);
  // A path can't end in these.
  if (['', '.', '..'].includes(channel ?? '')) {
    throw new HubError('BAD_CHANNEL', 'is no channel: it has an empty segment', { field: 'name' });
  }
  const isEncoded = payload !== undefined;
  const whole = isEncoded ? 'application/x-protobuf' : 'application/json';
  const headers = { 'content-type': patch ? 'application/merge-patch+json' : whole };
  if (String(expected) === '0') headers['if-none-match'] = '*';
  else if (expected !== undefined) headers['if-match'] = `"${expected}"`;
  const response = await ask(context, patch ? 'PATCH' : 'PUT', `/v1/channels/${encodeURIComponent(channel)}`, {
    query: type ? [['type', type]] : [],
    headers,
    body: isEncoded ? bytesOf({ payload }) : JSON.stringify(data),
    signal,
  });
  return response.json();
}

async function send(context, body, signal) {
  const headers = { 'content-type': 'application/json' };
  const options = { headers, body: JSON.stringify(body), signal };
  const { command, state } = await (await ask(context, 'POST', '/v1/commands', options)).json();
  return { command, state: `COMMAND_STATE_${state}`, durable: true };
}

async function cancel(context, { command, ...rest }, signal) {
  refuseOthers('cancel', rest);
  if (!COMMAND_ID.test(command)) {
    throw new HubError('BAD_VALUE', 'is not a command id', { field: 'command' });
  }
  await ask(context, 'DELETE', `/v1/commands/${command}`, { signal });
  return { command, durable: true };
}

function refuseOthers(kind, rest) {
  const [first] = Object.keys(rest);
  if (first) throw new HubError('UNSUPPORTED', 'needs the WebSocket', { field: `${kind}.${first}` });
}

/** The same error with its field named as the protocol does, as in `send.device`. */
function named(kind, error) {
  const { [error.field || error.code]: known = error.field } = FIELDS[kind];
  const isWhole = known === '' || known.includes('.');
  error.field = isWhole ? known : `${kind}.${known}`;
  return error;
}
