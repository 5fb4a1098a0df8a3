// The figures of the night, each by its formula, in one pass over the fleet.

import { ONLINE } from '../live/messages';
import type { Fleet } from './fleet';
import { type Health, HEALTHS, LATE_MS, healthOf, isAsked, isOverridden, periodOf } from './state';

export interface Figures {
  lamps: number;
  online: number;
  offline: number;
  /** Lamps that should be lit, by a sample that is not stale; and those of them that are. */
  wanted: number;
  lit: number;
  /** W of all samples that are not older than two periods. */
  loadW: number;
  loadLamps: number;
  /** W they would draw undimmed, from power and level; for what is saved now. */
  overrides: number;
  asked: number;
  late: number;
  health: Record<Health, number>;
  /** Lamps with an open fault, or dark, or silent. */
  troubled: number;
  /** ms: median and 99th percentile of the age of the last sample. */
  ageMedianMs: number;
  ageP99Ms: number;
  /** Mean level in % of lamps that are lit. */
  meanLevel: number;
  /** Wh of all counters; only differences mean anything. */
  energyWh: number;
}

export function figuresOf(fleet: Fleet, now: number): Figures {
  const health = Object.fromEntries(HEALTHS.map((name) => [name, 0])) as Record<Health, number>;
  const figures: Figures = {
    lamps: 0, online: 0, offline: 0, wanted: 0, lit: 0, loadW: 0, loadLamps: 0, overrides: 0, asked: 0, late: 0,
    health, troubled: 0, ageMedianMs: NaN, ageP99Ms: NaN, meanLevel: NaN, energyWh: 0,
  };
  const twoPeriods = 2 * periodOf(fleet);
  const column = (name: Parameters<Fleet['column']>[0]) => fleet.column(name);
  const [online, measured, target, actual] = [column('online'), column('measured'), column('target'), column('actual')];
  const [power, energy, removed] = [column('power'), column('energy'), column('removed')];
  const ages = new Float64Array(fleet.rows);
  let aged = 0;
  let levels = 0;
  let glowing = 0;
  for (let row = 0; row < fleet.rows; row += 1) {
    if (removed[row] === 1) continue;
    figures.lamps += 1;
    if (online[row] === ONLINE.yes) figures.online += 1;
    else if (online[row] === ONLINE.no) figures.offline += 1;
    const how = healthOf(fleet, row);
    health[how] += 1;
    if (how !== 'ok' && how !== 'unknown') figures.troubled += 1;
    if (isOverridden(fleet, row)) figures.overrides += 1;
    if (isAsked(fleet, row)) figures.asked += 1;
    if (!measured[row]) continue;
    const age = Math.max(0, now - measured[row]!);
    ages[aged] = age;
    aged += 1;
    if (energy[row]! > 0) figures.energyWh += energy[row]!;
    if (actual[row]! > 0) {
      levels += actual[row]!;
      glowing += 1;
    }
    if (age > twoPeriods) continue;
    if (target[row]! > 0) {
      figures.wanted += 1;
      if (actual[row]! > 0) figures.lit += 1;
      else if (age < twoPeriods && how === 'dark') figures.late += 1;
    }
    if (power[row]! >= 0) {
      figures.loadW += power[row]!;
      figures.loadLamps += 1;
    }
  }
  const sorted = ages.subarray(0, aged).sort();
  if (aged > 0) {
    figures.ageMedianMs = sorted[Math.floor(aged / 2)]!;
    figures.ageP99Ms = sorted[Math.min(aged - 1, Math.floor(aged * 0.99))]!;
  }
  if (glowing > 0) figures.meanLevel = levels / glowing;
  return figures;
}

/** Lights in light: lamps that burn ÷ lamps that should. NaN if none should. */
export function lightsInLight({ lit, wanted }: Figures): number {
  return wanted === 0 ? NaN : lit / wanted;
}

export { LATE_MS };
