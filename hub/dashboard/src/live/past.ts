// Asks the hub for what it kept of the recent past.

import { type Energy, type Kept, type Point, type Sums, energyOf, pointsOf } from '../fleet/past';
import { api, offers } from '../session';

/** Level and power of a lamp since a moment, a point a slot in which it measured; and the ms of a slot. */
export async function lampPast(id: string, since: number): Promise<{ points: Point[]; slotMs: number }> {
  try {
    if (!(await offers('/v1/devices/{id}/series'))) return { points: [], slotMs: 0 };
    const kept = await api<Kept>(`/v1/devices/${id}/series?since=${Math.floor(since)}`);
    return { points: pointsOf(kept), slotMs: kept.interval_ms };
  } catch {
    // Not this role's to see, or not kept: the chart begins with what comes.
    return { points: [], slotMs: 0 };
  }
}

/** Energy of all lamps since a moment; null where the hub doesn't keep it or this role may not see it. */
export async function energySince(since: number): Promise<Energy | null> {
  try {
    if (!(await offers('/v1/series/{field}'))) return null;
    return energyOf(await api<Sums>(`/v1/series/energy?since=${Math.floor(since)}`));
  } catch {
    return null;
  }
}
