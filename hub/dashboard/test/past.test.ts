import { expect, test } from 'vitest';
import { endings, energyOf, held, pointsOf } from '../src/fleet/past';

const SLOT = 300_000;

test('slots in which nobody measured are left out, and off is not unknown', () => {
  const fields = [{ field: 'level', values: [70, null, null, 0] }, { field: 'power', values: [43.2, null, null, null] }];
  expect(pointsOf({ interval_ms: SLOT, from_unix_ms: 0, fields })).toEqual([
    { at: SLOT / 2, level: 70, power: 43.2 },
    { at: 3.5 * SLOT, level: 0, power: null },
  ]);
});

test('a value holds until the next one, and not beyond what it can be known for', () => {
  const points = [{ at: 0, level: 70, power: 43 }, { at: 10, level: 50, power: null }, { at: 100, level: 0, power: 1 }];
  expect(endings(points, 20)).toEqual([31, 121]);
  const times = [0, 5, 10, 30, 31, 100, 121];
  expect(held(times, points, 'level', 20)).toEqual([70, 70, 50, 50, null, 0, null]);
  expect(held(times, points, 'power', 20)).toEqual([43, 43, null, null, null, 1, null]);
});

test('energy is the sum of all slots, load the mean of those that are over', () => {
  const { wattHours, lamps, load } = energyOf({ interval_ms: SLOT, from_unix_ms: 0, devices: 3, sums: [10, null, 20] });
  expect([wattHours, lamps]).toEqual([30, 3]);
  expect(load).toEqual([{ at: SLOT / 2, watts: 120 }, { at: 1.5 * SLOT, watts: null }]);
});
