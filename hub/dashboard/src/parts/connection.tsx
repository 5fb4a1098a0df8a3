// How the connection is, in words, always in sight.

import { ending, fleet, loading, now, refusals, state, stateSince, transport } from '../live/connection';
import { PATTERNS } from '../live/messages';
import { count, span } from '../format';

export function Connection() {
  const { word, tone, detail } = reading();
  return (
    <div class={`connection ${tone}`} role="status" aria-live="polite" title={detail} data-state={state.value}>
      <span class="dot" aria-hidden="true" />
      <span>{word}</span>
    </div>
  );
}

function reading(): { word: string; tone: string; detail: string } {
  const lasts = span(Math.max(0, now.value && Date.now() - stateSince.value));
  switch (state.value) {
    case 'open': {
      const { values, done } = loaded();
      if (!done) return { word: `Loading ${count(values)}`, tone: 'busy', detail: 'Reading the last value of every lamp' };
      const way = transport.value === 'websocket' ? '' : ' (slower way)';
      return { word: `Live${way}`, tone: 'good', detail: `Live for ${lasts}; ${count(fleet.messages)} messages` };
    }
    case 'connecting': return { word: 'Connecting', tone: 'busy', detail: 'Connecting to the hub' };
    case 'waiting':
      return { word: 'Connection lost', tone: 'bad', detail: `For ${lasts}. ${ending.value.reason} The page comes back by itself; values show their age.` };
    case 'refused': return { word: 'Refused', tone: 'bad', detail: ending.value.reason };
    case 'idle': case 'closed': return { word: 'Not connected', tone: 'bad', detail: '' };
  }
}

/** How far the first snapshot is. */
export function loaded(): { values: number; done: boolean } {
  const all = Object.entries(loading.value);
  const values = all.reduce((sum, [, one]) => sum + one.values, 0);
  const settled = all.filter(([, { done }]) => done).length + Object.keys(refusals.value).length;
  return { values, done: settled >= PATTERNS.length };
}
