// How large marks are drawn, and which badge is under a finger.

import type { Point } from './geometry';

/** A badge's size at its largest. */
export const BADGE_PX = 17;
/** How far it stands up and to the right of its lamp. */
const BADGE_AWAY_PX = 8;

/** How large things are drawn. */
export const sizeAt = (zoom: number) => Math.min(1.6, Math.max(0.35, (zoom - 11) / 4));
/** A badge stays legible. */
export const badgeSizeAt = (zoom: number) => Math.max(0.7, sizeAt(zoom));
/** From a lamp to the middle of its badge, in pixels. */
export const badgeOffset = (zoom: number): Point => [BADGE_AWAY_PX * sizeAt(zoom), -BADGE_AWAY_PX * sizeAt(zoom)];

/** The lamp whose badge is drawn at these pixels, which `project` gives of a place. */
export function badgeAt(badged: { row: number; position: Point }[], [x, y]: Point, zoom: number, project: (place: Point) => Point): number | undefined {
  const [right, down] = badgeOffset(zoom);
  const reach = (BADGE_PX / 2) * badgeSizeAt(zoom);
  const isThere = ({ position }: { position: Point }) => {
    const [lampX, lampY] = project(position);
    return Math.hypot(lampX + right - x, lampY + down - y) <= reach;
  };
  return badged.find(isThere)?.row;
}
