// Reads the fleet's messages into rows: what a lamp is, whether it is here, what it measured, what is
// wrong with it, what it was asked.

import { RowBuffer } from './buffer';
import {
  type Changes, type Column, type CommandStep, type FleetProgress, ONLINE, type OpenFault,
} from './messages';
import { COMMAND_STATES, LAMP_STATES, REASONS, SEVERITIES, numberOf } from './schema';
import { decoded } from './wire';
import { Words } from './words';

export interface Value {
  channel: string;
  type: string;
  data?: any;
  /** Where the content came as protobuf. */
  payload?: string | Uint8Array | undefined;
  offset: number;
  timeMs: number;
  measuredMs: number;
}

/** Steps of commands that go to the page at once; a larger run is told by its fleet command. */
const STEPS_MAX = 400;
const INTERVALS_MAX = 256;
const DEVICES = 'devices.';

/** One label's values. */
interface LabelList {
  number: number;
  words: Words;
  /** The word's number by row; none is -1, or absent. */
  ofRow: number[];
}

export class Intake {
  #rows = new Map<string, number>();
  #ids: string[] = [];
  #idsTold = 0;
  #buffer = new RowBuffer();
  #agents = new Words();
  #labelLists = new Map<string, LabelList>();
  #labelNames: string[] = [];
  #labelNamesTold = 0;
  #labels: number[] = [];
  #faults = new Map<number, Map<string, OpenFault>>();
  #faultsChanged = new Set<number>();
  /** Offset of the newest fault event of a row. */
  #faultOffsets = new Map<number, number>();
  #commands = new Map<string, CommandStep>();
  #fleets = new Map<string, FleetProgress>();
  #measured: number[] = [];
  #intervals: number[] = [];
  #messages = 0;

  /** Takes one value of a channel, live or of a snapshot. */
  take(value: Value, live: boolean): void {
    if (live) this.#messages += 1;
    const { channel } = value;
    if (channel.startsWith('fleet.')) return this.#fleet(value);
    const end = channel.indexOf('.', DEVICES.length);
    if (!channel.startsWith(DEVICES) || end < 0) return;
    const id = channel.slice(DEVICES.length, end);
    const kind = channel.slice(end + 1);
    if (value.data === undefined) value.data = decoded(value);
    if (value.data === undefined) return;
    if (kind === 'registration' && value.data.removed) return this.remove(id);
    const row = this.#rowOf(id);
    switch (kind) {
      case 'registration': return this.#registration(row, value.data);
      case 'presence': return this.#presence(row, value.data);
      case 'telemetry': return this.#telemetry(row, value, live);
      case 'switching': return this.#switching(row, value);
      case 'faults': return this.#fault(row, value);
      case 'commands': return this.#command(row, value.data, live);
      case 'effective': return this.#effective(row, value.data);
    }
  }

