// One command, from its sending to its end.

import { Emitter, HubError } from './emitter.js';

const TERMINAL = new Set([
  'SUCCEEDED', 'FAILED', 'REJECTED', 'EXPIRED', 'CANCELED', 'SUPERSEDED', 'UNKNOWN',
]);
/** s that a command lives if nobody says. */
const TTL_S = 600;
/** An answer and a step may overtake each other; the life goes one way. */
const ORDER = ['ACCEPTED', 'SENT', 'DELIVERED', 'RUNNING'];

const rank = (state) => (TERMINAL.has(state) ? ORDER.length : ORDER.indexOf(state));

export class Command extends Emitter {
  #end;
  #fail;

  constructor(device, requestId) {
    super();
    this.device = device;
    this.requestId = requestId;
    this.id = null;
    this.state = null;
    this.percent = 0;
    this.detail = '';
    /** Resolves with the command when it ended, whatever its end; rejects if it never began. */
    this.done = new Promise((resolve, reject) => {
      this.#end = resolve;
      this.#fail = reject;
    });
    // Who doesn't wait for it is not told of its failure as an uncaught one; `send` tells of it.
    this.done.catch(() => {});
  }

  get isDone() {
    return TERMINAL.has(this.state);
  }

  get succeeded() {
    return this.state === 'SUCCEEDED';
  }

  /** A step of its life. A terminal state never changes. */
  step({ state = '', percent = 0, detail = '', result }) {
    const word = state.replace(/^COMMAND_STATE_/, '');
    if (this.isDone || rank(word) < rank(this.state)) return;
    Object.assign(this, { state: word, percent, detail, result: result ?? this.result });
    this.emit('update', this);
    if (this.isDone) this.#end(this);
  }

  failed(error) {
    this.#fail(error);
  }
}

/**
 * Sends one and follows it. The same request id is the same command for a day, so a sending that was
 * cut off is repeated with the next connection.
 */
export async function send(hub, device, data, options = {}) {
  const requestId = options.requestId ?? crypto.randomUUID();
  const command = new Command(device, requestId);
  const watching = hub.subscribe({ pattern: `devices.${device}.commands`, snapshot: false });
  watching.on('message', ({ data: update }) => {
    if (update && (update.command === command.id || update.request_id === requestId)) {
      command.id ??= update.command;
      command.step(update);
    }
  });
  // A step may have been missed for good; the hub still knows how far the command is.
  watching.on('reload', () => look(hub, command));
  command.done.catch(() => {}).then(() => watching.close());
  try {
    const ack = await sent(hub, watching, { ...bodyOf(device, data, options), request_id: requestId });
    command.id = ack.command;
    command.step(ack);
    return command;
  } catch (error) {
    watching.close();
    command.failed(error);
    throw error;
  }
}

function bodyOf(device, data, { type = 'lighting.v1.Command', ttlS = TTL_S, supersedeKey }) {
  const body = { device, type, data, ttl_s: ttlS };
  if (supersedeKey) body.supersede_key = supersedeKey;
  return body;
}

/** Its first steps come at once, so it is sent when they can be seen. */
async function sent(hub, watching, body) {
  for (;;) {
    await hub.whenOpen();
    await watching.whenAnswered();
    try {
      return await hub.request('send', body);
    } catch (error) {
      if (!(error instanceof HubError) || error.code !== 'LOST' || hub.isEnded) throw error;
    }
  }
}

async function look(hub, command) {
  if (!command.id || command.isDone) return;
  try {
    const found = await hub.read(`/v1/commands/${command.id}`);
    command.step(found);
  } catch (error) {
    hub.emit('error', error);
  }
}
