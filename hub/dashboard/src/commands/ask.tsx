// Asks before an order that is dangerous or for many: whom it reaches, as the hub counts them now.

import { useEffect, useRef, useState } from 'preact/hooks';
import { count, plural } from '../format';
import { type Action, actionTitle } from './actions';
import { type DryRun, type Target, dryRun } from './send';

interface Props {
  target: Target;
  action: Action;
  onYes: (confirm: number) => void;
  onNo: () => void;
}

export function Ask({ target, action, onYes, onNo }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [counted, setCounted] = useState<DryRun | null>(null);
  const [problem, setProblem] = useState('');
  useEffect(() => {
    dialog.current?.showModal();
    dryRun(target, action).then(setCounted, (error: Error) => setProblem(error.message));
  }, []);
  const isGrave = action.name === 'off' || action.name === 'reboot';
  return (
    <dialog ref={dialog} class="ask" aria-labelledby="ask-title" onClose={onNo} onCancel={onNo}>
      <h2 id="ask-title">{actionTitle(action)}?</h2>
      {'where' in target && <p class="selector"><code>{target.where}</code></p>}
      {!counted && !problem && <p class="skeleton" aria-busy="true">Counting the lamps</p>}
      {problem && <p class="problem" role="alert">{problem}</p>}
      {counted && (
        <>
          <p class="resolved"><b>{count(counted.targets)}</b> {counted.targets === 1 ? 'lamp is' : 'lamps are'} meant</p>
          <ul class="counts">
            <li><b>{count(counted.reached_now)}</b> connected, reached now</li>
            {counted.offline > 0 && <li><b>{count(counted.offline)}</b> away; the order waits for them, and expires</li>}
            {counted.forbidden > 0 && <li><b>{count(counted.forbidden)}</b> left out: your role may not command them</li>}
            {counted.unknown > 0 && <li><b>{count(counted.unknown)}</b> left out: too little is known of them</li>}
          </ul>
          {isGrave && counted.targets > 1 && <p class="grave">{action.name === 'off' ? `It will be dark at ${plural(counted.targets, 'place')}.` : 'Each lamp is off the hub for about a minute and runs its test sequence.'}</p>}
        </>
      )}
      <div class="buttons">
        <button type="button" onClick={onNo}>Leave it</button>
        <button type="button" class={isGrave ? 'danger solid' : 'primary'} disabled={!counted || counted.targets === 0} onClick={() => counted && onYes(counted.targets)}>
          {counted ? `Send to ${plural(counted.targets, 'lamp')}` : 'Send'}
        </button>
      </div>
    </dialog>
  );
}
