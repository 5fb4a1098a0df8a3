// The last choice: long polling, one request at a time for each subscription.

import { get, hubTimeMs, wish } from './http.js';
import { Reader } from './reader.js';
import { parsePosition } from './subscription.js';

const WAIT_S = 25;
/** Longer than the hub waits, and than an answer may take. */
const SILENCE_MS = 60_000;

export class Poll extends Reader {
  static kind = 'poll';

  async follow(subscription, signal) {
    while (!signal.aborted) {
      const asked = subscription.sinceAll();
      const headers = { accept: 'application/json', prefer: `wait=${asked ? WAIT_S : 0}` };
      const { answer, response } = await this.#ask(wish(subscription, asked), headers, signal);
      if (signal.aborted) return;
      this.opened({ hubTimeMs: hubTimeMs(response) });
      take(subscription, asked, answer);
    }
  }

  async #ask(query, headers, signal) {
    const either = AbortSignal.any([signal, AbortSignal.timeout(SILENCE_MS)]);
    const response = await get(this.context, '/v1/poll', query, { headers, signal: either });
    return { response, answer: await response.json() };
  }
}

function take(subscription, asked, { recovered, snapshot, messages, position }) {
  const at = parsePosition(position);
  const follows = subscription.snapshot && !recovered;
  for (const pattern of subscription.patterns) {
    subscription.acked(pattern, at, { recovered, asked, follows });
  }
  if (follows) {
    subscription.patterns.forEach((pattern, index) => {
      subscription.page({ pattern, values: index === 0 ? snapshot : [], last: true });
    });
  }
  for (const message of messages) subscription.message(message);
  subscription.settled(at);
}
