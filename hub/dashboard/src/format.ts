// Numbers and times as engineers write them: units always, decimals where they mean something, the zone with
// every time. The words follow the browser's language for dates and digits.

import { signal } from '@preact/signals';

/** The city's own zone, if the hub tells it; else that of the browser. */
export const zone = signal<string | undefined>(undefined);

const DASH = '–';
const plain = new Intl.NumberFormat();
const formats = new Map<string, Intl.NumberFormat>();

function decimals(value: number, digits: number): string {
  const key = String(digits);
  let format = formats.get(key);
  if (!format) formats.set(key, (format = new Intl.NumberFormat(undefined, { minimumFractionDigits: digits, maximumFractionDigits: digits })));
  return format.format(value);
}

const known = (value: number | null | undefined): value is number => value !== null && value !== undefined && Number.isFinite(value);

export const count = (value: number): string => (known(value) ? plain.format(value) : DASH);
export const number = (value: number, digits: number): string => (known(value) ? decimals(value, digits) : DASH);
export const level = (value: number): string => (known(value) ? `${Math.round(value)} %` : DASH);
export const percent = (share: number, digits = 1): string => (known(share) ? `${decimals(share * 100, digits)} %` : DASH);
export const watts = (value: number): string => (known(value) ? (value < 10 ? `${decimals(value, 1)} W` : `${decimals(value, 0)} W`) : DASH);
export const volts = (value: number): string => (known(value) ? `${decimals(value, 0)} V` : DASH);
export const factor = (value: number): string => (known(value) ? decimals(value, 2) : DASH);
export const celsius = (value: number): string => (known(value) ? `${decimals(value, 0)} °C` : DASH);
export const hours = (seconds: number): string => (known(seconds) ? `${plain.format(Math.round(seconds / 3600))} h` : DASH);

export function amperes(value: number): string {
  if (!known(value)) return DASH;
  return value < 1 ? `${decimals(value * 1000, 0)} mA` : `${decimals(value, 2)} A`;
}

/** W, kW or MW with its unit apart, so that it can be set smaller. */
export function load(value: number): [string, string] {
  if (!known(value)) return [DASH, 'kW'];
  if (value < 1000) return [decimals(value, 0), 'W'];
  if (value < 1e6) return [decimals(value / 1e3, value < 1e4 ? 2 : 1), 'kW'];
  return [decimals(value / 1e6, 2), 'MW'];
}

/** Wh, kWh or MWh with its unit apart. */
export function energyParts(wattHours: number): [string, string] {
  if (!known(wattHours)) return [DASH, 'kWh'];
  if (wattHours < 1e3) return [decimals(wattHours, 0), 'Wh'];
  if (wattHours < 1e6) return [decimals(wattHours / 1e3, 1), 'kWh'];
  return [decimals(wattHours / 1e6, 2), 'MWh'];
}

export const energy = (wattHours: number): string => (known(wattHours) ? energyParts(wattHours).join(' ') : DASH);

/** How long ago, as short as can be: `3 s`, `12 min`, `5 h`, `3 d`. */
export function span(ms: number): string {
  if (!known(ms)) return DASH;
  const seconds = Math.max(0, ms) / 1000;
  if (seconds < 90) return `${Math.floor(seconds)} s`;
  if (seconds < 5400) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172_800) return `${decimals(seconds / 3600, seconds < 36_000 ? 1 : 0)} h`;
  return `${Math.floor(seconds / 86_400)} d`;
}

export const age = (then: number, now: number): string => (then ? span(now - then) : 'never');

function timeFormat(options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  return new Intl.DateTimeFormat(undefined, { ...options, hourCycle: 'h23', ...(zone.value ? { timeZone: zone.value } : {}) });
}

/** `21:40`, or with seconds; in the city's zone. */
export function clock(ms: number, withSeconds = false): string {
  if (!known(ms) || ms === 0) return DASH;
  return timeFormat({ hour: '2-digit', minute: '2-digit', ...(withSeconds ? { second: '2-digit' } : {}) }).format(ms);
}

/** `Sat, 21 Nov, 21:40`. */
export function dateTime(ms: number): string {
  if (!known(ms) || ms === 0) return DASH;
  return timeFormat({ weekday: 'short', day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit' }).format(ms);
}

/** `CET`, or `GMT+1` where the zone has no name. */
export function zoneName(ms: number): string {
  const parts = timeFormat({ hour: '2-digit', timeZoneName: 'short' }).formatToParts(ms);
  return parts.find(({ type }) => type === 'timeZoneName')?.value ?? '';
}

/** `in 00:23`, hours and minutes. */
export function countdown(ms: number): string {
  const minutes = Math.max(0, Math.round(ms / 60_000));
  return `${String(Math.floor(minutes / 60)).padStart(2, '0')}:${String(minutes % 60).padStart(2, '0')}`;
}

export const plural = (n: number, one: string, many = `${one}s`): string => `${count(n)} ${n === 1 ? one : many}`;
