// The night of one lamp: level as steps and power, against the plan. What the hub kept, then what comes.

import { useEffect, useState } from 'preact/hooks';
import { fleet, nowMs } from '../live/connection';
import { lampPast } from '../live/past';
import { type Point, endings, held } from '../fleet/past';
import { centre, fromCity, plannedLevel, switchPoints, toCity } from '../fleet/place';
import { periodOf } from '../fleet/state';
import { type Night, nightAt } from '../fleet/sun';
import { api } from '../session';
import { clock } from '../format';
import { Chart } from './chart';
import { Skeleton } from './empty';

/** A point that this page holds of a lamp which reports every 15 s over a night. */
const POINTS_MAX = 4_000;
/** ms that are shown at least, of the city's time. */
const SPAN_MIN_MS = 3_600_000;
/** ms that are shown at most, of the hub's. */
const SPAN_MAX_MS = 86_400_000;
/** Nights that a chart goes through at most: a simulation may run many in a day. */
const NIGHTS_MAX = 40;

export function LampChart({ id, row }: { id: string; row: number }) {
  const [points, set] = useState<Point[] | null>(null);
  const [slotMs, setSlot] = useState(0);
  useEffect(() => {
    set(null);
    past(id).then(({ points, slotMs }) => {
      setSlot(slotMs);
      set(points);
    }, () => set([]));
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
  const shown = points.filter(({ at }) => at >= to - SPAN_MAX_MS);
  const from = Math.min(shown[0]?.at ?? to, fromCity(toCity(to) - SPAN_MIN_MS));
  const plan = planned(from, to);
  const hold = Math.max(2 * periodOf(fleet), slotMs);
  const moments = [...shown.map(({ at }) => at), ...endings(shown, hold).filter((at) => at < to), ...plan.map(({ at }) => at), to];
  const times = [...new Set(moments)].sort((one, other) => one - other);
  const lines = [
    ...(plan.length > 0 ? [{ label: 'Plan', colour: 'muted', scale: '%' as const, kind: 'plan' as const, unit: '%', values: steps(times, plan) }] : []),
    { label: 'Level', colour: 'light', scale: '%' as const, kind: 'step' as const, unit: '%', values: held(times, shown, 'level', hold) },
    { label: 'Power', colour: 'accent', scale: 'W' as const, kind: 'line' as const, unit: 'W', digits: 1, values: held(times, shown, 'power', hold) },
  ];
  return <Chart times={times} lines={lines} height={220} from={from} to={to} timeText={(ms) => clock(toCity(ms))} label={`Level and power of ${id} over time`} />;
}

/** What the hub kept of it: slots of a day, and the last few messages as they were. */
async function past(id: string): Promise<{ points: Point[]; slotMs: number }> {
  const [kept, recent] = await Promise.all([lampPast(id, nowMs() - SPAN_MAX_MS), history(id)]);
  const first = recent[0]?.at ?? Infinity;
  // A slot's value is its last: of a slot that the messages reach into, they say more, and when.
  const isBefore = ({ at }: Point) => at + kept.slotMs / 2 <= Math.min(first, nowMs());
  return { points: [...kept.points.filter(isBefore), ...recent], slotMs: kept.slotMs };
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

/** The plan between two moments, in steps, night by night. */
function planned(from: number, to: number): { at: number; level: number }[] {
  const place = centre.value;
  if (!place) return [];
  const plan: { at: number; level: number }[] = [];
  const put = (cityMs: number, night: Night) => {
    const level = plannedLevel(cityMs, night);
    if (level !== null) plan.push({ at: fromCity(cityMs), level });
  };
  const [first, last] = [toCity(from), toCity(to)];
  let night = nightAt(first, place.latitude, place.longitude);
  put(first, night);
  for (let nights = 0; nights < NIGHTS_MAX && night.noon < last; nights += 1) {
    const moments = [night.sunset, ...switchPoints(night).map(({ at }) => at), night.sunrise];
    for (const at of moments) if (at > first && at < last) put(at, night);
    night = nightAt(night.nextNoon + 3_600_000, place.latitude, place.longitude);
  }
  return plan;
}

function steps(times: number[], plan: { at: number; level: number }[]): number[] {
  return times.map((time) => plan.findLast(({ at }) => at <= time)?.level ?? 0);
}
