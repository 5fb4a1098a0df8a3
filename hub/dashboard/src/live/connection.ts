// The page's end of the worker: starts it, and puts what it says where views look.

import { batch, signal } from '@preact/signals';
import { Fleet } from '../fleet/fleet';
import { identity, learnRights, mayCommand, whyNot } from '../session';
import type { CommandStep, FleetProgress, FromWorker, LiveState, ToWorker } from './messages';
import { zone } from '../format';

export const fleet = new Fleet();
export const state = signal<LiveState>('idle');
export const transport = signal<string | null>(null);
/** Why the connection ended, and with which close code. */
export const ending = signal({ reason: '', code: 0 });
/** Patterns with their loaded values; `done` once the snapshot is whole. */
export const loading = signal<Record<string, { values: number; done: boolean }>>({});
/** Patterns that this role may not see. */
export const refusals = signal<Record<string, string>>({});
/** What the channel `city.about` says. */
export const about = signal<About>({});
export const notices = signal<{ id: number; text: string; tone: 'info' | 'warning' | 'error' }[]>([]);
/** Newest first. */
export const steps = signal<CommandStep[]>([]);
export const fleetProgress = signal<Record<string, FleetProgress>>({});
/** ms since 1970 by the hub's clock, once a second. */
export const now = signal(Date.now());
/** Since when the connection is as it is, by the page's clock. */
export const stateSince = signal(Date.now());

/** What the channel `city.about` says, if somebody publishes it; all of it optional. */
export interface About {
  name?: string;
  /** IANA, as `Europe/Berlin`. */
  time_zone?: string;
  /** A simulated clock: it showed `city_unix_ms` when the hub's clock showed `unix_ms`, and runs `speed` times as fast. */
  clock?: { city_unix_ms: number; unix_ms: number; speed: number };
  /** The program that most lamps follow: its level from sunset on, then by the clock. */
  program?: { name: string; first_level_pct: number; points: { local_s: number; level_pct: number }[] };
}

/** Sessions that began, by the minute, while this page is open. */
export const reconnects = signal<{ at: number; count: number }[]>([]);
/** Messages a second. */
export const messageRate = signal(0);

const STEPS_MAX = 500;
const MINUTES_MAX = 240;
let offsetMs = 0;
let worker: Worker | null = null;
let notice = 0;
const watchers = new Map<string, (value: Watched) => void>();
const commandListeners = new Set<(step: CommandStep) => void>();

export interface Watched {
  channel: string;
  type: string;
  data: any;
  timeMs: number;
  measuredMs: number;
}

export function nowMs(): number {
  return Date.now() + offsetMs;
}

let messagesBefore = 0;
setInterval(() => {
  now.value = nowMs();
  const heard = Math.max(0, fleet.messages - messagesBefore);
  messagesBefore = fleet.messages;
  messageRate.value = messageRate.value * 0.8 + heard * 0.2;
}, 1000);

export function tellPeople(text: string, tone: 'info' | 'warning' | 'error' = 'info', forMs = 7_000): void {
  notice += 1;
  const id = notice;
  notices.value = [...notices.value.slice(-3), { id, text, tone }];
  setTimeout(() => (notices.value = notices.value.filter((one) => one.id !== id)), forMs);
}

export function connect(token: string): void {
  worker?.terminate();
  worker = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module', name: 'live' });
  worker.onmessage = ({ data }: MessageEvent<FromWorker>) => hear(data);
  worker.onerror = () => tellPeople('The part of this page that reads live values failed. Reload the page.', 'error', 60_000);
  say({ kind: 'start', token, url: location.origin });
}

export function disconnect(): void {
  worker?.terminate();
  worker = null;
  state.value = 'idle';
}

/** Live values of some channels, as they are; call what comes back to end it. */
export function watch(patterns: string[], listener: (value: Watched) => void): () => void {
  notice += 1;
  const key = String(notice);
  watchers.set(key, listener);
  say({ kind: 'watch', key, patterns });
  return () => {
    watchers.delete(key);
    say({ kind: 'unwatch', key });
  };
}

/** Hears every step of a command. */
export function onStep(listener: (step: CommandStep) => void): () => void {
  commandListeners.add(listener);
  return () => commandListeners.delete(listener);
}

function say(message: ToWorker): void {
  worker?.postMessage(message);
}

function hear(message: FromWorker): void {
  switch (message.kind) {
    case 'changes':
      return batch(() => {
        const isFirst = fleet.rows === 0;
        const came = fleet.apply(message);
        countReconnects(came);
        if (isFirst && fleet.rows > 0) void learn(fleet.id(0));
        if (message.fleets.length > 0) {
          const told = Object.fromEntries(message.fleets.map((one) => [one.fleet, one]));
          fleetProgress.value = { ...fleetProgress.value, ...told };
        }
        if (message.commands.length > 0) heard(message.commands);
      });
    case 'state':
      return batch(() => {
        offsetMs = message.offsetMs;
        const wasLost = state.value === 'waiting' || (state.value === 'connecting' && fleet.rows > 0);
        if (state.value !== message.state) stateSince.value = Date.now();
        if (message.state === 'open' && wasLost) tellPeople('Connected again.');
        state.value = message.state;
        transport.value = message.transport;
        identity.value = message.identity;
        ending.value = { reason: message.reason, code: message.code };
      });
    case 'loaded':
      loading.value = { ...loading.value, [message.pattern]: { values: message.values, done: message.done } };
      return;
    case 'refused':
      refusals.value = { ...refusals.value, [message.pattern]: message.message };
      return;
    case 'about':
      about.value = (message.about ?? {}) as About;
      zone.value = known(about.value.time_zone);
      return;
    case 'reload': {
      const texts = {
        restart: 'The hub was restarted. All values were read anew.',
        position: 'The connection was away too long to catch up. All values were read anew.',
        gap: 'This page read too slowly for a moment. The newest values were read anew.',
      };
      return tellPeople(texts[message.reason], 'warning');
    }
    case 'value':
      return watchers.get(message.key)?.(message);
  }
}

/** A zone that this browser knows, or none. */
function known(timeZone: string | undefined): string | undefined {
  try {
    return new Intl.DateTimeFormat(undefined, { timeZone }).resolvedOptions().timeZone;
  } catch {
    return undefined;
  }
}

function heard(news: CommandStep[]): void {
  const ids = new Set(news.map(({ command }) => command));
  const kept = steps.value.filter(({ command }) => !ids.has(command));
  steps.value = [...news].reverse().concat(kept).slice(0, STEPS_MAX);
  for (const step of news) for (const listener of commandListeners) listener(step);
}

/** Adds sessions that began to the minute that runs. */
function countReconnects(came: number): void {
  const at = Math.floor(nowMs() / 60_000) * 60_000;
  const last = reconnects.value.at(-1);
  if (last?.at === at) {
    if (came > 0) reconnects.value = [...reconnects.value.slice(0, -1), { at, count: last.count + came }];
  } else {
    reconnects.value = [...reconnects.value.slice(-MINUTES_MAX), { at, count: came }];
  }
}

async function learn(device: string): Promise<void> {
  try {
    const { allowed, reason } = await learnRights(device);
    mayCommand.value = allowed;
    whyNot.value = reason;
  } catch (error) {
    mayCommand.value = false;
    whyNot.value = error instanceof Error ? error.message : '';
  }
}
