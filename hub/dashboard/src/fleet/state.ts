// How a lamp stands, in two readings that never mix: its *light*, and its *health*.
//
// Light is what is physically there. Health is whether that is as it should be. Each has a colour and a
// shape of its own, so that neither needs the other, nor colours, to be read.

import { ONLINE } from '../live/messages';
import { FIRST_TERMINAL, LAMP_STATES, REASON } from '../live/schema';
import type { Fleet } from './fleet';

export type Light = 'unknown' | 'off' | 'standby' | 'on' | 'fading';

/** Worst first: a lamp shows the first that is true. */
export const HEALTHS = ['safety', 'dark', 'silent', 'dayburner', 'warning', 'unknown', 'ok'] as const;
export type Health = (typeof HEALTHS)[number];

export const HEALTH_WORDS: Record<Health, string> = {
  safety: 'Danger',
  dark: 'Dark, should be lit',
  silent: 'No communication',
  dayburner: 'Lit, should be off',
  warning: 'Warning',
  unknown: 'Never heard',
  ok: 'In order',
};

export const LIGHT_WORDS: Record<Light, string> = {
  unknown: 'Unknown',
  off: 'Off',
  standby: 'Standby',
  on: 'On',
  fading: 'Fading',
};

const SAFETY = new Set(['LEAKAGE_DETECTED', 'ORIENTATION_CHANGED', 'IMPACT_DETECTED']);
const DARK = new Set([
  'LAMP_FAILURE', 'CONTROL_GEAR_FAILURE', 'LIGHT_SOURCE_OPEN_CIRCUIT', 'LIGHT_SOURCE_THERMAL_SHUTDOWN',
  'CONTROL_GEAR_THERMAL_SHUTDOWN', 'SUPPLY_LOSS',
]);

/** A lamp is late at dusk after this: ms. */
export const LATE_MS = 300_000;
/** Until reports were counted, a lamp is taken to report so often: ms (the default of `ReportingConfig`). */
const PERIOD_DEFAULT_MS = 900_000;
const PERIOD_MIN_MS = 10_000;

/** ms between two reports of a lamp. */
export function periodOf(fleet: Fleet): number {
  return Math.max(PERIOD_MIN_MS, fleet.periodMs || PERIOD_DEFAULT_MS);
}

/** How far to trust a value: `fresh` up to one and a half periods, `aging` up to three, then `stale`. */
export type Freshness = 'fresh' | 'aging' | 'stale' | 'never';

export function freshness(measured: number, now: number, periodMs: number): Freshness {
  if (!measured) return 'never';
  const periods = (now - measured) / periodMs;
  return periods <= 1.5 ? 'fresh' : periods <= 3 ? 'aging' : 'stale';
}

export function lightOf(fleet: Fleet, row: number): Light {
  switch (LAMP_STATES[fleet.get(row, 'state')]) {
    case 'OFF': return 'off';
    case 'STANDBY': return 'standby';
    case 'ON': return fleet.get(row, 'actual') === 0 ? 'standby' : 'on';
    case 'FADING': case 'WARMING_UP': return 'fading';
    default: {
      const actual = fleet.get(row, 'actual');
      return Number.isNaN(actual) ? 'unknown' : actual > 0 ? 'on' : 'off';
    }
  }
}

/** Whether it gives light, as last heard. */
export function isLit(fleet: Fleet, row: number): boolean {
  return fleet.get(row, 'actual') > 0;
}

export function healthOf(fleet: Fleet, row: number): Health {
  const faults = fleet.faults.get(row);
  if (faults?.some(({ code }) => SAFETY.has(code))) return 'safety';
  const isDark = fleet.get(row, 'target') > 0 && fleet.get(row, 'actual') === 0 && lightOf(fleet, row) !== 'fading';
  if (faults?.some(({ code }) => DARK.has(code)) || (isDark && fleet.get(row, 'online') !== ONLINE.no)) return 'dark';
  if (fleet.get(row, 'online') === ONLINE.no) return 'silent';
  if (faults?.some(({ code }) => code === 'LAMP_UNEXPECTED_ON')) return 'dayburner';
  if (faults && faults.length > 0) return 'warning';
  if (!fleet.get(row, 'measured')) return 'unknown';
  return 'ok';
}

export function isOverridden(fleet: Fleet, row: number): boolean {
  return fleet.get(row, 'reason') === REASON.override;
}

/** Whether it was asked for something that it has neither proved nor failed. */
export function isAsked(fleet: Fleet, row: number): boolean {
  const state = fleet.get(row, 'commandState');
  return state > 0 && state < FIRST_TERMINAL;
}
