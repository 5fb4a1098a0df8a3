// Faults by their root: a cabinet without mains is one incident, not sixty.
//
// Of a cabinet of which 80 % went silent within two minutes, the mains are gone. Of what is left, lamps with
// the same fault in the same cabinet belong together if they are many; the rest stands by kind.

import { ONLINE, type OpenFault } from '../live/messages';
import type { Fleet } from './fleet';
import { healthOf } from './state';

export interface Incident {
  key: string;
  kind: string;
  title: string;
  where: string;
  /** 1 info to 5 critical. */
  severity: number;
  rows: number[];
  /** ms since 1970: since when, 0 unknown. */
  since: number;
  /** All lamps of the place, where the incident is one of a place. */
  of: number;
}

const SILENT_SHARE = 0.8;
const SILENT_LAMPS_MIN = 3;
const WITHIN_MS = 120_000;
const SHARED_FEEDER_MIN = 10;

interface Cabinet {
  rows: number[];
  silent: number[];
}

export function incidentsOf(fleet: Fleet): Incident[] {
  const incidents: Incident[] = [];
  const explained = new Set<number>();
  for (const [name, { rows, silent }] of cabinets(fleet)) {
    if (!name || silent.length < SILENT_LAMPS_MIN || silent.length < SILENT_SHARE * rows.length) continue;
    const sinces = silent.map((row) => fleet.get(row, 'onlineSince')).sort((one, other) => one - other);
    const middle = sinces[Math.floor(sinces.length / 2)]!;
    const together = sinces.filter((since) => Math.abs(since - middle) <= WITHIN_MS).length;
    if (together < SILENT_SHARE * silent.length) continue;
    for (const row of silent) explained.add(row);
    incidents.push({
      key: `supply:${name}`, kind: 'SUPPLY_LOSS', title: 'Cabinet without supply', where: place(fleet, silent[0]!, name),
      severity: 5, rows: silent, since: middle, of: rows.length,
    });
  }
  const rest = new Map<string, Incident>();
  for (const row of fleet.each()) {
    const faults = fleet.faults.get(row) ?? [];
    for (const fault of causesOf(faults)) {
      add(rest, row, { kind: fault.code, severity: fault.severity, since: fault.since, where: groupPlace(fleet, row, fault.code) });
    }
    if (explained.has(row)) continue;
    if (fleet.get(row, 'online') === ONLINE.no) {
      add(rest, row, { kind: 'COMMUNICATION_FAILURE', severity: 3, since: fleet.get(row, 'onlineSince'), where: '' });
    } else if (faults.length === 0 && healthOf(fleet, row) === 'dark') {
      add(rest, row, { kind: 'LAMP_FAILURE', severity: 4, since: fleet.get(row, 'measured'), where: '' });
    }
  }
  for (const incident of rest.values()) {
    if (incident.kind.startsWith('SUPPLY_VOLTAGE') && incident.rows.length > SHARED_FEEDER_MIN) incident.severity = 4;
    incidents.push(incident);
  }
  return incidents.sort((one, other) => other.severity - one.severity || other.rows.length - one.rows.length);
}

/** What explains a dark lamp; where one of these is open, the darkness is its symptom. */
const CAUSES_OF_DARKNESS = new Set([
  'CONTROL_GEAR_FAILURE', 'CONTROL_GEAR_COMM_FAILURE', 'LIGHT_SOURCE_OPEN_CIRCUIT', 'LIGHT_SOURCE_SHORT_CIRCUIT',
  'LIGHT_SOURCE_THERMAL_SHUTDOWN', 'CONTROL_GEAR_THERMAL_SHUTDOWN', 'RELAY_FAILURE', 'SUPPLY_LOSS',
]);

/** The faults of a lamp without those that others of them explain. */
function causesOf(faults: OpenFault[]): OpenFault[] {
  const isExplained = faults.some(({ code }) => CAUSES_OF_DARKNESS.has(code));
  return isExplained ? faults.filter(({ code }) => code !== 'LAMP_FAILURE') : faults;
}

function add(rest: Map<string, Incident>, row: number, found: Pick<Incident, 'kind' | 'severity' | 'since' | 'where'>): void {
  const key = `${found.kind}:${found.where}`;
  const known = rest.get(key);
  if (!known) {
    rest.set(key, { ...found, key, title: faultTitle(found.kind), rows: [row], of: 0 });
    return;
  }
  known.rows.push(row);
  known.severity = Math.max(known.severity, found.severity);
  known.since = Math.min(known.since || found.since, found.since);
}

/** Voltage is a matter of the feeder, which neighbours share; a lamp's fault is its own. */
function groupPlace(fleet: Fleet, row: number, code: string): string {
  return code.startsWith('SUPPLY_') ? fleet.label(row, 'feeder') || fleet.label(row, 'cabinet') : '';
}

