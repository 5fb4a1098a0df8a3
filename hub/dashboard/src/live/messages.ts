// What the worker and the page say to each other.
//
// The worker holds the connection and reads every message; the page gets what changed, a few times a
// second, as numbers in one buffer, however fast the fleet speaks.

/** Numbers that the page holds of each lamp; the order is that of a packed row. */
export const COLUMNS = [
  'latitude', 'longitude',
  'online', 'onlineSince', 'generation', 'agent',
  'measured', 'sampled', 'state', 'reason', 'target', 'actual',
  'power', 'voltage', 'current', 'powerFactor', 'energy', 'burnTime', 'switchOns',
  'driverTemperature', 'controllerTemperature', 'tilt', 'frequency',
  'commandState', 'commandTime',
  'effectiveLevel', 'effectiveUntil', 'removed',
] as const;

export type Column = (typeof COLUMNS)[number];

export const COLUMN_INDEX = Object.fromEntries(COLUMNS.map((name, index) => [name, index])) as Record<Column, number>;

/** In a packed row: as it was. */
export const KEEP = -Infinity;
/** Numbers of a packed row: the row's index, then the columns. */
export const STRIDE = COLUMNS.length + 1;

/** What the page always sees; each on its own, since a role may grant some of them only. */
export const PATTERNS = [
  'devices.*.registration', 'devices.*.presence', 'devices.*.faults', 'devices.*.telemetry',
  'devices.*.switching', 'devices.*.commands', 'devices.*.effective', 'fleet.*', 'city.about',
];

export const ONLINE = { unknown: 0, yes: 1, no: 2 } as const;

export interface OpenFault {
  code: string;
  severity: number;
  /** ms since 1970. */
  since: number;
  count: number;
  measured: number | null;
  threshold: number | null;
  id: string;
}

export interface CommandStep {
  command: string;
  device: string;
  state: string;
  percent: number;
  timeMs: number;
  sender: string;
  detail: string;
  late: boolean;
}

export interface FleetProgress {
  fleet: string;
  phase: string;
  stopped: string;
  targets: number;
  timeMs: number;
  counts: Record<string, number>;
}

/** What changed since the last one. */
export interface Changes {
  kind: 'changes';
  /** Ids of rows that are new, in their order. */
  ids: string[];
  /** How many rows there are. */
  rows: number;
  packed: Float64Array;
  /** Words that stand for numbers: new ones of each list. */
  words: { list: string; words: string[] }[];
  /** Labels: row, list, word, three numbers each. -1 as word takes the label away. */
  labels: Int32Array;
  /** Names of label lists by their number, new ones only. */
  labelNames: string[];
  faults: { row: number; open: OpenFault[] }[];
  commands: CommandStep[];
  fleets: FleetProgress[];
  /** Messages since the connection began. */
  messages: number;
  /** ms between two reports of a lamp, as seen; 0 unknown. */
  periodMs: number;
}

export type LiveState = 'idle' | 'connecting' | 'open' | 'waiting' | 'refused' | 'closed';

export type FromWorker =
  | Changes
  | { kind: 'state'; state: LiveState; transport: string | null; identity: string; reason: string; code: number; offsetMs: number }
  | { kind: 'loaded'; pattern: string; values: number; done: boolean }
  | { kind: 'refused'; pattern: string; message: string }
  | { kind: 'about'; about: unknown }
  | { kind: 'reload'; reason: 'restart' | 'position' | 'gap'; dropped: number }
  | { kind: 'value'; key: string; channel: string; type: string; data: unknown; timeMs: number; measuredMs: number };

export type ToWorker =
  | { kind: 'start'; token: string; url: string }
  | { kind: 'stop' }
  | { kind: 'watch'; key: string; patterns: string[] }
  | { kind: 'unwatch'; key: string };
