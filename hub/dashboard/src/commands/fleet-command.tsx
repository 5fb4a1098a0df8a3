// One order for many lamps: its funnel, live, and the lamps that it did not reach.

import { useEffect, useState } from 'preact/hooks';
import { fleetProgress, now, tellPeople } from '../live/connection';
import { Skeleton } from '../parts/empty';
import { api, mayCommand } from '../session';
import { count, dateTime, percent, plural, span } from '../format';
import { describe } from './actions';
import { StateWord, stateWord } from './state-word';

export interface FleetDocument {
  id: string;
  phase: string;
  stopped: string | null;
  detail: string;
  where: string;
  again_of: string | null;
  sender: string;
  data: any;
  created_unix_ms: number;
  ended_unix_ms: number;
  targets: number;
  counts: Record<string, number>;
}

/** In the order of a life; the last four of a funnel are ends without proof. */
const PARTS = ['succeeded', 'running', 'delivered', 'sent', 'accepted', 'waiting', 'expired', 'failed', 'rejected', 'unknown', 'canceled', 'superseded'];
const TROUBLE = ['failed', 'rejected', 'expired', 'unknown'];

export function FleetCommand({ order, isOpen }: { order: FleetDocument; isOpen: boolean }) {
  const live = fleetProgress.value[order.id];
  const counts = live?.counts ?? order.counts;
  const phase = live?.phase ?? order.phase;
  const stopped = (live?.stopped || order.stopped) ?? '';
  const of = (state: string) => counts[state] ?? 0;
  const trouble = TROUBLE.reduce((sum, state) => sum + of(state), 0);
  const isOver = phase === 'ended';
  return (
    <li>
      <details open={isOpen} class="fleet">
        <summary>
          <span class={`phase-word ${isOver ? (trouble > 0 ? 'warn' : 'good') : 'asked'}`}>{isOver ? (stopped ? `Stopped` : 'Ended') : phase.replace(/^./, (first) => first.toUpperCase())}</span>
          <b>{describe(order.data)}</b>
          <span class="where">{order.where || (order.again_of ? 'once more, where it failed' : 'chosen lamps')}</span>
          <span class="share">{count(of('succeeded'))} of {plural(order.targets, 'lamp')} proved</span>
        </summary>
        <Funnel counts={counts} targets={order.targets} />
        <dl class="funnel-counts">
          {PARTS.filter((state) => of(state) > 0).map((state) => (
            <div key={state}><dt><StateWord state={state} /></dt><dd>{count(of(state))}</dd></div>
          ))}
        </dl>
        <p class="fine">
          By {order.sender}, {dateTime(order.created_unix_ms)}. {isOver && order.ended_unix_ms > 0 ? `Took ${span(order.ended_unix_ms - order.created_unix_ms)}.` : `Since ${span(now.value - order.created_unix_ms)}.`} {stopped && `Stopped: ${stopped.replaceAll('_', ' ')}. `}{order.detail}
        </p>
        <Verbs order={order} isOver={isOver} trouble={trouble} />
        {trouble > 0 && <Unreached id={order.id} trouble={trouble} />}
      </details>
    </li>
  );
}

function Funnel({ counts, targets }: { counts: Record<string, number>; targets: number }) {
  const text = PARTS.filter((state) => counts[state]).map((state) => `${counts[state]} ${stateWord(state).toLowerCase()}`).join(', ');
  return (
    <div class="funnel" role="img" aria-label={`Of ${targets} lamps: ${text}`}>
      {PARTS.filter((state) => counts[state]).map((state) => (
        <i key={state} class={state} style={{ flexGrow: counts[state] }} title={`${stateWord(state)}: ${counts[state]}, ${percent(counts[state]! / targets)}`} />
      ))}
    </div>
  );
}

function Verbs({ order, isOver, trouble }: { order: FleetDocument; isOver: boolean; trouble: number }) {
  if (!mayCommand.value) return null;
  const withdraw = () =>
    api(`/v1/fleet-commands/${order.id}`, { method: 'DELETE' }).then(
      () => tellPeople('Withdrawn: what was not sent stays unsent.'),
      (error: Error) => tellPeople(`Not withdrawn. ${error.message}`, 'error'),
    );
  const again = () =>
    api('/v1/fleet-commands', { method: 'POST', body: { again_of: order.id, again_states: TROUBLE, confirm: trouble } }).then(
      () => tellPeople('Sent once more, only where it was not proved.'),
      (error: Error) => tellPeople(`Not sent. ${error.message}`, 'error'),
    );
  return (
    <p class="buttons">
      {!isOver && <button type="button" onClick={withdraw}>Withdraw what is not sent</button>}
      {isOver && trouble > 0 && <button type="button" onClick={again}>Once more for {plural(trouble, 'lamp')}</button>}
    </p>
  );
}

interface Unproved {
  device: string;
  state: string;
  detail: string;
}

const PAGE = 50;

function Unreached({ id, trouble }: { id: string; trouble: number }) {
  const [found, set] = useState<Unproved[] | null>(null);
  useEffect(() => {
    const ask = (state: string) => api<{ targets: Unproved[] }>(`/v1/fleet-commands/${id}/targets?state=${state}&limit=${PAGE}`);
    Promise.all(TROUBLE.map(ask)).then((pages) => set(pages.flatMap(({ targets }) => targets)), () => set([]));
  }, [id, trouble]);
  if (!found) return <Skeleton lines={2} />;
  return (
    <ul class="unreached">
      {found.slice(0, PAGE).map(({ device, state, detail }) => <li key={device}><a href={`#/lamp/${device}`}>{device}</a><StateWord state={state} /><span>{detail}</span></li>)}
    </ul>
  );
}
