// Target, in effect, actual: the three levels that an engineer tells apart, with the reason and its end.
//
// *Target* is what the layers of the hub want, if it has any, else what the lamp was last asked for. *In effect*
// is what rules in the lamp. *Actual* is the light itself. What was asked and is not proved stands apart.

import { useEffect, useState } from 'preact/hooks';
import { fleet, now, onStep } from '../live/connection';
import { describe } from '../commands/actions';
import { reasonOf } from '../fleet/lamp-columns';
import { about, cityNow, night, plannedLevel } from '../fleet/place';
import { isAsked, isOverridden } from '../fleet/state';
import { COMMAND_STATES } from '../live/schema';
import { api, offers } from '../session';
import { clock, dateTime, level, span, watts } from '../format';
import { Age } from './age';

interface Wanted {
  level: number;
  reason: string;
  source: string;
  until: number;
}

export function Levels({ id, row }: { id: string; row: number }) {
  const wanted = useWanted(id, row);
  const asked = useAsked(id, row);
  const get = (name: Parameters<typeof fleet.get>[1]) => fleet.get(row, name);
  const planned = night.value ? plannedLevel(cityNow.value, night.value) : null;
  const target = wanted?.level ?? (isOverridden(fleet, row) || planned === null ? get('target') : planned);
  const actual = get('actual');
  const difference = Number.isFinite(actual) && Number.isFinite(get('target')) && Math.abs(actual - get('target')) > 5;
  return (
    <div class="levels-view">
      <ol class="three">
        <Level name="Target" value={target} note={wanted ? wanted.source || wanted.reason : planned !== null && !isOverridden(fleet, row) ? `plan of ${about.value.program?.name ?? 'the night'}` : 'last asked'}
          end={wanted?.until ?? 0} />
        <Level name="In effect" value={get('target')} note={reasonOf(row) || 'unknown reason'} end={overrideEnd(asked, row)} />
        <Level name="Actual" value={actual} note={Number.isFinite(get('power')) ? watts(get('power')) : ''} tone={difference ? 'bad' : 'light'} />
      </ol>
      {difference && <p class="problem">The light is not what rules in the lamp.</p>}
      {isAsked(fleet, row) && (
        <p class="asked-line" role="status">
          <b>Asked:</b> {asked?.what ?? 'a command'} · {(COMMAND_STATES[get('commandState')] ?? '').toLowerCase()} for {span(now.value - get('commandTime'))}. Not proved yet.
        </p>
      )}
      <p class="fine"><Age at={get('measured')} label="old" /></p>
    </div>
  );
}

function Level({ name, value, note, end = 0, tone = '' }: { name: string; value: number; note: string; end?: number; tone?: string }) {
  const share = Number.isFinite(value) ? Math.min(100, Math.max(0, value)) : 0;
  return (
    <li class={tone}>
      <span class="name">{name}</span>
      <b class="value">{level(value)}</b>
      <span class="bar" aria-hidden="true"><i style={{ width: `${share}%` }} /></span>
      <span class="note">{note}{end > 0 && <> until <time title={dateTime(end)}>{clock(end)}</time></>}</span>
    </li>
  );
}

/** What the hub's layers want of this lamp; null where it has none. */
function useWanted(id: string, row: number): Wanted | null {
  const [wanted, set] = useState<Wanted | null>(null);
  // As text: an unknown number is never equal to itself, and would be asked for for ever.
  const told = `${fleet.get(row, 'effectiveLevel')} ${fleet.get(row, 'effectiveUntil')}`;
  useEffect(() => {
    const stop = new AbortController();
    offers('/v1/devices/{id}/light')
      .then((isThere) => (isThere ? api(`/v1/devices/${id}/light`, { signal: stop.signal }) : null))
      .then((light) => set(light?.level_pct === undefined || light.level_pct === null ? null : {
        level: light.level_pct, reason: words(light.reason), source: light.source ?? '', until: Number(light.until_unix_ms ?? 0),
      }))
      .catch(() => !stop.signal.aborted && set(null));
    return () => stop.abort();
  }, [id, told]);
  return wanted;
}

function words(reason: unknown): string {
  const text = String(reason ?? '').replace(/^.*REASON_/, '').toLowerCase().replaceAll('_', ' ');
  return text.replace(/^./, (first) => first.toUpperCase());
}

interface Asked {
  what: string;
  data: any;
  state: string;
}

/** The newest command for this lamp, in words. */
function useAsked(id: string, row: number): Asked | null {
  const [asked, set] = useState<Asked | null>(null);
  const at = fleet.get(row, 'commandTime');
  useEffect(() => {
    const stop = new AbortController();
    const read = () =>
      api(`/v1/commands?device=${id}&limit=20`, { signal: stop.signal }).then(
        ({ commands }) => {
          const newest = commands.find(({ data }: any) => data?.override || data?.resume) ?? commands[0];
          set(newest ? { what: describe(newest.data), data: newest.data, state: newest.state } : null);
        },
        () => {},
      );
    void read();
    const forget = onStep((step) => {
      if (step.device === id && (step.state === 'ACCEPTED' || step.state === 'SUCCEEDED')) void read();
    });
    return () => {
      stop.abort();
      forget();
    };
  }, [id, at > 0]);
  return asked;
}

/** When the override that rules ends, if the hub knows the command behind it. */
function overrideEnd(asked: Asked | null, row: number): number {
  if (!isOverridden(fleet, row) || asked?.state !== 'SUCCEEDED') return 0;
  return Number(asked.data?.override?.expires_unix_ms ?? 0);
}
