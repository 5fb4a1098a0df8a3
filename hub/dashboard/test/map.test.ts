import { expect, test } from 'vitest';
import { type Point, hullOf, isInside } from '../src/map/geometry';
import { badgeAt, badgeOffset } from '../src/map/marks';

test('a hull has the corners and nothing within', () => {
  const square: Point[] = [[0, 0], [2, 0], [2, 2], [0, 2], [1, 1], [0.5, 1.5]];
  expect(hullOf(square).sort()).toEqual([[0, 0], [0, 2], [2, 0], [2, 2]]);
});

test('a lasso takes what lies in it, also where it bends inwards', () => {
  const bent: Point[] = [[0, 0], [4, 0], [4, 4], [2, 1], [0, 4]];
  expect(isInside(bent, 1, 1)).toBe(true);
  expect(isInside(bent, 2, 3)).toBe(false);
  expect(isInside(bent, 5, 1)).toBe(false);
});

test('a badge means its own lamp, also where it covers the lamp beside', () => {
  const zoom = 17;
  const project = ([longitude, latitude]: Point): Point => [longitude * 100, -latitude * 100];
  const [right, down] = badgeOffset(zoom);
  const badged: { row: number; position: Point }[] = [{ row: 7, position: [1, 1] }, { row: 9, position: [2, 1] }];
  expect(badgeAt(badged, [100 + right, -100 + down], zoom, project)).toBe(7);
  expect(badgeAt(badged, [200 + right, -100 + down], zoom, project)).toBe(9);
  expect(badgeAt(badged, [100 - right, -100 - down], zoom, project)).toBeUndefined();
});
