// Which part of the night it is in the city, in the frame of every view.

import { about, cityNow, nextEvent, phase } from '../fleet/place';
import { clock, countdown, zoneName } from '../format';

export const PHASE_WORDS = { day: 'Day', dusk: 'Dusk', night: 'Night', dawn: 'Dawn' } as const;

export function PhaseChip() {
  if (!phase.value) return <span class="phase-chip" />;
  const next = nextEvent.value;
  const speed = about.value.clock?.speed ?? 1;
  return (
    <span class={`phase-chip ${phase.value}`} title={next ? `${next.name} in ${countdown(next.at - cityNow.value)}` : undefined}>
      {about.value.name && <b>{about.value.name}</b>}
      <span class="word">{PHASE_WORDS[phase.value]}</span>
      <time>{clock(cityNow.value)}</time>
      <small>{zoneName(cityNow.value)}</small>
      {speed !== 1 && <small class="simulated" title="A simulated clock">×{speed}</small>}
    </span>
  );
}
