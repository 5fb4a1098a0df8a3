// Who uses this page: the token, what its role may do, and requests in its name.
//
// The token stays in the tab's session storage, so that a reload keeps the log-in and closing the tab ends it.
// It goes into a header, never into an address.

import { signal } from '@preact/signals';

const KEY = 'lamplighter.token';

export const token = signal(sessionStorage.getItem(KEY) ?? '');
export const identity = signal('');
/** Whether this role may send commands at all; null until that is known. */
export const mayCommand = signal<boolean | null>(null);
/** Why not, in the hub's words. */
export const whyNot = signal('');

/** What the hub refused. */
export class Refusal extends Error {
  constructor(
    message: string,
    readonly status: number,
    readonly code: string,
    readonly field: string,
    readonly body: any,
  ) {
    super(message);
  }
}

export function logIn(secret: string): void {
  sessionStorage.setItem(KEY, secret);
  token.value = secret;
}

export function logOut(): void {
  sessionStorage.removeItem(KEY);
  token.value = '';
  identity.value = '';
  mayCommand.value = null;
}

/** A request of the hub's HTTP side; the answer as JSON. */
export async function api<T = any>(path: string, options: { method?: string; body?: unknown; secret?: string; signal?: AbortSignal } = {}): Promise<T> {
  const { method = 'GET', body, secret = token.value, signal: stop } = options;
  const headers: Record<string, string> = { authorization: `Bearer ${secret}` };
  if (body !== undefined) headers['content-type'] = 'application/json';
  let response: Response;
  try {
    const sent = body === undefined ? {} : { body: JSON.stringify(body) };
    response = await fetch(path, { method, headers, cache: 'no-store', credentials: 'omit', ...sent, ...(stop ? { signal: stop } : {}) });
  } catch (error) {
    if (stop?.aborted) throw error;
    throw new Refusal('The hub does not answer. It may be restarting; try again in a moment.', 0, 'LOST', '', null);
  }
  if (response.status === 204) return undefined as T;
  const answer = await response.json().catch(() => null);
  if (response.ok) return answer as T;
  throw new Refusal(answer?.detail ?? `The hub answered ${response.status}.`, response.status, answer?.code ?? '', answer?.field ?? '', answer);
}

/** Asks the hub whom it takes this token for, by asking what it may. */
export async function check(secret: string): Promise<{ identity: string }> {
  return api('/v1/access/explain?identity=me&verb=subscribe&channel=devices.any-lamp.telemetry', { secret });
}

/** Learns what the role may do with a lamp; roles with labels differ from lamp to lamp. */
export async function learnRights(device: string): Promise<{ allowed: boolean; reason: string }> {
  return api(`/v1/access/explain?identity=me&verb=command&channel=devices.${device}`);
}

let described: Promise<Set<string>> | null = null;

/** Whether this hub has a resource, by its own description: asking for what isn't there would be an error. */
export async function offers(resource: string): Promise<boolean> {
  described ??= api<{ paths?: object }>('/v1/openapi.json').then(({ paths }) => new Set(Object.keys(paths ?? {})), () => new Set());
  return (await described).has(resource);
}
