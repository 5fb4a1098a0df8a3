// Reads what comes of every lamp straight from protobuf: the hub then makes no JSON of it and the page parses
// none. Only what the page shows is read; a field that a later schema adds is passed over.

import { bytesOf } from '../../../sdk/lamplighter.js';
import { Bytes, type Fields, read, table } from '../../../sdk/protobuf.js';
import type { Value } from './intake';

/** `lighting.v1.LampSample`. */
const SAMPLE: Fields = {
  2: ['lamp_index', 'number'],
  3: ['state', 'number'],
  4: ['reason', 'number'],
  5: ['target_level_pct', 'number'],
  6: ['actual_level_pct', 'number'],
  7: ['supply_voltage_v', 'float'],
  8: ['supply_current_a', 'float'],
  9: ['active_power_w', 'float'],
  10: ['power_factor', 'float'],
  12: ['active_energy_wh', 'number'],
  13: ['burn_time_s', 'number'],
  14: ['switch_on_count', 'number'],
  15: ['driver_temperature_c', 'float'],
  16: ['controller_temperature_c', 'float'],
  18: ['frequency_hz', 'float'],
  23: ['tilt_deg', 'float'],
};

const MESSAGES: Record<string, Fields> = {
  'lighting.v1.TelemetryBatch': { 2: ['samples', { list: SAMPLE }] },
  'lamplighter.v1.Presence': {
    1: ['online', 'bool'],
    2: ['since_unix_ms', 'number'],
    3: ['generation', 'number'],
    5: ['agent', 'text'],
    6: ['reason', 'text'],
    7: ['unknown', 'bool'],
  },
  'lamplighter.v1.Registration': {
    1: ['device', 'text'],
    2: ['labels', 'texts'],
    3: ['profile', 'text'],
    4: ['latitude_e7', 'zigzag'],
    5: ['longitude_e7', 'zigzag'],
    7: ['removed', 'bool'],
  },
};

const TABLES = new Map(Object.entries(MESSAGES).map(([type, fields]) => [type, table(fields)]));

/** The last segments of the channels whose values are read here. */
export const DECODED = new Set(['telemetry', 'presence', 'registration']);

/** The content of a value that came as protobuf, as its JSON would be, with enums as numbers; undefined if it is none. */
export function decoded({ type, payload }: Pick<Value, 'type' | 'payload'>): any {
  const fields = TABLES.get(type);
  if (!fields) return undefined;
  try {
    return read(new Bytes(bytesOf({ payload })), fields);
  } catch {
    // Somebody sent what is not of its type: the lamp stays as it was.
    return undefined;
  }
}