  /** All remembered fault events of one lamp, in their order, in the place of what is known; unless newer ones came. */
  takeFaults(values: Value[]): void {
    const newest = values.at(-1);
    const row = newest && this.#rows.get(newest.channel.split('.')[1] ?? '');
    if (!newest || row === undefined || newest.offset < (this.#faultOffsets.get(row) ?? 0)) return;
    this.#faults.delete(row);
    for (const value of values) this.#fault(row, value);
  }

  /** Ids of all lamps. */
  get known(): Iterable<string> {
    return this.#rows.keys();
  }

  remove(id: string): void {
    const row = this.#rows.get(id);
    if (row === undefined) return;
    this.#rows.delete(id);
    this.#buffer.put(row, 'removed', 1);
    if (this.#faults.delete(row)) this.#faultsChanged.add(row);
  }

  /** What changed since the last time; null if nothing did. */
  changes(): Changes | null {
    const fresh = this.#ids.slice(this.#idsTold);
    const still = this.#buffer.isEmpty && this.#commands.size === 0 && this.#fleets.size === 0;
    if (still && fresh.length === 0 && this.#faultsChanged.size === 0) return null;
    this.#idsTold = this.#ids.length;
    const words = [
      { list: 'agent', words: this.#agents.takeNew() },
      ...[...this.#labelLists].map(([name, { words }]) => ({ list: `label.${name}`, words: words.takeNew() })),
    ].filter(({ words }) => words.length > 0);
    const changes: Changes = {
      kind: 'changes',
      ids: fresh,
      rows: this.#ids.length,
      packed: this.#buffer.take(),
      words,
      labels: Int32Array.from(this.#labels),
      labelNames: this.#labelNames.slice(this.#labelNamesTold),
      faults: [...this.#faultsChanged].map((row) => ({ row, open: [...(this.#faults.get(row)?.values() ?? [])] })),
      commands: [...this.#commands.values()],
      fleets: [...this.#fleets.values()],
      messages: this.#messages,
      periodMs: this.#period(),
    };
    this.#labels = [];
    this.#labelNamesTold = this.#labelNames.length;
    this.#faultsChanged.clear();
    this.#commands.clear();
    this.#fleets.clear();
    return changes;
  }

  #rowOf(id: string): number {
    const known = this.#rows.get(id);
    if (known !== undefined) return known;
    const row = this.#ids.push(id) - 1;
    this.#rows.set(id, row);
    return row;
  }

  #registration(row: number, data: any): void {
    this.#put(row, 'latitude', data.latitude_e7 === undefined ? NaN : data.latitude_e7 / 1e7);
    this.#put(row, 'longitude', data.longitude_e7 === undefined ? NaN : data.longitude_e7 / 1e7);
    const labels: Record<string, string> = data.labels ?? {};
    for (const [name, word] of Object.entries(labels)) this.#label(row, this.#labelList(name), word);
    if (data.profile) this.#label(row, this.#labelList('profile'), data.profile);
    // What it had and has no more.
    for (const [name, list] of this.#labelLists) {
      const isThere = Object.hasOwn(labels, name) || (name === 'profile' && data.profile);
      if (!isThere && (list.ofRow[row] ?? -1) >= 0) this.#label(row, list, null);
    }
  }

  #label(row: number, list: LabelList, word: string | null): void {
    const number = word === null ? -1 : list.words.number(String(word));
    if ((list.ofRow[row] ?? -1) === number) return;
    list.ofRow[row] = number;
    this.#labels.push(row, list.number, number);
  }

  #labelList(name: string): LabelList {
    let list = this.#labelLists.get(name);
    if (!list) {
      list = { number: this.#labelNames.push(name) - 1, words: new Words(), ofRow: [] };
      this.#labelLists.set(name, list);
    }
    return list;
  }

  #presence(row: number, data: any): void {
    this.#put(row, 'online', data.unknown ? ONLINE.unknown : data.online ? ONLINE.yes : ONLINE.no);
    this.#put(row, 'onlineSince', Number(data.since_unix_ms ?? 0));
    this.#put(row, 'generation', Number(data.generation ?? 0));
    if (data.agent) this.#put(row, 'agent', this.#agents.number(data.agent));
  }

  #telemetry(row: number, value: Value, live: boolean): void {
    const samples: any[] = value.data.samples ?? [];
    const last = samples.filter((sample) => !sample.lamp_index).at(-1) ?? samples.at(-1);
    if (!last) return;
    const measured = value.measuredMs || value.timeMs;
    if (live) this.#interval(row, measured);
    this.#measured[row] = measured;
    this.#put(row, 'measured', measured);
    this.#put(row, 'sampled', measured);
    this.#put(row, 'state', numberOf(LAMP_STATES, 'LAMP_STATE_', last.state));
    this.#put(row, 'reason', numberOf(REASONS, 'CONTROL_REASON_', last.reason));
    for (const [column, field] of FIELDS) {
      const number = last[field];
      this.#put(row, column, number === undefined ? NaN : Number(number));
    }
  }

  /** The switching log is told at once, the next sample only in its turn. */
  #switching(row: number, value: Value): void {
    const measured = value.measuredMs || value.timeMs;
    if (measured < (this.#measured[row] ?? 0)) return;
    this.#measured[row] = measured;
    const { to_level_pct = 0, reason, power_after_w } = value.data;
    this.#put(row, 'measured', measured);
    this.#put(row, 'actual', to_level_pct);
    this.#put(row, 'target', to_level_pct);
    this.#put(row, 'reason', numberOf(REASONS, 'CONTROL_REASON_', reason));
    this.#put(row, 'state', LAMP_STATES.indexOf(to_level_pct > 0 ? 'ON' : 'STANDBY'));
    if (power_after_w !== undefined) this.#put(row, 'power', power_after_w);
  }

  #fault(row: number, { data, measuredMs, timeMs, offset }: Value): void {
    this.#faultOffsets.set(row, offset);
    const code = String(data.code ?? '').replace('FAULT_CODE_', '');
    const id = data.fault_id && data.fault_id !== '0' ? String(data.fault_id) : code;
    const open = this.#faults.get(row) ?? new Map<string, OpenFault>();
    if (data.active) {
      open.set(id, {
        id,
        code,
        severity: numberOf(SEVERITIES, 'SEVERITY_', data.severity),
        since: measuredMs || timeMs,
        count: data.occurrence_count ?? 1,
        measured: data.measured_value ?? null,
        threshold: data.threshold_value ?? null,
      });
    } else {
      // An end names its start by the id; one without it ends what has its code.
      open.delete(id);
      for (const [key, fault] of open) if (fault.code === code && key === code) open.delete(key);
    }
    this.#faults.set(row, open);
    this.#faultsChanged.add(row);
  }

  #command(row: number, data: any, live: boolean): void {
    const state = numberOf(COMMAND_STATES, 'COMMAND_STATE_', data.state);
    if (data.late) return;
    const timeMs = Number(data.time_unix_ms ?? 0);
    this.#put(row, 'commandState', state);
    this.#put(row, 'commandTime', timeMs);
    if (!live) return;
    const { command, device, sender = '', detail = '', percent = 0 } = data;
    this.#commands.set(command, {
      command, device, sender, detail, percent, timeMs, state: COMMAND_STATES[state] ?? 'UNKNOWN', late: false,
    });
    if (this.#commands.size > STEPS_MAX) {
      const oldest = this.#commands.keys().next().value;
      if (oldest !== undefined) this.#commands.delete(oldest);
    }
  }

  #effective(row: number, data: any): void {
    // Absent: no layer decides.
    this.#put(row, 'effectiveLevel', data.level_pct ?? NaN);
    this.#put(row, 'effectiveUntil', Number(data.until_unix_ms ?? 0));
  }

  #fleet({ data }: Value): void {
    if (!data?.fleet) return;
    const { fleet, phase = '', stopped = '', targets = 0, time_unix_ms, detail: _, ...rest } = data;
    const counts = Object.fromEntries(Object.entries(rest).map(([state, count]) => [state, Number(count)]));
    this.#fleets.set(fleet, { fleet, phase, stopped, targets, timeMs: Number(time_unix_ms ?? 0), counts });
  }

