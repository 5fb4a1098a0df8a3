import { expect, test } from 'vitest';
import { type Point, hullOf, isInside } from '../src/map/geometry';

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
