// The states of a command as people read them: a word, a tone, and a sign that needs no colour.

const WORDS: Record<string, [word: string, tone: string, sign: string]> = {
  WAITING: ['Waiting', 'idle', '○'],
  ACCEPTED: ['On disk', 'asked', '○'],
  SENT: ['Sent', 'asked', '◔'],
  DELIVERED: ['Delivered', 'asked', '◑'],
  RUNNING: ['Running', 'asked', '◕'],
  SUCCEEDED: ['Proved', 'good', '✓'],
  FAILED: ['Failed', 'bad', '✕'],
  REJECTED: ['Rejected', 'bad', '⊘'],
  EXPIRED: ['Expired', 'warn', '◌'],
  CANCELED: ['Withdrawn', 'idle', '–'],
  SUPERSEDED: ['Replaced', 'idle', '↷'],
  UNKNOWN: ['Unknown', 'warn', '?'],
};

const LIVE = new Set(['WAITING', 'ACCEPTED', 'SENT', 'DELIVERED', 'RUNNING']);

export const isEnded = (state: string): boolean => !LIVE.has(state);

export function stateWord(state: string): string {
  return WORDS[state.toUpperCase()]?.[0] ?? state;
}

export function StateWord({ state }: { state: string }) {
  const [word, tone, sign] = WORDS[state.toUpperCase()] ?? [state, 'idle', '?'];
  return <span class={`state-word ${tone}`} data-state={state.toUpperCase()}><i aria-hidden="true">{sign}</i>{word}</span>;
}