  #put(row: number, column: Column, value: number): void {
    this.#buffer.put(row, column, value);
  }

  #interval(row: number, measured: number): void {
    const before = this.#measured[row];
    if (!before || measured <= before) return;
    this.#intervals.push(measured - before);
    if (this.#intervals.length > INTERVALS_MAX) this.#intervals.shift();
  }

  /** The ninth decile of what was seen, so that a lamp which reports on change doesn't shorten it. */
  #period(): number {
    if (this.#intervals.length < 3) return 0;
    const sorted = [...this.#intervals].sort((one, other) => one - other);
    return sorted[Math.floor(sorted.length * 0.9)] ?? 0;
  }
}

const FIELDS: [Column, string][] = [
  ['target', 'target_level_pct'],
  ['actual', 'actual_level_pct'],
  ['power', 'active_power_w'],
  ['voltage', 'supply_voltage_v'],
  ['current', 'supply_current_a'],
  ['powerFactor', 'power_factor'],
  ['energy', 'active_energy_wh'],
  ['burnTime', 'burn_time_s'],
  ['switchOns', 'switch_on_count'],
  ['driverTemperature', 'driver_temperature_c'],
  ['controllerTemperature', 'controller_temperature_c'],
  ['tilt', 'tilt_deg'],
  ['frequency', 'frequency_hz'],
];
