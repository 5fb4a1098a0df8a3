// The night of one lamp: level as steps and power, against the plan. What the hub kept, then what comes.

import { useEffect, useState } from 'preact/hooks';
import { fleet, nowMs } from '../live/connection';
import { fromCity, night, plannedLevel, switchPoints, toCity } from '../fleet/place';
import { api, offers } from '../session';
import { clock } from '../format';
import { Chart } from './chart';
import { Skeleton } from './empty';

interface Point {
  at: number;
  level: number | null;
  power: number | null;
}

/** A point that this page holds of a lamp which reports every 15 s over a night. */
const POINTS_MAX = 4_000;
/** ms that are shown at least, of the city's time. */
const SPAN_MIN_MS = 3_600_000;

export function LampChart({ id, row }: { id: string; row: number }) {
  const [points, set] = useState<Point[] | null>(null);
  useEffect(() => {
    set(null);
    past(id).then(set, () => set([]));
  }, [id]);
  const measured = fleet.get(row, 'measured');
  // Without the unknown as a number, which is never equal to itself.
  const [actual, power] = [finite(fleet.get(row, 'actual')), finite(fleet.get(row, 'power'))];
  useEffect(() => {
    if (!measured) return;
    set((before) => before && added(before, { at: measured, level: actual, power }));
  }, [measured, actual, power, points === null]);
  if (!points) return <Skeleton lines={4} />;
  const to = nowMs();
  const from = Math.min(points[0]?.at ?? to, fromCity(toCity(to) - SPAN_MIN_MS));
  const plan = planned(from, to);
  const times = [...new Set([...points.map(({ at }) => at), ...plan.map(({ at }) => at), to])].sort((one, other) => one - other);
  const byTime = new Map(points.map((point) => [point.at, point]));
  const lines = [
    ...(plan.length > 0 ? [{ label: 'Plan', colour: 'muted', scale: '%' as const, kind: 'plan' as const, unit: '%', values: held(times, plan) }] : []),
    { label: 'Level', colour: 'light', scale: '%' as const, kind: 'step' as const, unit: '%', values: carried(times, byTime, 'level') },
    { label: 'Power', colour: 'accent', scale: 'W' as const, kind: 'line' as const, unit: 'W', digits: 1, values: carried(times, byTime, 'power') },
  ];
  return <Chart times={times} lines={lines} height={220} from={from} to={to} timeText={(ms) => clock(toCity(ms))} label={`Level and power of ${id} over time`} />;
}

/** What the hub kept of it. */
async function past(id: string): Promise<Point[]> {
  const [kept, recent] = await Promise.all([series(id), history(id)]);
  const first = recent[0]?.at ?? Infinity;
  return [...kept.filter(({ at }) => at < first), ...recent];
}

/** Downsampled, 48 h, if this hub keeps it. */
async function series(id: string): Promise<Point[]> {
  if (!(await offers('/v1/devices/{id}/series'))) return [];
  try {
    const { points } = await api<{ points: { unix_ms: number; level_pct: number | null; power_w: number | null }[] }>(`/v1/devices/${id}/series`);
    return points.map(({ unix_ms, level_pct, power_w }) => ({ at: unix_ms, level: level_pct, power: power_w }));
  } catch {
    return [];
  }
}

/** The last few messages, as they were. */
async function history(id: string): Promise<Point[]> {
  const { messages } = await api(`/v1/channels/devices.${id}.telemetry/history`);
  return messages.map(({ measured_unix_ms, time_unix_ms, data }: any) => {
    const sample = data.samples?.at(-1) ?? {};
    return { at: measured_unix_ms || time_unix_ms, level: sample.actual_level_pct ?? null, power: sample.active_power_w ?? null };
  });
}

function added(points: Point[], point: Point): Point[] {
  const last = points.at(-1);
  if (last && point.at < last.at) return points;
  if (last && point.at === last.at) return [...points.slice(0, -1), point];
  return [...points.slice(-POINTS_MAX), point];
}

const finite = (value: number): number | null => (Number.isFinite(value) ? value : null);

/** The plan between two moments, in steps. */
function planned(from: number, to: number): { at: number; level: number }[] {
  const tonight = night.value;
  if (!tonight || plannedLevel(toCity(to), tonight) === null) return [];
  const moments = [tonight.sunset, tonight.sunrise, ...switchPoints(tonight).map(({ at }) => at)].map(fromCity);
  const inside = [from, ...moments.filter((at) => at > from && at < to), to].sort((one, other) => one - other);
  return inside.map((at) => ({ at, level: plannedLevel(toCity(at), tonight) ?? 0 }));
}

function held(times: number[], plan: { at: number; level: number }[]): number[] {
  return times.map((time) => plan.findLast(({ at }) => at <= time)?.level ?? 0);
}

/** Each moment's value, or the one before it: a level holds until it changes. */
function carried(times: number[], points: Map<number, Point>, name: 'level' | 'power'): (number | null)[] {
  let last: number | null = null;
  return times.map((time) => {
    const point = points.get(time);
    if (point) last = point[name];
    return last;
  });
}
