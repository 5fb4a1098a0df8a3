import { expect, test } from 'vitest';
import { nightAt, phaseAt } from '../src/fleet/sun';

const minutes = (ms: number) => Math.round(ms / 60_000);
const [latitude, longitude] = [52.52, 13.405];

// Berlin, 21 November 2025, by the almanac: sunset 15:06, civil dusk 15:45 UTC.
test('sun times agree with the almanac within two minutes', () => {
  const night = nightAt(Date.UTC(2025, 10, 21, 18), latitude, longitude);
  expect(Math.abs(minutes(night.sunset) - minutes(Date.UTC(2025, 10, 21, 15, 6)))).toBeLessThanOrEqual(2);
  expect(Math.abs(minutes(night.civilDusk) - minutes(Date.UTC(2025, 10, 21, 15, 45)))).toBeLessThanOrEqual(2);
});

test('a night runs from noon to noon, on both sides of midnight and of the date line', () => {
  for (const east of [-179, -70, 0, 13, 120, 179]) {
    for (let hour = 0; hour < 48; hour += 1) {
      const now = Date.UTC(2026, 2, 1, hour);
      const night = nightAt(now, 45, east);
      expect(night.noon).toBeLessThanOrEqual(now);
      expect(night.nextNoon).toBeGreaterThan(now);
      expect(night.sunset).toBeGreaterThan(night.noon);
      expect(night.sunrise).toBeLessThan(night.nextNoon);
      expect(night.sunset).toBeLessThan(night.sunrise);
    }
  }
});

test('the phases follow each other', () => {
  const start = Date.UTC(2025, 10, 21, 12);
  const seen: string[] = [];
  for (let at = start; at < start + 86_400_000; at += 300_000) {
    const phase = phaseAt(at, nightAt(at, latitude, longitude), latitude, longitude);
    if (seen.at(-1) !== phase) seen.push(phase);
  }
  expect(seen).toEqual(['day', 'dusk', 'night', 'dawn', 'day']);
});

test('where the sun does not set it is day, where it does not rise it is night', () => {
  const phase = (month: number) => phaseAt(Date.UTC(2026, month, 21, 12), nightAt(Date.UTC(2026, month, 21, 12), 78, 15), 78, 15);
  expect(phase(5)).toBe('day');
  expect(phase(11)).toBe('night');
});
