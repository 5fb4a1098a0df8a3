// Who is connected: lamps and people, how often they come back, who reads too slowly, which versions run.

import { useEffect, useState } from 'preact/hooks';
import { fleet, loading, messageRate, nowMs, reconnects, refusals } from '../live/connection';
import { lazy } from '../parts/lazy';
import { ONLINE } from '../live/messages';
import { Empty, Failed, Skeleton } from '../parts/empty';
import { useFleet } from '../parts/live';
import { api } from '../session';
import { count, dateTime, number, percent, plural, span } from '../format';

const Chart = lazy(() => import('../parts/chart'));

interface Session {
  session: string;
  identity: string;
  since_unix_ms: number;
  waiting_bytes: number;
  lagging: boolean;
}

export function Connections() {
  const figures = useFleet(connectionFigures, 1_000);
  return (
    <section class="page connections">
      <header class="toolbar"><h1>Connections</h1></header>
      <dl class="tiles">
        <div class="tile"><dt>Online</dt><dd class="figure">{count(figures.online)}</dd><dd class="note">{percent(figures.online / Math.max(1, fleet.size))} of {plural(fleet.size, 'lamp')}</dd></div>
        <div class={`tile ${figures.offline > 0 ? 'warn' : 'good'}`}><dt>Offline</dt><dd class="figure">{count(figures.offline)}</dd><dd class="note">{figures.unknown > 0 ? `${count(figures.unknown)} not heard since the hub started` : 'told by the hub'}</dd></div>
        <div class="tile"><dt>Reconnects</dt><dd class="figure">{count(figures.lastMinute)}</dd><dd class="note">in the last minute, while this page is open</dd></div>
        <div class="tile"><dt>Messages</dt><dd class="figure">{number(messageRate.value, messageRate.value < 10 ? 1 : 0)}<small> /s</small></dd><dd class="note">that this page takes</dd></div>
        <div class="tile"><dt>Report period</dt><dd class="figure">{fleet.periodMs ? span(fleet.periodMs) : '–'}</dd><dd class="note">nine of ten lamps, as seen</dd></div>
      </dl>
      <div class="split">
        <div class="stack">
          <section class="panel" aria-labelledby="storm-title"><h2 id="storm-title">Reconnects a minute</h2><Reconnects /></section>
          <section class="panel" aria-labelledby="readers-title"><h2 id="readers-title">People and programs</h2><Readers /></section>
        </div>
        <div class="stack">
          <section class="panel" aria-labelledby="versions-title"><h2 id="versions-title">Versions</h2><Versions /></section>
          <section class="panel" aria-labelledby="page-title"><h2 id="page-title">This page</h2><ThisPage /></section>
        </div>
      </div>
    </section>
  );
}

function connectionFigures(): { online: number; offline: number; unknown: number; lastMinute: number } {
  const found = { online: 0, offline: 0, unknown: 0, lastMinute: 0 };
  for (const row of fleet.each()) {
    const online = fleet.get(row, 'online');
    if (online === ONLINE.yes) found.online += 1;
    else if (online === ONLINE.no) found.offline += 1;
    else found.unknown += 1;
  }
  found.lastMinute = reconnects.value.at(-1)?.count ?? 0;
  return found;
}

function Reconnects() {
  const points = reconnects.value;
  const to = nowMs();
  const lines = [{ label: 'Reconnects', colour: 'accent', scale: 'n' as const, kind: 'area' as const, unit: '/min', values: points.map(({ count: each }) => each) }];
  return <Chart times={points.map(({ at }) => at)} lines={lines} height={150} from={Math.min(points[0]?.at ?? to, to - 600_000)} to={to} label="Reconnects a minute" />;
}

const EVERY_MS = 5_000;
const SHOWN_MAX = 100;

function Readers() {
  const [found, set] = useState<{ sessions: Session[]; slow: Session[]; total: number } | null>(null);
  const [problem, setProblem] = useState('');
  const read = async () => {
    try {
      // People and programs are few; devices are found by their own word.
      const [all, slow, ...people] = await Promise.all(
        ['limit=1', `waiting_over=65536&limit=${SHOWN_MAX}`, `identity=operator&limit=${SHOWN_MAX}`, `identity=viewer&limit=${SHOWN_MAX}`]
          .map((query) => api<{ sessions: Session[]; total: number }>(`/v1/sessions?${query}`)),
      );
      const sessions = people.flatMap((page) => page.sessions).filter(({ identity }) => !identity.startsWith('device '));
      set({ sessions, slow: slow!.sessions, total: all!.total });
      setProblem('');
    } catch (error) {
      setProblem(error instanceof Error ? error.message : String(error));
    }
  };
  useEffect(() => {
    void read();
    const timer = setInterval(() => !document.hidden && read(), EVERY_MS);
    return () => clearInterval(timer);
  }, []);
  if (problem) return <Failed text={problem} again={read} />;
  if (!found) return <Skeleton lines={4} />;
  return (
    <>
      <table>
        <thead><tr><th scope="col">Who</th><th scope="col">Since</th><th scope="col" class="number">Waits for it</th></tr></thead>
        <tbody>
          {found.sessions.map(({ session, identity, since_unix_ms, waiting_bytes, lagging }) => (
            <tr key={session} class={lagging ? 'lagging' : ''}>
              <td>{identity}</td><td title={dateTime(since_unix_ms)}>{span(nowMs() - since_unix_ms)}</td>
              <td class="number">{lagging ? 'lagging, ' : ''}{bytes(waiting_bytes)}</td>
            </tr>
          ))}
        </tbody>
      </table>
      <p class="fine">{plural(found.total, 'session')} in all. {found.slow.length === 0 ? 'Nobody reads too slowly.' : `${plural(found.slow.length, 'slow reader')}: ${found.slow.slice(0, 5).map(({ identity }) => identity).join(', ')}.`}</p>
    </>
  );
}

function Versions() {
  const versions = useFleet(agentCounts, 2_000);
  if (versions.length === 0) return <Empty icon="link" title="No lamp told its version yet" />;
  const all = versions.reduce((sum, [, each]) => sum + each, 0);
  return (
    <ul class="bars">
      {versions.map(([agent, each]) => (
        <li key={agent}><span>{agent}</span><i aria-hidden="true"><b style={{ width: `${(each / all) * 100}%` }} /></i><em>{count(each)}</em></li>
      ))}
    </ul>
  );
}

function agentCounts(): [string, number][] {
  const words = fleet.words('agent');
  const counts = new Map<string, number>();
  for (const row of fleet.each()) {
    const agent = words[fleet.get(row, 'agent')];
    if (agent) counts.set(agent, (counts.get(agent) ?? 0) + 1);
  }
  return [...counts].sort(([, one], [, other]) => other - one);
}

function ThisPage() {
  return (
    <table>
      <tbody>
        {Object.entries(loading.value).map(([pattern, { values, done }]) => (
          <tr key={pattern}><td><code>{pattern}</code></td><td class="number">{count(values)}</td><td>{done ? 'live' : 'loading'}</td></tr>
        ))}
        {Object.entries(refusals.value).map(([pattern, why]) => <tr key={pattern}><td><code>{pattern}</code></td><td colSpan={2}>{why}</td></tr>)}
      </tbody>
    </table>
  );
}

const bytes = (n: number): string => (n < 1024 ? `${n} B` : `${number(n / 1024, 0)} KiB`);
