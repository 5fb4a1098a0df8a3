// How old a value is, always beside it; the older, the fainter.

import { fleet, now } from '../live/connection';
import { freshness, periodOf } from '../fleet/state';
import { age, dateTime } from '../format';

export function Age({ at, label = 'ago' }: { at: number; label?: string }) {
  const how = freshness(at, now.value, periodOf(fleet));
  return <span class={`age ${how}`} title={at ? dateTime(at) : undefined}>{at ? `${age(at, now.value)} ${label}` : 'never heard'}</span>;
}
