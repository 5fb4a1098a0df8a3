// How often a view looks at the fleet: at most so many times a second, whatever the fleet does.

import { useEffect, useState } from 'preact/hooks';
import { fleet } from '../live/connection';

/** Of its time the page may spend one part in so many on one value. */
const REST_TIMES = 8;
const TICK_MS = 250;

/** All look in the same moment, so that the page is drawn once and not once for each of them. */
const looks = new Set<() => void>();
let isAwaited = false;

function lookAll(): void {
  isAwaited = false;
  if (!document.hidden) for (const look of looks) look();
}

setInterval(lookAll, TICK_MS);
// After a rest at once; in its own turn, so that all of the batch is there.
fleet.version.subscribe(() => {
  if (!isAwaited) queueMicrotask(lookAll);
  isAwaited = true;
});

/**
 * A value made from the fleet, made anew when the fleet changed, at most once in `everyMs`, more rarely where that
 * takes long, and at least once in `atLeastMs`, since what is old grows older without any change.
 */
export function useFleet<T>(make: () => T, everyMs = 1_000, keys: readonly unknown[] = [], atLeastMs = 5_000): T {
  const [made, set] = useState(make);
  useEffect(() => {
    let isDirty = true;
    let lastAt = 0;
    let tookMs = 0;
    const timed = () => {
      const began = performance.now();
      const value = make();
      tookMs = performance.now() - began;
      return value;
    };
    const isRested = () => performance.now() - lastAt >= Math.max(everyMs, tookMs * REST_TIMES);
    const look = () => {
      if (!(isDirty && isRested()) && performance.now() - lastAt < atLeastMs) return;
      isDirty = false;
      lastAt = performance.now();
      set(timed);
    };
    look();
    const unsubscribe = fleet.version.subscribe(() => {
      isDirty = true;
    });
    looks.add(look);
    const seen = () => {
      lastAt = 0;
      if (!document.hidden) look();
    };
    document.addEventListener('visibilitychange', seen);
    return () => {
      unsubscribe();
      looks.delete(look);
      document.removeEventListener('visibilitychange', seen);
    };
  }, keys);
  return made;
}

/** Has a part made anew with each change of the fleet: one that is given the same row again isn't by itself. */
export function useChanges(): void {
  fleet.version.value;
}
