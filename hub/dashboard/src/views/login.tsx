// The door: a token of the hub, and nothing else.

import { useEffect, useRef, useState } from 'preact/hooks';
import { Icon } from '../parts/icon';
import { Refusal, check, logIn } from '../session';

export function LogIn() {
  const [secret, setSecret] = useState('');
  const [problem, setProblem] = useState('');
  const [isBusy, setBusy] = useState(false);
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => input.current?.focus(), []);
  const submit = async (event: Event) => {
    event.preventDefault();
    const given = secret.trim();
    if (!given) return setProblem('Paste the token first.');
    setBusy(true);
    setProblem('');
    try {
      await check(given);
      logIn(given);
    } catch (error) {
      setProblem(explain(error));
      setBusy(false);
    }
  };
  return (
    <main class="door">
      <form onSubmit={submit} noValidate>
        <div class="brand big"><Icon name="brand" /><span>Lamplighter</span></div>
        <h1>Log in</h1>
        <label for="token">Token</label>
        <input ref={input} id="token" type="password" autocomplete="off" spellcheck={false} value={secret}
          aria-invalid={problem !== ''} aria-describedby="token-help token-problem" onInput={(event) => setSecret(event.currentTarget.value)} />
        <p id="token-help" class="help">An operator makes one with <code>hub token issue</code>. It is kept in this tab until you log out or close it.</p>
        <p id="token-problem" class="problem" role="alert">{problem}</p>
        <button type="submit" class="primary" disabled={isBusy}>{isBusy ? 'Asking the hub' : 'Log in'}</button>
      </form>
    </main>
  );
}

function explain(error: unknown): string {
  if (!(error instanceof Refusal)) return 'Something went wrong in this page. Reload it and try again.';
  if (error.status === 401) return 'The hub does not know this token. It may be mistyped, revoked or expired.';
  if (error.status === 403) return `The hub refuses: ${error.message}`;
  return error.message;
}
