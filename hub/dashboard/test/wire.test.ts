import { expect, test } from 'vitest';
import { decoded } from '../src/live/wire';

const base64 = (...bytes: number[]) => btoa(String.fromCharCode(...bytes));
const letters = (word: string) => [...word].map((letter) => letter.charCodeAt(0));

test('a sample is read with what is absent left out, and 0 is not absent', () => {
  // state ON, reason PROGRAM, target 70, actual 0, power 43.2 W, an unknown field 99, then energy 300 Wh.
  const sample = [0x18, 3, 0x20, 2, 0x28, 70, 0x30, 0, 0x4d, 0xcd, 0xcc, 0x2c, 0x42, 0x98, 0x06, 5, 0x60, 0xac, 2];
  const payload = base64(0x0a, 2, 0x08, 1, 0x12, sample.length, ...sample);
  expect(decoded({ type: 'lighting.v1.TelemetryBatch', payload })).toEqual({
    samples: [{ state: 3, reason: 2, target_level_pct: 70, actual_level_pct: 0, active_power_w: 43.2, active_energy_wh: 300 }],
  });
});

test('a registration has its labels and its place, south and west of zero too', () => {
  const entry = (key: string, value: string) => [0x12, key.length + value.length + 4, 0x0a, key.length, ...letters(key), 0x12, value.length, ...letters(value)];
  const payload = base64(0x0a, 1, 65, ...entry('street', 'Elm'), ...entry('cabinet', 'C1'), 0x20, 3, 0x28, 4);
  expect(decoded({ type: 'lamplighter.v1.Registration', payload })).toEqual({
    device: 'A', labels: { street: 'Elm', cabinet: 'C1' }, latitude_e7: -2, longitude_e7: 2,
  });
});

test('numbers of 64 bits are exact as far as times go', () => {
  const payload = base64(0x08, 1, 0x10, 0x80, 0xd0, 0x95, 0xff, 0xbc, 0x31);
  expect(decoded({ type: 'lamplighter.v1.Presence', payload })).toEqual({ online: true, since_unix_ms: 1_700_000_000_000 });
});

test('bytes that are cut off, and types that are not read here, are nothing', () => {
  expect(decoded({ type: 'lamplighter.v1.Presence', payload: base64(0x10, 0x80) })).toBeUndefined();
  expect(decoded({ type: 'lighting.v1.TelemetryBatch', payload: base64(0x12, 9, 1) })).toBeUndefined();
  expect(decoded({ type: 'lighting.v1.FaultEvent', payload: '' })).toBeUndefined();
  expect(decoded({ type: 'lamplighter.v1.Presence', payload: undefined })).toEqual({});
});
