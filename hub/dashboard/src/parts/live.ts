// How often a view looks at the fleet: at most so many times a second, whatever the fleet does.

import { useEffect, useState } from 'preact/hooks';
import { fleet } from '../live/connection';

/**
 * A value made from the fleet, made anew when the fleet changed, at most once in `everyMs`, and at least
 * once in `atLeastMs`, since what is old grows older without any change.
 */
export function useFleet<T>(make: () => T, everyMs = 1_000, keys: readonly unknown[] = [], atLeastMs = 5_000): T {
  const [made, set] = useState(make);
  useEffect(() => {
    let isDirty = true;
    let lastAt = 0;
    const look = () => {
      if (document.hidden) return;
      const since = performance.now() - lastAt;
      if (!(isDirty && since >= everyMs) && since < atLeastMs) return;
      isDirty = false;
      lastAt = performance.now();
      set(() => make());
    };
    look();
    const unsubscribe = fleet.version.subscribe(() => {
      isDirty = true;
      // After a rest at once; in its own turn, so that all of the batch is there.
      if (performance.now() - lastAt >= everyMs) queueMicrotask(look);
    });
    const timer = setInterval(look, Math.min(everyMs, 250));
    const seen = () => {
      lastAt = 0;
      look();
    };
    document.addEventListener('visibilitychange', seen);
    return () => {
      unsubscribe();
      clearInterval(timer);
      document.removeEventListener('visibilitychange', seen);
    };
  }, keys);
  return made;
}
