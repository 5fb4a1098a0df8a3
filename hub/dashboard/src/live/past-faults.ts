// Faults that stand behind a channel's last value: a lamp may have several open, and the last value is one event.

import type { Hub } from '../../../sdk/lamplighter.js';
import type { Value } from './intake';

/** Lamps whose history is read; in a sound fleet far fewer ever had a fault. */
const LAMPS_MAX = 1_000;
const AT_ONCE = 4;

interface Message {
  channel: string;
  type: string;
  data: unknown;
  revision: string;
  time_unix_ms: number;
  measured_unix_ms: number;
}

/** Reads the histories of channels, a few at a time; a history that can't be read is left out. */
export async function readPastFaults(hub: Hub, channels: string[], take: (values: Value[]) => void): Promise<void> {
  const waiting = channels.slice(0, LAMPS_MAX);
  const work = async () => {
    for (let channel = waiting.pop(); channel !== undefined && !hub.isEnded; channel = waiting.pop()) {
      try {
        const { messages } = (await hub.read(`/v1/channels/${channel}/history`)) as { messages: Message[] };
        take(messages.map(valueOf));
      } catch {
        // The last value stands as it is.
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
}

function valueOf({ channel, type, data, revision, time_unix_ms, measured_unix_ms }: Message): Value {
  return { channel, type, data, offset: Number(revision), timeMs: time_unix_ms, measuredMs: measured_unix_ms };
}
