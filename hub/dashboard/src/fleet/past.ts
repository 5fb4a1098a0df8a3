// What the hub kept of the recent past: of one lamp, and of all of them together. Nothing is made up between
// two measurements: a gap stays one.

export interface Point {
  /** ms since 1970. */
  at: number;
  level: number | null;
  power: number | null;
}

export interface Kept {
  interval_ms: number;
  from_unix_ms: number;
  fields: { field: string; values: (number | null)[] }[];
}

export interface Sums {
  interval_ms: number;
  from_unix_ms: number;
  devices: number;
  sums: (number | null)[];
}

/** What all lamps drew, by slots. */
export interface Energy {
  /** Wh since the moment that was asked for. */
  wattHours: number;
  /** Lamps with a counter that reported since. */
  lamps: number;
  /** W in the mean of each slot that is over, at its middle. */
  load: { at: number; watts: number | null }[];
}

export function pointsOf({ interval_ms, from_unix_ms, fields }: Kept): Point[] {
  const valuesOf = (name: string) => fields.find(({ field }) => field === name)?.values ?? [];
  const [levels, powers] = [valuesOf('level'), valuesOf('power')];
  const points: Point[] = [];
  for (let slot = 0; slot < Math.max(levels.length, powers.length); slot += 1) {
    const [level, power] = [levels[slot] ?? null, powers[slot] ?? null];
    if (level === null && power === null) continue;
    // Somewhere in the slot; its middle is off by half of it at most.
    points.push({ at: from_unix_ms + (slot + 0.5) * interval_ms, level, power });
  }
  return points;
}

export function energyOf({ interval_ms, from_unix_ms, devices, sums }: Sums): Energy {
  const load = sums.slice(0, -1).map((wattHours, slot) => ({
    at: from_unix_ms + (slot + 0.5) * interval_ms,
    watts: wattHours === null ? null : (wattHours * 3_600_000) / interval_ms,
  }));
  return { wattHours: sums.reduce<number>((sum, wattHours) => sum + (wattHours ?? 0), 0), lamps: devices, load };
}

/**
 * Values at `times`, each held until the next one, but no longer than `holdMs`: after that nobody knows.
 * `points` ascend.
 */
export function held(times: number[], points: Point[], name: 'level' | 'power', holdMs: number): (number | null)[] {
  let next = 0;
  let last: Point | null = null;
  return times.map((time) => {
    while (next < points.length && points[next]!.at <= time) {
      last = points[next]!;
      next += 1;
    }
    return last && time - last.at <= holdMs ? last[name] : null;
  });
}

/** Moments just after which nothing is known any more: a point that no other follows in time. */
export function endings(points: Point[], holdMs: number): number[] {
  return points.filter(({ at }, index) => (points[index + 1]?.at ?? Infinity) - at > holdMs).map(({ at }) => at + holdMs + 1);
}
