// Types of lamplighter.js.

export type TransportKind = 'websocket' | 'events' | 'poll';

export type HubState = 'idle' | 'connecting' | 'open' | 'waiting' | 'refused' | 'closed';

export interface HubOptions {
  /** A token of the hub, or a function that gives one; asked again at each connection. */
  token: string | (() => string | Promise<string>);
  /** Where the hub is; the page's own origin if not said. A function is asked again at each connection. */
  url?: string | (() => string);
  /** In the order in which they are tried; all three if not said. */
  transports?: TransportKind[];
  /**
   * How the WebSocket is written; `json` if not said. In `protobuf` both sides work less where much comes: then what
   * is subscribed to with `encoding: 'protobuf'` has its `payload` as bytes, and writes go beside it, over HTTP.
   */
  envelopes?: 'json' | 'protobuf';
  /** For runtimes without one of their own. */
  WebSocket?: new (url: string, protocols: string[]) => WebSocket;
  fetch?: typeof fetch;
  /** Bounds of coming back, in ms; the protocol's own if not said. */
  backoff?: { windowMs?: number; minMs?: number; maxMs?: number };
  /** Who asks, for the hub's log; at most 64 bytes. */
  agent?: string;
}

/** A value of a channel. */
export interface Value<T = unknown> {
  channel: string;
  /** Full name of the message; empty if the channel has no type. */
  type: string;
  /** The message as proto3 JSON, where the hub knows its type. */
  data?: T;
  /** Else its bytes, in base64 or as they are: see `bytesOf` and `jsonOf`. */
  payload?: string | Uint8Array;
  /** Why there is no `data` of a message that has a type. */
  problem?: string;
  /** Its place in the order of all messages; the revision of its channel's value. */
  offset: number;
  /** ms since 1970: when the hub got it. */
  timeMs: number;
  /** ms since 1970: when the device measured it; 0 unknown. */
  measuredMs: number;
  boot: number;
  seq: number;
}

/** A value in a collection. */
export interface Item<T = unknown> extends Value<T> {
  /** The device that it belongs to, or null. */
  readonly device: string | null;
  /** ms since it was measured, or since the hub got it, by the hub's clock. */
  readonly ageMs: number;
}

export interface Reload {
  /** `restart`: another life of the hub. `position`: it forgot what was missed. `gap`: read too slowly. */
  reason: 'restart' | 'position' | 'gap';
  /** How many messages were left out, if that is known. */
  dropped: number;
  patterns: string[];
}

export interface Lost {
  code: number;
  reason: string;
  error?: Error;
  /** It won't come back by itself. */
  final: boolean;
  transport: TransportKind;
}

type Off = () => void;

interface HubEvents {
  state: { state: HubState };
  open: { transport: TransportKind; identity?: string };
  lost: Lost;
  fallback: { from: TransportKind };
  reload: Reload;
  error: Error;
}

interface SubscriptionEvents<T> {
  /** Of a snapshot. */
  value: Value<T>;
  /** Of a snapshot, but passed on before. */
  known: Value<T>;
  /** Live, or one that was missed. */
  message: Value<T>;
  reload: Reload;
  begin: { full: boolean };
  end: Record<string, never>;
  refused: HubError;
}

interface CollectionEvents<T> {
  snapshot: { items: Item<T>[] };
  enter: { item: Item<T> };
  update: { item: Item<T>; before: Item<T> };
  leave: { item: Item<T> };
  reload: Reload;
  error: Error;
}

export interface Subscription<T = unknown> {
  readonly patterns: string[];
  on<E extends keyof SubscriptionEvents<T>>(event: E, listener: (event: SubscriptionEvents<T>[E]) => void): Off;
  once<E extends keyof SubscriptionEvents<T>>(event: E): Promise<SubscriptionEvents<T>[E]>;
  close(): void;
}

export interface SubscribeOptions {
  /** The last values first; true if not said. */
  snapshot?: boolean;
  /** `protobuf`: values have `payload` in the place of `data`, which costs the hub no conversion. `json` if not said. */
  encoding?: 'json' | 'protobuf';
  /** A selector over labels, `id` and `profile`: only channels of devices that it means. */
  labels?: string;
  /** Beats a second, 1 to 100: of each channel and type the newest message of a beat. */
  maxRate?: number;
  /** Of what waits, only the newest message of each channel and type. */
  conflate?: boolean;
}

/** A device, as its registration says. */
export interface Device {
  id: string;
  profile: string;
  labels: Record<string, string>;
}

