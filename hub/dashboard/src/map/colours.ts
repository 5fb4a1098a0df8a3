// What the map's points are coloured by: light by default, else one measure on one scale.

import { fleet, nowMs } from '../live/connection';
import { ONLINE } from '../live/messages';
import { type Health, healthOf, lightOf, periodOf } from '../fleet/state';
import { celsius, span, volts, watts } from '../format';

export type Rgba = [number, number, number, number];

export interface Layer {
  key: string;
  name: string;
  colour: (row: number) => Rgba;
  legend: () => { colour: Rgba; text: string }[];
}

export interface Palette {
  unlit: Rgba;
  unknown: Rgba;
  lit: [number, number, number];
  road: Rgba;
  roadName: Rgba;
  cabinet: Rgba;
  chosen: Rgba;
  override: Rgba;
  text: Rgba;
  health: Record<Health, Rgba>;
}

const DARK: Palette = {
  unlit: [70, 82, 98, 255], unknown: [120, 132, 150, 150], lit: [255, 201, 77], road: [38, 46, 57, 255], roadName: [134, 147, 166, 255],
  cabinet: [90, 169, 255, 90], chosen: [255, 255, 255, 255], override: [90, 169, 255, 255], text: [230, 235, 242, 255],
  health: {
    safety: [255, 107, 94, 255], dark: [255, 107, 94, 255], silent: [160, 172, 190, 255], dayburner: [201, 139, 255, 255],
    warning: [255, 173, 51, 255], unknown: [120, 132, 150, 255], ok: [63, 191, 127, 255],
  },
};

const LIGHT: Palette = {
  ...DARK,
  unlit: [150, 160, 175, 255], unknown: [150, 160, 175, 160], lit: [224, 150, 0], road: [213, 219, 228, 255], roadName: [84, 96, 112, 255],
  cabinet: [20, 95, 190, 90], chosen: [16, 21, 28, 255], override: [20, 95, 190, 255], text: [24, 32, 43, 255],
  health: {
    safety: [196, 32, 22, 255], dark: [196, 32, 22, 255], silent: [82, 96, 112, 255], dayburner: [126, 48, 190, 255],
    warning: [178, 98, 0, 255], unknown: [120, 132, 150, 255], ok: [18, 122, 72, 255],
  },
};

export const paletteOf = (theme: string): Palette => (theme === 'light' ? LIGHT : DARK);

/** Viridis at five places (Smith, van der Walt 2015): even for the eye, also without colours. */
const SCALE: Rgba[] = [[72, 40, 120, 255], [49, 104, 142, 255], [31, 158, 137, 255], [109, 205, 89, 255], [253, 231, 37, 255]];

function onScale(share: number): Rgba {
  const at = Math.min(0.9999, Math.max(0, share)) * (SCALE.length - 1);
  const [low, high] = [SCALE[Math.floor(at)]!, SCALE[Math.floor(at) + 1]!];
  const part = at - Math.floor(at);
  return low.map((value, index) => Math.round(value + (high[index]! - value) * part)) as Rgba;
}

export function layersOf(palette: Palette): Layer[] {
  return [
    {
      key: 'light', name: 'Light', colour: (row) => lightColour(row, palette),
      legend: () => [
        { colour: [...palette.lit, 255], text: 'lit, brighter is higher' }, { colour: palette.unlit, text: 'off or standby' }, { colour: palette.unknown, text: 'never heard' },
      ],
    },
    {
      key: 'health', name: 'Health', colour: (row) => palette.health[healthOf(fleet, row)],
      legend: () => [{ colour: palette.health.ok, text: 'in order' }, { colour: palette.health.warning, text: 'warning' }, { colour: palette.health.dark, text: 'dark or danger' }, { colour: palette.health.silent, text: 'silent' }],
    },
    measure('power', 'Power', 0, 140, watts, palette),
    measure('voltage', 'Voltage', 207, 253, volts, palette),
    measure('driverTemperature', 'Driver temperature', -10, 80, celsius, palette),
    {
      key: 'age', name: 'Age of data',
      colour: (row) => {
        const at = fleet.get(row, 'measured');
        return at ? onScale(1 - (nowMs() - at) / (3 * periodOf(fleet))) : palette.unknown;
      },
      legend: () => [1, 0.5, 0].map((share) => ({ colour: onScale(share), text: span((1 - share) * 3 * periodOf(fleet)) })),
    },
    {
      key: 'online', name: 'Connection',
      colour: (row) => {
        const online = fleet.get(row, 'online');
        return online === ONLINE.yes ? palette.health.ok : online === ONLINE.no ? palette.health.dark : palette.unknown;
      },
      legend: () => [{ colour: palette.health.ok, text: 'online' }, { colour: palette.health.dark, text: 'offline' }, { colour: palette.unknown, text: 'unknown' }],
    },
  ];
}

function measure(key: 'power' | 'voltage' | 'driverTemperature', name: string, low: number, high: number, text: (value: number) => string, palette: Palette): Layer {
  return {
    key, name,
    colour: (row) => {
      const value = fleet.get(row, key);
      return Number.isNaN(value) ? palette.unknown : onScale((value - low) / (high - low));
    },
    legend: () => [0, 0.5, 1].map((share) => ({ colour: onScale(share), text: text(low + share * (high - low)) })),
  };
}

function lightColour(row: number, { lit, unlit, unknown }: Palette): Rgba {
  switch (lightOf(fleet, row)) {
    case 'on': case 'fading': {
      const share = 0.35 + 0.65 * Math.min(1, fleet.get(row, 'actual') / 100);
      return [...lit, Math.round(255 * share)] as Rgba;
    }
    case 'off': case 'standby': return unlit;
    case 'unknown': return unknown;
  }
}
