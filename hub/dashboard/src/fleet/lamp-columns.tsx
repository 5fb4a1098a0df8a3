// The columns of the list of lamps: what each shows, sorts by, and puts into CSV.

import type { ComponentChildren } from 'preact';
import { fleet, now } from '../live/connection';
import { REASONS } from '../live/schema';
import { HealthGlyph, LampGlyph } from '../parts/glyph';
import { amperes, celsius, count, energy, factor, hours, level, volts, watts } from '../format';
import type { SortKey } from './filter';
import { HEALTH_WORDS, LIGHT_WORDS, freshness, healthOf, isAsked, isOverridden, lightOf, periodOf } from './state';
import { span } from '../format';

export interface LampColumn {
  key: string;
  name: string;
  width: number;
  isNumber?: boolean;
  sort: SortKey;
  cell: (row: number) => ComponentChildren;
  csv: (row: number) => string | number;
}

export const REASON_WORDS: Record<string, string> = {
  UNSPECIFIED: '', DEFAULT: 'Default', PROGRAM: 'Program', OVERRIDE: 'Override', SENSOR: 'Sensor',
  LOCAL_OVERRIDE: 'Local switch', FAILSAFE: 'Failsafe', COMMISSIONING: 'Test sequence',
};

export function reasonOf(row: number): string {
  return REASON_WORDS[REASONS[fleet.get(row, 'reason')] ?? ''] ?? '';
}

const get = fleet.get.bind(fleet);
const known = (value: number): string | number => (Number.isFinite(value) ? value : '');
const iso = (ms: number): string => (ms ? new Date(ms).toISOString() : '');

function label(name: string, title: string, width: number): LampColumn {
  const cell = (row: number) => fleet.label(row, name);
  return { key: name, name: title, width, sort: { label: name }, cell, csv: cell };
}

function measure(key: Parameters<typeof get>[1], name: string, width: number, text: (value: number) => string): LampColumn {
  return { key, name, width, isNumber: true, sort: { column: key }, cell: (row) => text(get(row, key)), csv: (row) => known(get(row, key)) };
}

/** Light in one cell: the sign, level and power together, and what was asked but not proved. */
function LightCell({ row }: { row: number }) {
  const light = lightOf(fleet, row);
  const asked = isAsked(fleet, row);
  return (
    <span class="light-cell">
      <LampGlyph light={light} level={get(row, 'actual')} health={healthOf(fleet, row)} isOverridden={isOverridden(fleet, row)} isAsked={asked} />
      <span>{light === 'on' || light === 'fading' ? level(get(row, 'actual')) : LIGHT_WORDS[light]}</span>
      {asked && <em class="asked">asked</em>}
    </span>
  );
}

export const LAMP_COLUMNS: LampColumn[] = [
  {
    key: 'id', name: 'Lamp', width: 128, sort: { id: true }, csv: (row) => fleet.id(row),
    cell: (row) => <a href={`#/lamp/${encodeURIComponent(fleet.id(row))}`}>{fleet.id(row)}</a>,
  },
  label('street', 'Street', 150),
  label('cabinet', 'Cabinet', 76),
  label('feeder', 'Feeder', 70),
  label('phase', 'Phase', 62),
  label('class', 'Class', 100),
  { key: 'light', name: 'Light', width: 132, sort: { column: 'actual' }, cell: (row) => <LightCell row={row} />, csv: (row) => known(get(row, 'actual')) },
  measure('target', 'Target', 72, level),
  { key: 'reason', name: 'Reason', width: 104, sort: { column: 'reason' }, cell: reasonOf, csv: reasonOf },
  measure('power', 'Power', 76, watts),
  measure('voltage', 'Voltage', 76, volts),
  measure('current', 'Current', 80, amperes),
  measure('powerFactor', 'PF', 58, factor),
  measure('energy', 'Energy', 92, energy),
  measure('burnTime', 'Burn hours', 96, hours),
  measure('switchOns', 'Starts', 76, count),
  measure('driverTemperature', 'Driver', 72, celsius),
  measure('controllerTemperature', 'Controller', 88, celsius),
  {
    key: 'health', name: 'Health', width: 170, sort: { health: true }, csv: (row) => HEALTH_WORDS[healthOf(fleet, row)],
    cell: (row) => {
      const health = healthOf(fleet, row);
      return <span class={`health-cell ${health}`}><HealthGlyph health={health} />{HEALTH_WORDS[health]}</span>;
    },
  },
  {
    key: 'age', name: 'Age', width: 78, isNumber: true, sort: { column: 'measured' }, csv: (row) => iso(get(row, 'measured')),
    cell: (row) => {
      const at = get(row, 'measured');
      return <span class={`age ${freshness(at, now.value, periodOf(fleet))}`}>{at ? span(now.value - at) : 'never'}</span>;
    },
  },
];