export interface Collection<T = unknown> extends Iterable<Item<T>> {
  readonly items: Item<T>[];
  readonly size: number;
  readonly isReady: boolean;
  get(channel: string, type?: string): Item<T> | undefined;
  on<E extends keyof CollectionEvents<T>>(event: E, listener: (event: CollectionEvents<T>[E]) => void): Off;
  once<E extends keyof CollectionEvents<T>>(event: E): Promise<CollectionEvents<T>[E]>;
  close(): void;
}

export type CommandState =
  | 'ACCEPTED' | 'SENT' | 'DELIVERED' | 'RUNNING'
  | 'SUCCEEDED' | 'FAILED' | 'REJECTED' | 'EXPIRED' | 'CANCELED' | 'SUPERSEDED' | 'UNKNOWN';

export interface Command {
  readonly device: string;
  readonly requestId: string;
  readonly id: string | null;
  readonly state: CommandState | null;
  readonly percent: number;
  readonly detail: string;
  readonly isDone: boolean;
  readonly succeeded: boolean;
  /** Resolves when it ended, whatever its end. */
  readonly done: Promise<Command>;
  on(event: 'update', listener: (command: Command) => void): Off;
}

export interface SendOptions {
  /** Full name of the message; `lighting.v1.Command` if not said. */
  type?: string;
  /** s that it may live: 5 to 604,800; 600 if not said. */
  ttlS?: number;
  /** The same id is the same command for 24 h; a new one if not said. */
  requestId?: string;
  /** Replaces an unsent older command with the same key. */
  supersedeKey?: string;
}

export interface PublishOptions {
  /** Full name of the message; the first type of the channel if not said. */
  type?: string;
  /**
   * The revision that the value is to replace (`offset` of what was read), 0 if there is to be none yet;
   * `CONFLICT` if it is another one. A device's `desired` is never written without.
   */
  instead?: number;
}

export class Hub {
  constructor(options: HubOptions);
  readonly state: HubState;
  readonly transport: TransportKind | null;
  readonly isEnded: boolean;
  /** Connects and stays connected; resolves at the first success. */
  connect(): Promise<void>;
  whenOpen(): Promise<void>;
  close(): void;
  /** Throws `UNSUPPORTED` where the patterns of one with `labels`, `maxRate` or `conflate` overlap another's. */
  subscribe<T = unknown>(wish: { pattern: string } & SubscribeOptions): Subscription<T>;
  subscribe<T = unknown>(wish: { patterns: string[] } & SubscribeOptions): Subscription<T>;
  /** `where`: a selector, `street='Queen St',feeder=F12`, or a function. */
  collection<T = unknown>(wish: { pattern: string; where?: string | ((device: Device) => boolean) }): Collection<T>;
  publish(channel: string, data: unknown, options?: PublishOptions): Promise<{ revision: number; durable: boolean }>;
  /** The same by a merge patch of the value's JSON (RFC 7396): members replace, `null` takes away, the others stay. */
  patch(channel: string, patch: object, options?: PublishOptions): Promise<{ revision: number; durable: boolean }>;
  /** Resolves when the hub has the command on disk. */
  send(device: string, data: unknown, options?: SendOptions): Promise<Command>;
  cancel(command: Command | string): Promise<void>;
  /** A request of the protocol and its `Ack`, in JSON; without the socket only these three. */
  request(kind: 'publish' | 'send' | 'cancel', body: object): Promise<Record<string, unknown>>;
  /** GET of a resource of the hub, as JSON. */
  read(path: string): Promise<unknown>;
  /** Now, by the hub's clock. */
  nowMs(): number;
  on<E extends keyof HubEvents>(event: E, listener: (event: HubEvents[E]) => void): Off;
  once<E extends keyof HubEvents>(event: E): Promise<HubEvents[E]>;
}

/** What the hub refused, or what can't be done. */
export class HubError extends Error {
  /** The protocol's word: `BAD_CHANNEL`, `NOT_PERMITTED`, …; `LOST`, `UNSUPPORTED`, `CLOSED` of our own. */
  readonly code: string;
  readonly field: string;
  readonly retryAfterMs: number;
  /** Of HTTP; 0 if it came over the socket. */
  readonly status: number;
  /** The value that stands, where another one was to be replaced; else null. */
  readonly current: unknown;
}

export class Backoff {
  constructor(bounds?: { windowMs?: number; minMs?: number; maxMs?: number }, random?: () => number);
  window(seconds: number): void;
  ended(livedMs: number): void;
  next(): number;
}

/** The bytes of a value without `data`. */
export function bytesOf(value: Pick<Value, 'payload'>): Uint8Array;
/** A value as JSON: its data, or the text of its bytes. */
export function jsonOf(value: Pick<Value, 'data' | 'payload'>): unknown;
