// What one can ask of a lamp: the words for people, and the message for the device.

import { fromCity, night } from '../fleet/place';
import { nowMs } from '../live/connection';
import { clock, level as levelText } from '../format';

export type ActionName = 'dim' | 'off' | 'resume' | 'identify' | 'read' | 'reboot';

export interface Action {
  name: ActionName;
  /** %, with `dim`. */
  level?: number;
  /** When the override ends; see `UNTILS`. */
  until?: UntilName;
}

export type UntilName = 'half-hour' | 'two-hours' | 'eight-hours' | 'sunrise';

export const UNTILS: { name: UntilName; word: string }[] = [
  { name: 'half-hour', word: 'for 30 minutes' },
  { name: 'two-hours', word: 'for 2 hours' },
  { name: 'eight-hours', word: 'for 8 hours' },
  { name: 'sunrise', word: 'until sunrise' },
];

const HOUR_MS = 3_600_000;
const SPANS: Record<Exclude<UntilName, 'sunrise'>, number> = { 'half-hour': HOUR_MS / 2, 'two-hours': 2 * HOUR_MS, 'eight-hours': 8 * HOUR_MS };

/** ms since 1970 at which an override ends, by the hub's clock. */
export function endOf(until: UntilName): number {
  if (until !== 'sunrise') return Math.round(nowMs() + SPANS[until]);
  const sunrise = night.value?.sunrise;
  return Math.round(sunrise && !Number.isNaN(sunrise) ? fromCity(sunrise) : nowMs() + SPANS['eight-hours']);
}

/** `lighting.v1.Command` as JSON. */
export function messageOf({ name, level = 100, until = 'two-hours' }: Action): unknown {
  switch (name) {
    case 'dim': return { override: { level_pct: level, expires_unix_ms: String(endOf(until)) } };
    case 'off': return { override: { level_pct: 0, expires_unix_ms: String(endOf(until)) } };
    case 'resume': return { resume: {} };
    case 'identify': return { identify: { duration_s: 30 } };
    case 'read': return { read_now: {} };
    case 'reboot': return { reboot: { confirm: true } };
  }
}

/** What it is called, as an order. */
export function actionTitle({ name, level = 100, until = 'two-hours' }: Action): string {
  const end = `until ${clock(endOf(until))}`;
  switch (name) {
    case 'dim': return `Dim to ${levelText(level)} ${end}`;
    case 'off': return `Switch off ${end}`;
    case 'resume': return 'Back to the program';
    case 'identify': return 'Blink for 30 s';
    case 'read': return 'Read now';
    case 'reboot': return 'Restart the controller';
  }
}

/** Of this, people are asked once more even for one lamp; of the others, for many. */
export function isDangerous({ name }: Action, lamps: number): boolean {
  return name === 'reboot' || (name === 'off' && lamps > 1);
}

/** Overrides of one lamp replace each other while they wait. */
export function supersedeKey({ name }: Action): string | undefined {
  return name === 'dim' || name === 'off' || name === 'resume' ? 'override' : undefined;
}

/** s that the order may wait for a lamp that is away. */
export function ttlOf({ name }: Action): number {
  return name === 'identify' || name === 'read' ? 30 : 600;
}

/** What a command's message asks for, for lists. */
export function describe(data: any): string {
  if (!data || typeof data !== 'object') return 'Command';
  if (data.override) {
    const { level_pct: level = 0, expires_unix_ms: end } = data.override;
    const asked = level === 0 ? 'Off' : `Dim to ${levelText(level)}`;
    return end && end !== '0' ? `${asked} until ${clock(Number(end))}` : asked;
  }
  if (data.resume) return 'Back to the program';
  if (data.identify) return 'Blink';
  if (data.read_now) return 'Read now';
  if (data.reboot) return 'Restart';
  const [kind] = Object.keys(data).filter((key) => typeof data[key] === 'object');
  return kind ? kind.replaceAll('_', ' ').replace(/^./, (first) => first.toUpperCase()) : 'Command';
}
