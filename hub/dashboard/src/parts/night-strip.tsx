// One night as a strip, noon to noon: light of the sky, sun times, the plan, and now.

import { about, cityNow, plannedLevel, switchPoints } from '../fleet/place';
import type { Night } from '../fleet/sun';
import { clock } from '../format';

const WIDTH = 1000;
const HEIGHT = 56;

export function NightStrip({ night }: { night: Night }) {
  const x = (at: number) => ((at - night.noon) / (night.nextNoon - night.noon)) * WIDTH;
  const marks = [
    { at: night.sunset, name: 'Sunset' },
    { at: night.sunrise, name: 'Sunrise' },
  ].filter(({ at }) => !Number.isNaN(at));
  const plan = planPath(night, x);
  const label = `The night from noon to noon. ${marks.map(({ name, at }) => `${name} ${clock(at)}`).join(', ')}. Now ${clock(cityNow.value)}.`;
  return (
    <div class="night-strip" role="img" aria-label={label}>
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
        <rect class="sky-day" width={WIDTH} height={HEIGHT} />
        {marks.length === 2 && (
          <>
            <rect class="sky-dusk" x={x(night.sunset)} width={Math.max(0, x(night.sunrise) - x(night.sunset))} height={HEIGHT} />
            <rect class="sky-night" x={x(night.civilDusk)} width={Math.max(0, x(night.civilDawn) - x(night.civilDusk))} height={HEIGHT} />
          </>
        )}
        {plan && <path class="plan" d={plan} />}
        <path class="now" d={`M${x(cityNow.value)} 0V${HEIGHT}`} />
      </svg>
      {marks.map(({ at, name }) => (
        <span key={name} class="mark" style={{ left: `${x(at) / 10}%` }}>{name === 'Sunset' ? '↓' : '↑'} {clock(at)}</span>
      ))}
      <span class="mark now" style={{ left: `${x(cityNow.value) / 10}%` }}>{clock(cityNow.value)}</span>
    </div>
  );
}

/** The planned level as steps, if the program is known. */
function planPath(night: Night, x: (at: number) => number): string | null {
  const { program } = about.value;
  if (!program || Number.isNaN(night.sunset)) return null;
  const y = (level: number) => HEIGHT - 4 - (level / 100) * (HEIGHT - 16);
  const points = [{ at: night.sunset, level_pct: program.first_level_pct }, ...switchPoints(night)];
  let path = `M0 ${y(0)}H${x(night.sunset)}`;
  for (const { at, level_pct } of points) path += `H${x(at)}V${y(level_pct)}`;
  const last = plannedLevel(night.sunrise - 1, night) ?? 0;
  return `${path}H${x(night.sunrise)}V${y(last)}V${y(0)}H${WIDTH}`;
}
