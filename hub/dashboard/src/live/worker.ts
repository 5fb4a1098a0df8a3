// The worker: one connection to the hub, by the hub's own module for browsers, and what it says in rows.
//
// The page's thread draws and answers the keyboard; it never parses a message of the fleet.

import { Hub, jsonOf } from '../../../sdk/lamplighter.js';
import { Intake, type Value } from './intake';
import { type FromWorker, PATTERNS, type ToWorker } from './messages';
import { readPastFaults } from './past-faults';
import { DECODED } from './wire';

const PACE_MS = 200;
/** While last values come in a beat is up to so long: the machine has its time for these and not for drawing. */
const LOADING_PACE_MAX_MS = 2_500;
/** Beats a second of what every lamp says all the time. */
const BEATS_PER_S = 5;
const BEATING = new Set(['telemetry', 'presence']);
const AGENT = 'dashboard/0.1';

let hub: Hub | null = null;
let intake = new Intake();
let timer: ReturnType<typeof setTimeout> | undefined;
let flushedAt = 0;
/** Patterns of which last values are on their way. */
const loading = new Set<string>();
let loadingSince = 0;
let last = { reason: '', code: 0, identity: '' };
/** Connections of their own: where two subscriptions mean a channel, the first decides how it is written. */
const watched = new Map<string, Hub>();
let access: { token: string; url: string } | null = null;

const say = (message: FromWorker, transfer: Transferable[] = []) => postMessage(message, { transfer });

function flush(): void {
  clearTimeout(timer);
  timer = undefined;
  flushedAt = performance.now();
  const changes = intake.changes();
  if (changes) say(changes, [changes.packed.buffer, changes.labels.buffer]);
}

/** Has what came told to the page: at once after a rest, else in the next beat. */
function soon(): void {
  timer ??= setTimeout(flush, Math.max(0, flushedAt + pace() - performance.now()));
}

/** ms between two beats: while it loads, half of the time that it has taken. */
function pace(): number {
  if (loading.size === 0) return PACE_MS;
  return Math.min(LOADING_PACE_MAX_MS, Math.max(PACE_MS, (performance.now() - loadingSince) / 2));
}

function start(token: string, url: string): void {
  stop();
  intake = new Intake();
  // A city's last values come in a few seconds that way, and not in many.
  const current = new Hub({ token, url, agent: AGENT, envelopes: 'protobuf' });
  hub = current;
  access = { token, url };
  current.on('state', ({ state }) => tell(state));
  current.on('open', ({ identity = '' }) => {
    last = { reason: '', code: 0, identity };
    tell('open');
  });
  current.on('lost', ({ reason, code, error }) => {
    last = { ...last, reason: reason || error?.message || '', code };
  });
  // A hub that was restarted says so for each pattern; people want to hear it once.
  let reloadedAt = 0;
  current.on('reload', ({ reason, dropped }) => {
    if (Date.now() - reloadedAt < 2_000 && reason !== 'gap') return;
    reloadedAt = Date.now();
    say({ kind: 'reload', reason, dropped });
  });
  for (const pattern of PATTERNS) {
    if (pattern === 'city.about') followCity(current, pattern);
    else follow(current, pattern);
  }
  void current.connect();
}

function stop(): void {
  clearTimeout(timer);
  timer = undefined;
  hub?.close();
  hub = null;
  loading.clear();
  access = null;
  for (const key of [...watched.keys()]) unwatch(key);
}

function tell(state: Hub['state']): void {
  const offsetMs = hub ? hub.nowMs() - Date.now() : 0;
  say({ kind: 'state', state, transport: hub?.transport ?? null, offsetMs, ...last });
}

/** Keeps the rows up to date with one pattern. */
function follow(current: Hub, pattern: string): void {
  const kind = pattern.split('.').at(-1)!;
  // What comes of every lamp all the time comes as it is stored, and in beats: the hub makes no JSON of it.
  const encoding = DECODED.has(kind) ? 'protobuf' : 'json';
  const subscription = current.subscribe<any>({ pattern, encoding, ...(BEATING.has(kind) ? { maxRate: BEATS_PER_S, conflate: true } : {}) });
  let values = 0;
  let toldAt = 0;
  /** Lamps of the snapshot that ever had a fault. */
  const faulty = new Set<string>();
  /** Lamps that a whole snapshot hasn't shown yet. */
  let missing: Set<string> | null = null;
  const seen = (value: Value) => missing?.delete(value.channel.split('.')[1] ?? '');
  const progress = (done: boolean) => {
    toldAt = performance.now();
    say({ kind: 'loaded', pattern, values, done });
  };
  subscription.on('begin', ({ full }) => {
    values = 0;
    if (loading.size === 0) loadingSince = performance.now();
    loading.add(pattern);
    const known = pattern.endsWith('.registration') && full ? new Set(intake.known) : null;
    missing = known && known.size > 0 ? known : null;
  });
  subscription.on('value', (value) => {
    values += 1;
    seen(value);
    intake.take(value, false);
    soon();
    if (pattern.endsWith('.faults')) faulty.add(value.channel);
    if (performance.now() - toldAt > pace()) progress(false);
  });
  subscription.on('known', (value) => {
    values += 1;
    seen(value);
  });
  subscription.on('message', (value) => {
    intake.take(value, true);
    soon();
  });
  subscription.on('end', () => {
    loading.delete(pattern);
    for (const id of missing ?? []) intake.remove(id);
    missing = null;
    flush();
    progress(true);
    void readPastFaults(current, [...faulty], (values) => {
      intake.takeFaults(values);
      soon();
    });
    faulty.clear();
  });
  subscription.on('refused', ({ message }) => say({ kind: 'refused', pattern, message }));
}

/** What the city says of itself, if anybody publishes it: JSON without a type. */
function followCity(current: Hub, pattern: string): void {
  const subscription = current.subscribe({ pattern });
  const pass = (value: Parameters<typeof jsonOf>[0]) => {
    try {
      say({ kind: 'about', about: jsonOf(value) });
    } catch {
      // Somebody published something else there; the page does without.
    }
  };
  subscription.on('value', pass);
  subscription.on('message', pass);
  subscription.on('end', () => say({ kind: 'loaded', pattern, values: 0, done: true }));
  subscription.on('refused', ({ message }) => say({ kind: 'refused', pattern, message }));
}

/** Passes on single values, as they are, for a page that looks at one lamp. */
function watch(key: string, patterns: string[]): void {
  unwatch(key);
  if (!access) return;
  const beside = new Hub({ ...access, agent: AGENT });
  const subscription = beside.subscribe<any>({ patterns });
  const pass = ({ channel, type, data, timeMs, measuredMs }: Value) =>
    say({ kind: 'value', key, channel, type, data, timeMs, measuredMs });
  subscription.on('value', pass);
  subscription.on('message', pass);
  watched.set(key, beside);
  void beside.connect();
}

function unwatch(key: string): void {
  watched.get(key)?.close();
  watched.delete(key);
}

onmessage = ({ data }: MessageEvent<ToWorker>) => {
  switch (data.kind) {
    case 'start': return start(data.token, data.url);
    case 'stop': return stop();
    case 'watch': return watch(data.key, data.patterns);
    case 'unwatch': return unwatch(data.key);
  }
};
