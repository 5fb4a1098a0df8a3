// Where the city is, what time it is there, and what the sun does.

import { computed } from '@preact/signals';
import { about, fleet, now } from '../live/connection';
import { type Night, type Phase, nightAt, phaseAt } from './sun';


export { about };

/** The middle of all lamps that have a place. */
export const centre = computed<{ latitude: number; longitude: number } | null>(() => {
  fleet.shape.value;
  const [latitudes, longitudes] = [fleet.column('latitude'), fleet.column('longitude')];
  let [latitude, longitude, placed] = [0, 0, 0];
  for (const row of fleet.each()) {
    if (Number.isNaN(latitudes[row]!)) continue;
    latitude += latitudes[row]!;
    longitude += longitudes[row]!;
    placed += 1;
  }
  return placed === 0 ? null : { latitude: latitude / placed, longitude: longitude / placed };
});

/** The city's time: that of the hub, or that of a simulation. ms since 1970. */
export const cityNow = computed(() => toCity(now.value));

export function toCity(unixMs: number): number {
  const { clock } = about.value;
  return clock ? clock.city_unix_ms + (unixMs - clock.unix_ms) * clock.speed : unixMs;
}

/** When the hub's clock shows a moment of the city's. */
export function fromCity(cityMs: number): number {
  const { clock } = about.value;
  return clock ? clock.unix_ms + (cityMs - clock.city_unix_ms) / clock.speed : cityMs;
}

const minute = computed(() => Math.floor(cityNow.value / 60_000) * 60_000);

export const night = computed<Night | null>(() => {
  const at = centre.value;
  return at && nightAt(minute.value, at.latitude, at.longitude);
});

export const phase = computed<Phase | null>(() => {
  const at = centre.value;
  return at && night.value && phaseAt(cityNow.value, night.value, at.latitude, at.longitude);
});

/** The next event of the sun: what, and when. */
export const nextEvent = computed<{ name: string; at: number } | null>(() => {
  const tonight = night.value;
  if (!tonight) return null;
  const events = [
    { name: 'Sunset', at: tonight.sunset },
    { name: 'Night', at: tonight.civilDusk },
    { name: 'Dawn', at: tonight.civilDawn },
    { name: 'Sunrise', at: tonight.sunrise },
  ];
  return events.find(({ at }) => at > cityNow.value) ?? null;
});

/** The planned level at a moment of the city's time, in %; null if nobody told the program. */
export function plannedLevel(cityMs: number, of: Night): number | null {
  const { program } = about.value;
  if (!program || Number.isNaN(of.sunset)) return null;
  if (cityMs < of.sunset || cityMs >= of.sunrise) return 0;
  let level = program.first_level_pct;
  for (const { at, level_pct } of switchPoints(of)) if (at <= cityMs) level = level_pct;
  return level;
}

/** The switch points of this night, as moments. */
export function switchPoints(of: Night): { at: number; level_pct: number }[] {
  const points = about.value.program?.points ?? [];
  return points
    .map(({ local_s, level_pct }) => ({ at: momentOf(of, local_s), level_pct }))
    .filter(({ at }) => at > of.sunset && at < of.sunrise)
    .sort((one, other) => one.at - other.at);
}

/** The moment within a night at which the city's wall clock shows so many s after midnight. */
function momentOf(of: Night, localS: number): number {
  const offsetMs = zoneOffset(of.noon);
  const midnight = Math.floor((of.noon + offsetMs) / 86_400_000) * 86_400_000 - offsetMs;
  const at = midnight + localS * 1000;
  return at >= of.noon ? at : at + 86_400_000;
}

/** ms by which the city's wall clock is ahead of UTC at a moment. */
function zoneOffset(at: number): number {
  const timeZone = about.value.time_zone;
  const format = new Intl.DateTimeFormat('en-GB', {
    hourCycle: 'h23', year: 'numeric', month: 'numeric', day: 'numeric', hour: 'numeric', minute: 'numeric', second: 'numeric',
    ...(timeZone ? { timeZone } : {}),
  });
  const parts = Object.fromEntries(format.formatToParts(at).map(({ type, value }) => [type, Number(value)]));
  const { year = 1970, month = 1, day = 1, hour = 0, minute: minutes = 0, second = 0 } = parts;
  return Date.UTC(year, month - 1, day, hour, minutes, second) - Math.floor(at / 1000) * 1000;
}
