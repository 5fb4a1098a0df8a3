// The last message of each of a lamp's channels, decoded, live.

import { useEffect, useState } from 'preact/hooks';
import { now, state, watch, type Watched } from '../live/connection';
import { age } from '../format';
import { Skeleton } from './empty';

export function RawMessages({ id }: { id: string }) {
  const [values, set] = useState<Record<string, Watched>>({});
  useEffect(() => {
    set({});
    return watch([`devices.${id}.>`], (value) => set((before) => ({ ...before, [`${value.channel} ${value.type}`]: value })));
    // A worker that was started anew knows nothing of this watch.
  }, [id, state.value === 'idle']);
  const entries = Object.entries(values).sort(([one], [other]) => one.localeCompare(other));
  if (entries.length === 0) return <Skeleton lines={4} />;
  return (
    <div class="raw">
      {entries.map(([key, { channel, type, data, timeMs, measuredMs }]) => (
        <details key={key}>
          <summary><b>{channel.split('.').slice(2).join('.')}</b><span>{type.split('.').at(-1)}</span><small>{age(measuredMs || timeMs, now.value)}</small></summary>
          <pre tabIndex={0}>{JSON.stringify(data, null, 2)}</pre>
        </details>
      ))}
    </div>
  );
}
