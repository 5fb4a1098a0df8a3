// The badges of health as one image for the graphics card: the same shapes as in glyph.tsx.

import type { Health } from '../fleet/state';
import type { Palette } from './colours';

const SIDE = 64;
export const BADGES: Health[] = ['safety', 'dark', 'silent', 'dayburner', 'warning'];

const PATHS: Partial<Record<Health, string>> = {
  safety: 'M7 2.500h10L22 12l-5 9.500H7L2 12z',
  dark: 'M12 2.500 22.500 21h-21z',
  dayburner: 'm12 1.500 3 7.300 7.500.6-5.700 5 1.700 7.600L12 17.800 5.500 22l1.700-7.600-5.700-5 7.500-.6z',
  warning: 'M12 2 22 12 12 22 2 12z',
};

export interface Atlas {
  image: HTMLCanvasElement;
  mapping: Record<string, { x: number; y: number; width: number; height: number; mask: boolean }>;
}

export function badgeAtlas(palette: Palette, edge: string): Atlas {
  const image = document.createElement('canvas');
  image.width = SIDE * BADGES.length;
  image.height = SIDE;
  const context = image.getContext('2d')!;
  const mapping: Atlas['mapping'] = {};
  BADGES.forEach((health, index) => {
    const [red, green, blue] = palette.health[health];
    context.setTransform(SIDE / 28, 0, 0, SIDE / 28, index * SIDE + SIDE / 14, SIDE / 14);
    context.lineJoin = 'round';
    const path = new Path2D(PATHS[health] ?? 'M5 5l14 14M19 5 5 19');
    context.strokeStyle = edge;
    context.lineWidth = health === 'silent' ? 8 : 3;
    context.lineCap = 'round';
    context.stroke(path);
    context.fillStyle = context.strokeStyle = `rgb(${red} ${green} ${blue})`;
    context.lineWidth = 4;
    if (health === 'silent') context.stroke(path);
    else context.fill(path);
    mapping[health] = { x: index * SIDE, y: 0, width: SIDE, height: SIDE, mask: false };
  });
  return { image, mapping };
}
