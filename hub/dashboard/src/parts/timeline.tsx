// What the hub remembers of a lamp, newest first, with plain sentences in front where something stands out.

import { useEffect, useState } from 'preact/hooks';
import { onStep } from '../live/connection';
import { describe } from '../commands/actions';
import { stateWord } from '../commands/state-word';
import { faultTitle } from '../fleet/incidents';
import { api } from '../session';
import { clock, level } from '../format';
import { Empty, Failed, Skeleton } from './empty';

interface Entry {
  time_unix_ms: number;
  kind: string;
  command: string | null;
  what: any;
  state: string | null;
  detail: string;
  channel: string;
  type: string;
  data: any;
}

const EVERY_MS = 10_000;
const SHOWN = 40;

export function Timeline({ id }: { id: string }) {
  const [found, set] = useState<{ why: string[]; entries: Entry[] } | null>(null);
  const [problem, setProblem] = useState('');
  const read = () =>
    api(`/v1/devices/${id}/timeline`).then(
      (timeline) => { set(timeline); setProblem(''); },
      (error: Error) => setProblem(error.message),
    );
  useEffect(() => {
    void read();
    const timer = setInterval(() => !document.hidden && read(), EVERY_MS);
    const forget = onStep((step) => step.device === id && void read());
    return () => {
      clearInterval(timer);
      forget();
    };
  }, [id]);
  if (problem) return <Failed text={problem} again={read} />;
  if (!found) return <Skeleton lines={5} />;
  const entries = found.entries.filter(({ kind }) => kind !== 'telemetry').reverse().slice(0, SHOWN);
  return (
    <>
      {found.why.length > 0 && <ul class="why">{found.why.map((sentence) => <li key={sentence}>{sentence.replace(/^./, (first) => first.toUpperCase())}</li>)}</ul>}
      {entries.length === 0 ? <Empty icon="lamp" title="Nothing yet" /> : (
        <ol class="timeline">
          {entries.map((entry, index) => <li key={index}><time>{clock(entry.time_unix_ms, true)}</time><span>{words(entry)}</span></li>)}
        </ol>
      )}
    </>
  );
}

function words({ kind, what, state, detail, channel, type, data }: Entry): string {
  if (kind === 'command') return `${typeof what === 'string' ? what : describe(what)}: ${stateWord(state ?? '').toLowerCase()}${detail ? `, ${detail}` : ''}`;
  if (kind === 'session') return data?.online ? 'Came online' : `Went offline${data?.reason ? ` (${data.reason})` : ''}`;
  if (type === 'lighting.v1.FaultEvent') return `${faultTitle(String(data?.code ?? '').replace('FAULT_CODE_', ''))}: ${data?.active ? 'begins' : 'ends'}`;
  if (type === 'lighting.v1.LightStateChange') return `Light from ${level(data?.from_level_pct ?? 0)} to ${level(data?.to_level_pct ?? 0)}`;
  if (type === 'lighting.v1.BootEvent') return `Started, firmware ${data?.firmware_version ?? 'unknown'}`;
  if (type === 'lamplighter.v1.Registration') return 'Registered';
  return detail || `${type.split('.').at(-1) ?? ''} on ${channel.split('.').slice(2).join('.')}`;
}
