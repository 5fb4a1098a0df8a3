// A hub that knows 100,000 lamps with their last values, and some thousand of them connected and reporting.

import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { closeSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { City, until } from '../city.js';

/** Where the town stands; device-sim puts its own lamps around the same place. */
const PLACE = { latitude: 51.34, longitude: 12.375 };
/** Lamps of a street, of a cabinet; the sizes of LED lanterns in W. */
const STREET_LAMPS = 40;
const CABINET_LAMPS = 60;
const WATTS = [24, 36, 43, 58, 75, 98, 148];
/** One in so many has an open fault, as a sound city has. */
const FAULTY_ONE_IN = 250;
const REGISTRATIONS_AT_ONCE = 1_000;
const TELEMETRY = 'lighting.v1.TelemetryBatch';
const [ON, STANDBY, PROGRAM] = [3, 2, 2];

/** Registers the lamps, then gives each its last values, by an import into the stopped hub's folder. */
export async function prepared(lamps, config = '') {
  const city = await City.start(config);
  for (let first = 1; first <= lamps; first += REGISTRATIONS_AT_ONCE) {
    const count = Math.min(REGISTRATIONS_AT_ONCE, lamps - first + 1);
    await city.ask('/v1/devices', Array.from({ length: count }, (_, index) => registration(first + index)));
  }
  await city.stopHub();
  const file = join(city.folder, 'values.jsonl');
  writeValues(file, lamps, await firstLineOfExport(city));
  const imported = spawnSync(city.program('hub'), ['import', file, '--merge', '--data-dir', city.data], { encoding: 'utf8' });
  if (imported.status !== 0) throw new Error(`the import failed: ${imported.stderr}`);
  rmSync(file);
  await city.startHub();
  const loaded = async () => (await city.ask('/readyz')).values_loading === false;
  await until(loaded, 'all values are in memory', 300_000);
  return city;
}

const idOf = (number) => `lamp-${String(number).padStart(4, '0')}`;

/** Streets side by side, lamps every 30 m, as the centre of a large town has them. */
function registration(number) {
  const street = Math.floor((number - 1) / STREET_LAMPS);
  const [column, row] = [street % 25, Math.floor(street / 25)];
  const along = ((number - 1) % STREET_LAMPS) * 0.00042 + column * 0.0185;
  const isEven = number % 2 === 0;
  return {
    id: idOf(number),
    labels: { street: `Street ${street + 1}`, cabinet: `CAB-${String(Math.floor((number - 1) / CABINET_LAMPS) + 1).padStart(4, '0')}`, phase: `L${(number % 3) + 1}` },
    profile: `led-${WATTS[street % WATTS.length]}`,
    latitude_e7: Math.round((PLACE.latitude - 0.09 + row * 0.0018 + (isEven ? 0.00008 : 0)) * 1e7),
    longitude_e7: Math.round((PLACE.longitude - 0.23 + along) * 1e7),
  };
}

/** What an export of this hub begins with, which has the versions that it takes. */
async function firstLineOfExport(city) {
  const exporting = spawn(city.program('hub'), ['export', '--offline', '--data-dir', city.data], { stdio: ['ignore', 'pipe', 'ignore'] });
  let text = '';
  for await (const piece of exporting.stdout) {
    text += piece;
    if (text.includes('\n')) break;
  }
  exporting.kill('SIGKILL');
  await new Promise((done) => (exporting.exitCode === null && exporting.signalCode === null ? exporting.once('exit', done) : done()));
  return text.slice(0, text.indexOf('\n'));
}

function writeValues(path, lamps, header) {
  const file = openSync(path, 'w', 0o600);
  const hash = createHash('sha256');
  let lines = 0;
  let waiting = '';
  const write = (text) => {
    hash.update(text);
    waiting += text;
    if (waiting.length > 1 << 20) {
      writeSync(file, waiting);
      waiting = '';
    }
    lines += 1;
  };
  write(`${header}\n`);
  const now = Date.now();
  let values = 0;
  const value = (number, suffix, type, payload, measured) => {
    values += 1;
    const channel = `devices.${idOf(number)}.${suffix}`;
    const bytes = message({ channel, payload, offset: values, time: measured, type });
    write(`${JSON.stringify({ table: 'value', key: `${channel}\0${type}`, base64: bytes.toString('base64') })}\n`);
  };
  for (let number = 1; number <= lamps; number += 1) {
    const measured = now - ((number * 7919) % 900_000);
    value(number, 'telemetry', TELEMETRY, telemetry(number), measured);
    if (number % FAULTY_ONE_IN === 0) value(number, 'faults', 'lighting.v1.FaultEvent', fault(number), measured);
  }
  writeSync(file, waiting);
  const end = { lines, records: { value: values }, sha256: hash.digest('hex') };
  writeSync(file, `${JSON.stringify({ end })}\n`);
  closeSync(file);
}

/** One sample at night: 70 %, and what goes with it. */
function telemetry(number) {
  const isDark = number % 997 === 0;
  const watts = WATTS[Math.floor((number - 1) / STREET_LAMPS) % WATTS.length] * 0.72 + (number % 13) / 10;
  const sample = Buffer.concat([
    varint(3, isDark ? STANDBY : ON), varint(4, PROGRAM), varint(5, 70), varint(6, isDark ? 0 : 70),
    float(7, 226 + (number % 90) / 10), float(8, watts / 225), float(9, isDark ? 0.4 : watts), float(10, 0.96),
    varint(12, 400_000 + number), varint(13, 9_000_000 + number), varint(14, 900), float(15, 38 + (number % 7)),
  ]);
  return bytes(2, sample);
}

/** An open fault: of the lamp, or of its voltage. */
function fault(number) {
  const [code, isActive, major] = [number % 3 === 0 ? 1 : 17, 1, 4];
  return Buffer.concat([varint(3, code), varint(4, isActive), varint(5, major), varint(6, number)]);
}

/** The hub's envelope of a value, as it is stored. */
function message({ channel, payload, offset, time, type }) {
  return Buffer.concat([
    bytes(1, Buffer.from(channel)), bytes(2, payload), varint(4, offset), varint(5, time), varint(6, 1), varint(7, 1),
    varint(8, time), bytes(9, Buffer.from(type)),
  ]);
}

function number(value) {
  const out = [];
  let rest = BigInt(value);
  while (rest > 127n) {
    out.push(Number(rest & 127n) | 128);
    rest >>= 7n;
  }
  return Buffer.from([...out, Number(rest)]);
}

const varint = (field, value) => Buffer.concat([number(field << 3), number(value)]);
const bytes = (field, value) => Buffer.concat([number((field << 3) | 2), number(value.length), value]);

function float(field, value) {
  const out = Buffer.alloc(4);
  out.writeFloatLE(value);
  return Buffer.concat([number((field << 3) | 5), out]);
}
