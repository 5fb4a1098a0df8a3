// The numbers of `lighting.v1` and `lamplighter.v1` behind the words that stand in JSON.

export const LAMP_STATES = ['UNSPECIFIED', 'OFF', 'STANDBY', 'ON', 'FADING', 'WARMING_UP'] as const;

export const REASONS = [
  'UNSPECIFIED', 'DEFAULT', 'PROGRAM', 'OVERRIDE', 'SENSOR', 'LOCAL_OVERRIDE', 'FAILSAFE', 'COMMISSIONING',
] as const;

export const REASON = { default: 1, program: 2, override: 3, sensor: 4, local: 5, failsafe: 6, commissioning: 7 } as const;

export const SEVERITIES = ['UNSPECIFIED', 'INFO', 'WARNING', 'MINOR', 'MAJOR', 'CRITICAL'] as const;

export const COMMAND_STATES = [
  'UNSPECIFIED', 'ACCEPTED', 'SENT', 'DELIVERED', 'RUNNING',
  'SUCCEEDED', 'FAILED', 'REJECTED', 'EXPIRED', 'CANCELED', 'SUPERSEDED', 'UNKNOWN',
] as const;

export type CommandState = (typeof COMMAND_STATES)[number];

/** From here on a command has ended. */
export const FIRST_TERMINAL = 5;

/** The number of `LAMP_STATE_ON` in its list; 0 for what a later schema adds. A number is one already. */
export function numberOf(list: readonly string[], prefix: string, word: unknown): number {
  if (typeof word === 'number') return word < list.length ? word : 0;
  if (typeof word !== 'string') return 0;
  return Math.max(0, list.indexOf(word.startsWith(prefix) ? word.slice(prefix.length) : word));
}
