// Whether there are pictures for the map, as the hub's configuration says.

import { api } from '../session';

export interface Tiles {
  /** With `{z}`, `{x}` and `{y}`. */
  url: string;
  attribution: string;
}

/** Null if there are none. */
export async function askTiles(): Promise<Tiles | null> {
  const { tiles } = await api<{ tiles?: Tiles }>('/v1/dashboard').catch(() => ({ tiles: undefined }));
  return tiles ?? null;
}
