// The buttons of a lamp or a selection. What is dangerous, or for many, is counted by the hub and asked about.

import { useState } from 'preact/hooks';
import { ASK_ABOVE } from '../settings';
import { Refusal, mayCommand, whyNot } from '../session';
import { tellPeople } from '../live/connection';
import { go, linkTo } from '../router';
import { plural } from '../format';
import { type Action, type UntilName, UNTILS, actionTitle, isDangerous } from './actions';
import { Ask } from './ask';
import { type Target, send } from './send';

interface Props {
  target: Target;
  /** How many lamps that is, as far as the page knows. */
  lamps: number;
  /** The rights on this very lamp, if they were asked for. */
  allowed?: boolean | null;
  reason?: string;
  onSent?: () => void;
}

const LEVELS = [100, 70, 50, 30];

export function ActionBar({ target, lamps, allowed = mayCommand.value, reason = whyNot.value, onSent }: Props) {
  const [level, setLevel] = useState(60);
  const [until, setUntil] = useState<UntilName>('two-hours');
  const [asking, ask] = useState<Action | null>(null);
  const [isBusy, setBusy] = useState(false);
  const isOff = allowed !== true || isBusy || lamps === 0;
  const carryOut = async (action: Action, confirm?: number) => {
    setBusy(true);
    try {
      const { id, isFleet } = await send(target, action, confirm);
      tellPeople(`${actionTitle(action)}: the hub has it. Waiting for proof from ${isFleet ? 'the lamps' : 'the lamp'}.`);
      if (isFleet) go(linkTo('commands', id));
      onSent?.();
    } catch (error) {
      // More than the hub lets pass without a number: it told how many.
      if (error instanceof Refusal && error.field === 'confirm') ask(action);
      else tellPeople(`Not sent. ${error instanceof Error ? error.message : ''}`, 'error', 12_000);
    } finally {
      setBusy(false);
    }
  };
  const press = (action: Action) => {
    if (isDangerous(action, lamps) || lamps > ASK_ABOVE || 'where' in target) ask(action);
    else void carryOut(action);
  };
  return (
    <div class="action-bar" role="group" aria-label={`Commands for ${plural(lamps, 'lamp')}`}>
      <div class="levels">
        {LEVELS.map((each) => (
          <button key={each} type="button" disabled={isOff} onClick={() => press({ name: 'dim', level: each, until })}>{each} %</button>
        ))}
        <label class="dim">
          <span class="visually-hidden">Level in %</span>
          <input type="range" min="0" max="100" step="5" value={level} disabled={isOff} onInput={(event) => setLevel(Number(event.currentTarget.value))} />
          <button type="button" disabled={isOff} onClick={() => press(level === 0 ? { name: 'off', until } : { name: 'dim', level, until })}>Set {level} %</button>
        </label>
        <select aria-label="How long" value={until} disabled={isOff} onChange={(event) => setUntil(event.currentTarget.value as UntilName)}>
          {UNTILS.map(({ name, word }) => <option key={name} value={name}>{word}</option>)}
        </select>
      </div>
      <div class="verbs">
        <button type="button" disabled={isOff} onClick={() => press({ name: 'off', until })}>Off</button>
        <button type="button" disabled={isOff} onClick={() => press({ name: 'resume' })}>Resume program</button>
        <button type="button" disabled={isOff} onClick={() => press({ name: 'identify' })}>Blink</button>
        <button type="button" disabled={isOff} onClick={() => press({ name: 'read' })}>Read now</button>
        <button type="button" class="danger" disabled={isOff} onClick={() => press({ name: 'reboot' })}>Restart</button>
      </div>
      {allowed === false && <p class="why-not">You can look, not send: {reason}</p>}
      {asking && <Ask target={target} action={asking} onNo={() => ask(null)} onYes={(confirm) => { ask(null); void carryOut(asking, confirm); }} />}
    </div>
  );
}
