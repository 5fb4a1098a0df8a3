// Sends orders: to one lamp as a command, to several as one fleet command, whose list the hub freezes.

import { signal } from '@preact/signals';
import { api } from '../session';
import { type Action, messageOf, supersedeKey, ttlOf } from './actions';

export type Target = { lamps: string[] } | { where: string };

export interface DryRun {
  targets: number;
  reached_now: number;
  offline: number;
  forbidden: number;
  unknown: number;
}

/** What this page sent, so that a view can follow it: a command's or a fleet command's id. */
export const lastSent = signal<{ id: string; isFleet: boolean } | null>(null);

/** Counts whom an order would reach, by the hub's own walk over the devices. */
export async function dryRun(target: Target, action: Action): Promise<DryRun> {
  return api('/v1/fleet-commands', { method: 'POST', body: { ...whom(target), data: messageOf(action), ttl_s: ttlOf(action), dry_run: true } });
}

/** Sends it; resolves once the hub has it on disk. `confirm` is the number of lamps that was shown. */
export async function send(target: Target, action: Action, confirm?: number): Promise<{ id: string; isFleet: boolean }> {
  const common = { data: messageOf(action), ttl_s: ttlOf(action), request_id: crypto.randomUUID() };
  const key = supersedeKey(action);
  const body = key ? { ...common, supersede_key: key } : common;
  const only = 'lamps' in target && target.lamps.length === 1 ? target.lamps[0] : undefined;
  if (only !== undefined) {
    const { command } = await api('/v1/commands', { method: 'POST', body: { ...body, device: only } });
    return (lastSent.value = { id: command, isFleet: false });
  }
  const { id } = await api('/v1/fleet-commands', { method: 'POST', body: { ...body, ...whom(target), ...(confirm === undefined ? {} : { confirm }) } });
  return (lastSent.value = { id, isFleet: true });
}

function whom(target: Target): { where: string } | { devices: string[] } {
  return 'where' in target ? { where: target.where } : { devices: target.lamps };
}
