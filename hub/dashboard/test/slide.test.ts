import { WebMercatorViewport } from '@deck.gl/core';
import { expect, test, vi } from 'vitest';
import { Slide } from '../src/map/slide';

const viewport = (longitude: number, latitude = 51) => new WebMercatorViewport({ width: 1000, height: 600, zoom: 14, longitude, latitude });
/** Degrees of longitude that are so many pixels at this zoom. */
const degrees = (px: number) => (px * 360) / (512 * 2 ** 14);

function slow() {
  const canvas = { style: { transform: '' } } as HTMLElement;
  const redraw = vi.fn();
  const slide = new Slide(() => canvas, redraw);
  slide.drawing(viewport(12));
  slide.begin();
  for (let at = 0; at < 8; at += 1) slide.drawn(true, at * 100);
  return { canvas, redraw, slide };
}

/** px that the picture is moved to the right. */
const right = ({ style }: HTMLElement) => Number(/translate\(([-\d.]+)px/.exec(style.transform)?.[1] ?? 0);

test('pictures that come fast are drawn step by step', () => {
  const slide = new Slide(() => null, () => undefined);
  slide.drawing(viewport(12));
  for (let at = 0; at < 100; at += 1) slide.drawn(true, at * 16);
  expect(slide.moves(14)).toBe(false);
});

test('a slow picture is moved with the hand, and drawn anew when the hand rests', () => {
  vi.useFakeTimers();
  const { canvas, redraw, slide } = slow();
  expect(slide.moves(14)).toBe(true);
  expect(slide.moves(14.1)).toBe(false);
  slide.to([12 - degrees(100), 51]);
  expect(right(canvas)).toBeCloseTo(100, 0);
  expect(redraw).not.toHaveBeenCalled();
  vi.advanceTimersByTime(1_000);
  expect(redraw).toHaveBeenCalledTimes(1);
  vi.useRealTimers();
});

test('the old picture stays where it is until the new one is there, wherever the hand goes meanwhile', () => {
  const { canvas, redraw, slide } = slow();
  slide.to([12 - degrees(300), 51]);
  expect(redraw).toHaveBeenCalledTimes(1);
  slide.drawing(viewport(12 - degrees(300)));
  expect(right(canvas)).toBeCloseTo(300, 0);
  slide.to([12 - degrees(340), 51]);
  expect(right(canvas)).toBeCloseTo(340, 0);
  expect(redraw).toHaveBeenCalledTimes(1);
  slide.drawn(true, 10_000);
  expect(right(canvas)).toBeCloseTo(40, 0);
  slide.close();
});
