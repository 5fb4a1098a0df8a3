// Pictures below the lamps, where the configuration names a server for them. Without one nothing is asked for, and
// nothing of this is loaded.

import { TileLayer } from '@deck.gl/geo-layers';
import { BitmapLayer } from '@deck.gl/layers';
import type { Layer } from '@deck.gl/core';
import type { Tiles } from '../live/tiles';

/** Deeper down the pictures of this zoom are drawn larger. */
const ZOOM_MAX = 19;
/** What is kept, and what is asked for at a time. */
const KEPT_MAX = 160;
const ASKED_MAX = 6;
/** Lamps stand out before a map that is pale, or dim. */
const LOOKS = {
  light: { opacity: 0.65, desaturate: 0.6 },
  dark: { opacity: 0.3, desaturate: 0.8 },
};

/** `failed` hears of each picture that didn't come. */
export function tileLayer({ url }: Tiles, theme: string, failed: () => void): Layer {
  const look = theme === 'light' ? LOOKS.light : LOOKS.dark;
  return new TileLayer<HTMLImageElement>({
    id: 'tiles',
    data: url,
    tileSize: 256,
    maxZoom: ZOOM_MAX,
    maxCacheSize: KEPT_MAX,
    maxRequests: ASKED_MAX,
    getTileData: ({ url }) => picture(url!),
    onTileError: failed,
    updateTriggers: { renderSubLayers: theme },
    renderSubLayers: ({ tile, data: image, ...props }) => {
      const [[west, south], [east, north]] = tile.boundingBox as [[number, number], [number, number]];
      return new BitmapLayer({ ...props, ...look, image, bounds: [west, south, east, north] });
    },
  });
}

/** As an image and not by `fetch`: the page's policy lets nothing else out. */
async function picture(url: string): Promise<HTMLImageElement> {
  const image = new Image();
  image.crossOrigin = 'anonymous';
  image.src = url;
  await image.decode();
  return image;
}
