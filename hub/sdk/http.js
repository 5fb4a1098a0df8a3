// Asking the hub over HTTP: with the token in a header, and telling what went wrong.

import { HubError } from './emitter.js';

/** A request as the context's identity; the response, or a HubError with the problem that the hub told. */
export async function ask(context, method, path, { query = [], headers = {}, body, signal } = {}) {
  const url = new URL(path, context.url);
  for (const [key, value] of query) url.searchParams.append(key, value);
  const authorization = `Bearer ${await context.token()}`;
  const response = await context.fetch(url.href, {
    method,
    headers: { ...headers, authorization },
    body,
    cache: 'no-store',
    credentials: 'omit',
    signal,
  });
  if (!response.ok) throw await problem(response);
  return response;
}

/** GET. */
export function get(context, path, query, options = {}) {
  return ask(context, 'GET', path, { ...options, query });
}

/** What to ask for: the patterns of a subscription, and from where on. */
export function wish(subscription, since) {
  const query = subscription.patterns.map((pattern) => ['pattern', pattern]);
  query.push(['snapshot', String(subscription.snapshot)]);
  if (subscription.encoding === 'protobuf') query.push(['encoding', 'protobuf']);
  for (const [key, value] of Object.entries(subscription.choice)) query.push([key, String(value)]);
  if (since) query.push(['since', `${since.epoch}.${since.offset}`]);
  return query;
}

/** The hub's time of an answer, to the second; 0 if it says none. */
export function hubTimeMs(response) {
  return Date.parse(response.headers.get('date') ?? '') || 0;
}

/** How a loss is told to the hub object. */
export function loss(error) {
  const isFinal = error.status === 401 || error.status === 403;
  return { error, final: isFinal, retryAfterMs: error.retryAfterMs ?? 0 };
}

async function problem(response) {
  const body = await response.json().catch(() => ({}));
  const seconds = Number(response.headers.get('retry-after') ?? 0);
  return new HubError(body.code ?? 'HTTP', body.detail ?? `status ${response.status}`, {
    field: body.field,
    status: response.status,
    retryAfterMs: Number.isFinite(seconds) ? seconds * 1000 : 0,
    current: body.current ?? null,
  });
}
