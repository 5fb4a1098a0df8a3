// The load of the city over time: what the hub kept, then what this page saw.

import { useEffect, useState } from 'preact/hooks';
import { lazy } from './lazy';
import { nowMs } from '../live/connection';

const Chart = lazy(() => import('./chart'));

const EVERY_MS = 5_000;
/** Two hours of this page's own points. */
const POINTS_MAX = 1_440;
const seen: { at: number; watts: number }[] = [];

export function LoadCurve({ watts }: { watts: number }) {
  const [, again] = useState(0);
  useEffect(() => {
    const last = seen.at(-1);
    if (last && nowMs() - last.at < EVERY_MS) return;
    seen.push({ at: nowMs(), watts });
    if (seen.length > POINTS_MAX) seen.shift();
    again((n) => n + 1);
  }, [watts, Math.floor(nowMs() / EVERY_MS)]);
  const times = seen.map(({ at }) => at);
  const lines = [{ label: 'Load', colour: 'light', scale: 'W' as const, kind: 'area' as const, unit: 'W', values: seen.map(({ watts: each }) => each) }];
  const to = nowMs();
  return <Chart times={times} lines={lines} height={190} from={Math.min(times[0] ?? to, to - 600_000)} to={to} label="Connected load over time" />;
}
