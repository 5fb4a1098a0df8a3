// Shapes that follow from where lamps stand: streets through their lamps, the reach of a cabinet, clusters.

import type { Fleet } from '../fleet/fleet';
import { healthOf, isLit } from '../fleet/state';

export type Point = [longitude: number, latitude: number];

/** Lamps with a place: their rows, and their places in pairs. */
export interface Placed {
  rows: Uint32Array;
  positions: Float64Array;
}

export function placed(fleet: Fleet): Placed {
  const rows: number[] = [];
  const longitudes = fleet.column('longitude');
  for (const row of fleet.each()) if (!Number.isNaN(longitudes[row]!)) rows.push(row);
  const latitudes = fleet.column('latitude');
  const positions = new Float64Array(rows.length * 2);
  rows.forEach((row, index) => {
    positions[index * 2] = longitudes[row]!;
    positions[index * 2 + 1] = latitudes[row]!;
  });
  return { rows: Uint32Array.from(rows), positions };
}

export interface Street {
  name: string;
  path: Point[];
  middle: Point;
  /** Degrees, counted as a text stands: -90 to 90. */
  angle: number;
}

/** A step along a street that is longer than this many usual ones is no street any more. */
const BREAK_STEPS = 4;

/** Streets as lines through their lamps, in the order along their main direction. */
export function streets(fleet: Fleet, rows: Uint32Array): Street[] {
  const found: Street[] = [];
  for (const [name, points] of grouped(fleet, rows, 'street')) {
    if (points.length < 2) continue;
    const line = alongMainDirection(points);
    const steps = line.slice(1).map((point, index) => distance(line[index]!, point)).sort((one, other) => one - other);
    const usual = steps[Math.floor(steps.length / 2)] ?? 0;
    let path: Point[] = [];
    const finish = () => {
      if (path.length >= 2) found.push(streetOf(name, path));
      path = [];
    };
    for (const point of line) {
      const last = path.at(-1);
      if (last && distance(last, point) > BREAK_STEPS * usual) finish();
      path.push(point);
    }
    finish();
  }
  return found;
}

function streetOf(name: string, path: Point[]): Street {
  const [first, last] = [path[0]!, path.at(-1)!];
  const middle = path[Math.floor(path.length / 2)]!;
  const stretch = Math.cos((middle[1] * Math.PI) / 180);
  let angle = (Math.atan2(last[1] - first[1], (last[0] - first[0]) * stretch) * 180) / Math.PI;
  if (angle > 90) angle -= 180;
  if (angle < -90) angle += 180;
  return { name, path, middle, angle };
}

export interface Reach {
  name: string;
  hull: Point[];
  middle: Point;
}

/** The convex hull of each cabinet's lamps. */
export function cabinets(fleet: Fleet, rows: Uint32Array): Reach[] {
  return [...grouped(fleet, rows, 'cabinet')].filter(([, points]) => points.length >= 3).map(([name, points]) => {
    const sum = points.reduce((at, point) => [at[0] + point[0], at[1] + point[1]], [0, 0] as Point);
    return { name, hull: hullOf(points), middle: [sum[0] / points.length, sum[1] / points.length] };
  });
}

function grouped(fleet: Fleet, rows: Uint32Array, label: string): Map<string, Point[]> {
  const numbers = fleet.labelNumbers(label);
  const groups = new Map<string, Point[]>();
  if (!numbers) return groups;
  const words = fleet.words(`label.${label}`);
  for (const row of rows) {
    const name = words[numbers[row]!];
    if (name === undefined) continue;
    const points = groups.get(name) ?? [];
    points.push([fleet.get(row, 'longitude'), fleet.get(row, 'latitude')]);
    groups.set(name, points);
  }
  return groups;
}

/** Points in the order of the direction in which they spread most. */
function alongMainDirection(points: Point[]): Point[] {
  const middle: Point = [mean(points.map(([x]) => x)), mean(points.map(([, y]) => y))];
  const stretch = Math.cos((middle[1] * Math.PI) / 180);
  let [xx, xy, yy] = [0, 0, 0];
  for (const [x, y] of points) {
    const [east, north] = [(x - middle[0]) * stretch, y - middle[1]];
    xx += east * east;
    xy += east * north;
    yy += north * north;
  }
  const angle = Math.atan2(2 * xy, xx - yy) / 2;
  const along = ([x, y]: Point) => (x - middle[0]) * stretch * Math.cos(angle) + (y - middle[1]) * Math.sin(angle);
  return [...points].sort((one, other) => along(one) - along(other));
}

const mean = (values: number[]): number => values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);

function distance([x1, y1]: Point, [x2, y2]: Point): number {
  const stretch = Math.cos((y1 * Math.PI) / 180);
  return Math.hypot((x2 - x1) * stretch, y2 - y1);
}

/** Andrew's monotone chain. */
export function hullOf(points: Point[]): Point[] {
  const sorted = [...points].sort((one, other) => one[0] - other[0] || one[1] - other[1]);
  const turn = (a: Point, b: Point, c: Point) => (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]);
  const chain = (list: Point[]) => {
    const hull: Point[] = [];
    for (const point of list) {
      while (hull.length >= 2 && turn(hull.at(-2)!, hull.at(-1)!, point) <= 0) hull.pop();
      hull.push(point);
    }
    return hull.slice(0, -1);
  };
  return [...chain(sorted), ...chain(sorted.reverse())];
}

export interface Cluster {
  position: Point;
  lamps: number;
  lit: number;
  troubled: number;
}

const CELL_PX = 64;

/** Lamps in cells of a grid of the screen's size, at a whole zoom, so that nothing flickers while one pans. */
export function clusters(fleet: Fleet, { rows, positions }: Placed, zoom: number): Cluster[] {
  const cells = new Map<number, Cluster & { x: number; y: number }>();
  const scale = (512 * 2 ** Math.floor(zoom)) / CELL_PX;
  for (let index = 0; index < rows.length; index += 1) {
    const [longitude, latitude] = [positions[index * 2]!, positions[index * 2 + 1]!];
    const sine = Math.sin((latitude * Math.PI) / 180);
    const x = Math.floor(((longitude + 180) / 360) * scale);
    const y = Math.floor((0.5 - Math.log((1 + sine) / (1 - sine)) / (4 * Math.PI)) * scale);
    const key = y * 2 ** 26 + x;
    let cell = cells.get(key);
    if (!cell) cells.set(key, (cell = { position: [0, 0], x: 0, y: 0, lamps: 0, lit: 0, troubled: 0 }));
    const row = rows[index]!;
    cell.lamps += 1;
    cell.x += longitude;
    cell.y += latitude;
    if (isLit(fleet, row)) cell.lit += 1;
    const health = healthOf(fleet, row);
    if (health !== 'ok' && health !== 'unknown') cell.troubled += 1;
  }
  return [...cells.values()].map(({ x, y, ...cell }) => ({ ...cell, position: [x / cell.lamps, y / cell.lamps] }));
}

/** Whether a point lies in a polygon (even-odd rule). */
export function isInside(polygon: Point[], x: number, y: number): boolean {
  let inside = false;
  for (let at = 0, before = polygon.length - 1; at < polygon.length; before = at, at += 1) {
    const [x1, y1] = polygon[at]!;
    const [x2, y2] = polygon[before]!;
    if (y1 > y !== y2 > y && x < ((x2 - x1) * (y - y1)) / (y2 - y1) + x1) inside = !inside;
  }
  return inside;
}
