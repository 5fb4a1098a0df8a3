// A command for whoever a selector means.

import { useState } from 'preact/hooks';
import { fleet } from '../live/connection';
import { useFleet } from '../parts/live';
import { ActionBar } from './action-bar';
import { api } from '../session';
import { plural } from '../format';

export function Compose() {
  const [where, setWhere] = useState('');
  const [checked, setChecked] = useState<{ where: string; total: number } | null>(null);
  const [problem, setProblem] = useState('');
  const examples = useFleet(suggestions, 5_000);
  const count = async (selector: string) => {
    setWhere(selector);
    setProblem('');
    setChecked(null);
    if (selector.trim() === '') return;
    try {
      const query = new URLSearchParams({ where: selector, limit: '1', fields: 'id' });
      const { total } = await api<{ total: number }>(`/v1/devices?${query}`);
      setChecked({ where: selector, total });
    } catch (error) {
      setProblem(error instanceof Error ? error.message : String(error));
    }
  };
  return (
    <div class="compose">
      <form onSubmit={(event) => { event.preventDefault(); void count(where); }}>
        <label for="where">Which lamps</label>
        <div class="field">
          <input id="where" type="text" spellcheck={false} value={where} placeholder="street='Queen St' and power>40" aria-invalid={problem !== ''} aria-describedby="where-problem"
            onInput={(event) => { setWhere(event.currentTarget.value); setChecked(null); }} />
          <button type="submit">Count</button>
        </div>
        <p id="where-problem" class="problem" role="alert">{problem}</p>
        <p class="examples">{examples.map((one) => <button key={one} type="button" class="chip" onClick={() => count(one)}><code>{one}</code></button>)}</p>
      </form>
      {checked && (
        <>
          <p class="resolved" role="status"><b>{plural(checked.total, 'lamp')}</b> {checked.total === 1 ? 'is' : 'are'} meant now</p>
          <ActionBar target={{ where: checked.where }} lamps={checked.total} onSent={() => setChecked(null)} />
        </>
      )}
    </div>
  );
}

function suggestions(): string[] {
  const street = fleet.words('label.street')[0];
  const cabinet = fleet.words('label.cabinet')[0];
  return [street && `street='${street}'`, cabinet && `cabinet='${cabinet}'`, "reason='override'", 'level>70', 'exists(id)'].filter((one): one is string => Boolean(one));
}
