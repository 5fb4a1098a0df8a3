// Reads what comes of every lamp straight from protobuf: the hub then makes no JSON of it and the page parses
// none. Only what the page shows is read; a field that a later schema adds is passed over.

import type { Value } from './intake';

type Kind = 'number' | 'bool' | 'zigzag' | 'float' | 'text' | 'texts' | { list: Fields };
type Fields = Record<number, [name: string, kind: Kind]>;

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

/** The last segments of the channels whose values are read here. */
export const DECODED = new Set(['telemetry', 'presence', 'registration']);

const text = new TextDecoder();

/** The content of a value that came as protobuf, as its JSON would be, with enums as numbers; undefined if it is none. */
export function decoded({ type, payload }: Pick<Value, 'type' | 'payload'>): any {
  const fields = MESSAGES[type];
  if (!fields) return undefined;
  try {
    return read(new Bytes(fromBase64(payload ?? '')), fields);
  } catch {
    // Somebody sent what is not of its type: the lamp stays as it was.
    return undefined;
  }
}

function fromBase64(encoded: string): Uint8Array {
  const quick = (Uint8Array as unknown as { fromBase64?: (text: string) => Uint8Array }).fromBase64;
  if (quick) return quick.call(Uint8Array, encoded);
  const characters = atob(encoded);
  const bytes = new Uint8Array(characters.length);
  for (let at = 0; at < characters.length; at += 1) bytes[at] = characters.charCodeAt(at);
  return bytes;
}

class Bytes {
  at = 0;
  readonly view: DataView;

  constructor(readonly bytes: Uint8Array) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get isAtEnd(): boolean {
    return this.at >= this.bytes.length;
  }

  /** Exact up to 2^53. */
  varint(): number {
    let [value, scale] = [0, 1];
    for (;;) {
      const byte = this.bytes[this.at];
      if (byte === undefined || scale > 2 ** 63) throw new RangeError('no number');
      this.at += 1;
      value += (byte & 127) * scale;
      if (byte < 128) return value;
      scale *= 128;
    }
  }

  float(): number {
    const value = this.view.getFloat32(this.at, true);
    this.at += 4;
    // Without the noise of 32 bits: 43.2 and not 43.20000076.
    return Math.round(value * 1e4) / 1e4;
  }

  part(): Bytes {
    const length = this.varint();
    if (this.at + length > this.bytes.length) throw new RangeError('cut off');
    const part = new Bytes(this.bytes.subarray(this.at, this.at + length));
    this.at += length;
    return part;
  }

  skip(wire: number): void {
    if (wire === 0) this.varint();
    else if (wire === 1) this.at += 8;
    else if (wire === 2) this.part();
    else if (wire === 5) this.at += 4;
    else throw new RangeError('a group');
    if (this.at > this.bytes.length) throw new RangeError('cut off');
  }
}

const WIRES = { number: 0, bool: 0, zigzag: 0, float: 5, text: 2, texts: 2 } as const;

function read(bytes: Bytes, fields: Fields): any {
  const message: any = {};
  while (!bytes.isAtEnd) {
    const key = bytes.varint();
    const [wire, field] = [key % 8, fields[Math.floor(key / 8)]];
    if (!field || wire !== (typeof field[1] === 'object' ? 2 : WIRES[field[1]])) {
      bytes.skip(wire);
      continue;
    }
    const [name, kind] = field;
    if (typeof kind === 'object') (message[name] ??= []).push(read(bytes.part(), kind.list));
    else if (kind === 'texts') message[name] = { ...message[name], ...entry(bytes.part()) };
    else message[name] = single(bytes, kind);
  }
  return message;
}

function single(bytes: Bytes, kind: Exclude<Kind, 'texts' | object>): number | boolean | string {
  switch (kind) {
    case 'number': return bytes.varint();
    case 'bool': return bytes.varint() !== 0;
    case 'zigzag': {
      const value = bytes.varint();
      return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
    }
    case 'float': return bytes.float();
    case 'text': return text.decode(bytes.part().bytes);
  }
}

/** One entry of a map from text to text. */
function entry(bytes: Bytes): Record<string, string> {
  const { key = '', value = '' } = read(bytes, { 1: ['key', 'text'], 2: ['value', 'text'] });
  return { [key]: value };
}
