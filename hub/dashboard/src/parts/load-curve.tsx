// The load of the city over time, as this page saw it.

import { effect, signal } from '@preact/signals';
import { lazy } from './lazy';
import { fleet, now, nowMs } from '../live/connection';
import { figuresOf } from '../fleet/figures';
import { toCity } from '../fleet/place';
import { clock } from '../format';

const Chart = lazy(() => import('./chart'));

const EVERY_MS = 5_000;
/** Four hours of this page's own points. */
const POINTS_MAX = 2_880;
const SPAN_MIN_MS = 120_000;

/** What the page saw since it was opened, whichever view was shown. */
const seen = signal<{ at: number; watts: number }[]>([]);

effect(() => {
  const at = now.value;
  const last = seen.peek().at(-1);
  if (fleet.size === 0 || (last && at - last.at < EVERY_MS)) return;
  seen.value = [...seen.peek().slice(-POINTS_MAX), { at, watts: figuresOf(fleet, at).loadW }];
});

export function LoadCurve() {
  const points = seen.value;
  const times = points.map(({ at }) => at);
  const lines = [{ label: 'Load', colour: 'light', scale: 'W' as const, kind: 'area' as const, unit: 'W', values: points.map(({ watts }) => watts) }];
  const to = times.at(-1) ?? nowMs();
  return (
    <>
      <Chart times={times} lines={lines} height={190} from={Math.min(times[0] ?? to, to - SPAN_MIN_MS)} to={to} timeText={(ms) => clock(toCity(ms))} label="Connected load over time" />
      <p class="fine">As this page saw it, since {clock(toCity(times[0] ?? to))}.</p>
    </>
  );
}
