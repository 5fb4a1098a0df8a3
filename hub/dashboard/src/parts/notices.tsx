// What just happened, for a few seconds.

import { notices } from '../live/connection';

export function Notices() {
  return (
    <div class="notices" role="log" aria-live="polite" aria-label="What just happened">
      {notices.value.map(({ id, text, tone }) => <p key={id} class={tone}>{text}</p>)}
    </div>
  );
}
