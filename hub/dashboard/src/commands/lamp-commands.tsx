// The commands of one lamp, each with the steps of its life.

import { useEffect, useState } from 'preact/hooks';
import { onStep, tellPeople } from '../live/connection';
import { api, mayCommand } from '../session';
import { Empty, Failed, Skeleton } from '../parts/empty';
import { clock, span } from '../format';
import { describe } from './actions';
import { StateWord, isEnded } from './state-word';

export interface CommandLife {
  command: string;
  device: string;
  state: string;
  percent: number;
  sender: string;
  data: any;
  result: any;
  accepted_unix_ms: number;
  deadline_unix_ms: number;
  attempts: number;
  detail: string;
  steps: { state: string; time_unix_ms: number; detail: string; attempt: number; late: boolean }[];
}

const SHOWN = 10;

export function LampCommands({ id }: { id: string }) {
  const [commands, set] = useState<CommandLife[] | null>(null);
  const [problem, setProblem] = useState('');
  const read = () =>
    api(`/v1/commands?device=${id}&limit=${SHOWN}`).then(
      ({ commands: found }) => { set(found); setProblem(''); },
      (error: Error) => setProblem(error.message),
    );
  useEffect(() => {
    void read();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const forget = onStep((step) => {
      if (step.device !== id) return;
      clearTimeout(timer);
      timer = setTimeout(read, 80);
    });
    return () => {
      clearTimeout(timer);
      forget();
    };
  }, [id]);
  if (problem) return <Failed text={problem} again={read} />;
  if (!commands) return <Skeleton lines={3} />;
  if (commands.length === 0) return <Empty icon="send" title="Nothing was asked of it">Commands of the last 24 hours stand here, with the proof of each.</Empty>;
  return <ol class="command-list">{commands.map((one) => <Life key={one.command} life={one} isOpen={one === commands[0]} />)}</ol>;
}

export function Life({ life, isOpen = false, withDevice = false }: { life: CommandLife; isOpen?: boolean; withDevice?: boolean }) {
  const first = life.accepted_unix_ms;
  const last = life.steps.at(-1)?.time_unix_ms ?? first;
  const withdraw = () =>
    api(`/v1/commands/${life.command}`, { method: 'DELETE' }).then(
      () => tellPeople('Withdrawn.'),
      (error: Error) => tellPeople(`Not withdrawn. ${error.message}`, 'error'),
    );
  return (
    <li>
      <details open={isOpen}>
        <summary>
          <StateWord state={life.state} />
          {withDevice && <a href={`#/lamp/${life.device}`}>{life.device}</a>}
          <b>{describe(life.data)}</b>
          <span class="detail">{life.detail}</span>
          <time title={life.sender}>{clock(first, true)}</time>
        </summary>
        <ol class="steps">
          {life.steps.map((step) => (
            <li key={`${step.state}${step.time_unix_ms}`} class={step.late ? 'late' : ''}>
              <StateWord state={step.state} /><span>+{((step.time_unix_ms - first) / 1000).toFixed(2)} s</span><span class="detail">{step.detail}{step.late && ' (late)'}</span>
            </li>
          ))}
        </ol>
        <p class="fine">
          By {life.sender}, {isEnded(life.state) ? `ended after ${span(last - first)}` : `may start until ${clock(life.deadline_unix_ms, true)}`}{life.attempts > 1 && `, ${life.attempts} attempts`}.
          {!isEnded(life.state) && mayCommand.value && <> <button type="button" class="quiet" onClick={withdraw}>Withdraw</button></>}
        </p>
      </details>
    </li>
  );
}