function place(fleet: Fleet, row: number, cabinet: string): string {
  const street = fleet.label(row, 'street');
  return street ? `${cabinet}, ${street}` : cabinet;
}

function cabinets(fleet: Fleet): Map<string, Cabinet> {
  const found = new Map<string, Cabinet>();
  const numbers = fleet.labelNumbers('cabinet');
  if (!numbers) return found;
  const words = fleet.words('label.cabinet');
  for (const row of fleet.each()) {
    const name = words[numbers[row]!] ?? '';
    let cabinet = found.get(name);
    if (!cabinet) found.set(name, (cabinet = { rows: [], silent: [] }));
    cabinet.rows.push(row);
    if (fleet.get(row, 'online') === ONLINE.no) cabinet.silent.push(row);
  }
  return found;
}

/** What each fault is called, and what a person does about it. */
const FAULTS: Record<string, [title: string, advice: string]> = {
  LAMP_FAILURE: ['Lamp is dark', 'Should be lit and gives no light. Ticket for the lamp crew: driver, LED module or fuse in the pole.'],
  DIMMING_FAILURE: ['Lamp does not dim', 'Burns at full power whatever it is told. Check dim wire or DALI between controller and driver.'],
  LAMP_UNEXPECTED_ON: ['Lit when it should be off', 'A day burner: welded relay or a stuck controller. It wastes energy but endangers nobody.'],
  CYCLING_FAILURE: ['Goes on and off by itself', 'Replace lamp or driver; the light source is near its end.'],
  LAMP_POWER_TOO_HIGH: ['Draws more than it should', 'Compare the asset data with what hangs on the pole: often another lamp type.'],
  LAMP_POWER_TOO_LOW: ['Draws less than it should', 'A shorted LED string, or asset data that names another lamp type.'],
  POWER_FACTOR_TOO_LOW: ['Power factor too low', 'An ageing driver. Plan its replacement.'],
  RELAY_FAILURE: ['Relay does not obey', 'Replace the controller.'],
  LIGHT_SOURCE_SHORT_CIRCUIT: ['LED string shorted', 'Replace the LED module.'],
  LIGHT_SOURCE_OPEN_CIRCUIT: ['LED string open', 'Replace the LED module.'],
  LIGHT_SOURCE_THERMAL_DERATING: ['LED module too hot: dimmed', 'Clean the luminaire; look again after a cool night.'],
  LIGHT_SOURCE_THERMAL_SHUTDOWN: ['LED module too hot: off', 'Clean the luminaire and check its heat sink.'],
  CONTROL_GEAR_FAILURE: ['Driver reports a fault', 'Replace the driver.'],
  CONTROL_GEAR_COMM_FAILURE: ['Driver does not answer', 'Driver or DALI wiring.'],
  CONTROL_GEAR_THERMAL_DERATING: ['Driver too hot: dimmed', 'Blocked heat path; clean or replace before summer.'],
  CONTROL_GEAR_THERMAL_SHUTDOWN: ['Driver too hot: off', 'Blocked heat path; replace the driver.'],
  SUPPLY_VOLTAGE_TOO_LOW: ['Voltage too low', 'If neighbours agree, tell the grid operator.'],
  SUPPLY_VOLTAGE_TOO_HIGH: ['Voltage too high', 'If neighbours agree, tell the grid operator.'],
  SUPPLY_LOSS: ['Without supply', 'Cabinet crew: main breaker, contactor or the grid. One ticket for all of its lamps.'],
  LEAKAGE_DETECTED: ['Leakage current', 'Danger to people. Emergency crew within 4 hours.'],
  ORIENTATION_CHANGED: ['Pole leans', 'Danger to people. Emergency crew within 4 hours.'],
  IMPACT_DETECTED: ['Pole was hit', 'Danger to people. Emergency crew within 4 hours.'],
  TEMPERATURE_TOO_HIGH: ['Controller too hot', 'Look again after a cool night.'],
  TIME_SYNC_ERROR: ['Clock is not set', 'Sets itself with the next connection; if it stays, replace the controller.'],
  COMMUNICATION_FAILURE: ['No communication', 'The lamp itself may well be lit: it follows its program alone. Check SIM, modem or mains.'],
  DATA_STALE: ['Connected, but no data', 'Ask it for its values; if it stays silent, restart it.'],
};

export function faultTitle(code: string): string {
  return FAULTS[code]?.[0] ?? code.toLowerCase().replaceAll('_', ' ').replace(/^./, (first) => first.toUpperCase());
}

export function faultAdvice(code: string): string {
  return FAULTS[code]?.[1] ?? 'See the manual of the controller.';
}
