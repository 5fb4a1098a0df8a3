// The night over a city: noon to noon, so that it is never cut at midnight.

import { getPosition, getTimes } from 'suncalc';

export type Phase = 'day' | 'dusk' | 'night' | 'dawn';

export interface Night {
  /** ms since 1970, all of them. Noon by the sun, when this night's day begins. */
  noon: number;
  nextNoon: number;
  /** NaN where the sun does not set or not rise. */
  sunset: number;
  civilDusk: number;
  civilDawn: number;
  sunrise: number;
}

const DAY_MS = 86_400_000;

/** The night around a moment at a place: that of the last noon. */
export function nightAt(now: number, latitude: number, longitude: number): Night {
  const noonOf = (at: number) => Math.floor((at + (longitude / 360) * DAY_MS - DAY_MS / 2) / DAY_MS) * DAY_MS + DAY_MS / 2 - (longitude / 360) * DAY_MS;
  const noon = noonOf(now);
  const evening = getTimes(new Date(noon), latitude, longitude);
  const morning = getTimes(new Date(noon + DAY_MS), latitude, longitude);
  return {
    noon,
    nextNoon: noon + DAY_MS,
    sunset: ms(evening.sunset),
    civilDusk: ms(evening.dusk),
    civilDawn: ms(morning.dawn),
    sunrise: ms(morning.sunrise),
  };
}

export function phaseAt(now: number, night: Night, latitude: number, longitude: number): Phase {
  if (Number.isNaN(night.sunset) || Number.isNaN(night.sunrise)) {
    return elevation(now, latitude, longitude) < -0.833 ? 'night' : 'day';
  }
  if (now < night.sunset || now >= night.sunrise) return 'day';
  if (now < night.civilDusk) return 'dusk';
  if (now >= night.civilDawn) return 'dawn';
  return 'night';
}

/** Degrees of the sun's centre above the horizon. */
export function elevation(now: number, latitude: number, longitude: number): number {
  const { altitude } = getPosition(new Date(now), latitude, longitude);
  return altitude;
}

function ms(date: Date | undefined | null): number {
  return date ? date.getTime() : NaN;
}
