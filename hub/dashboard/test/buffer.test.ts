import { expect, test } from 'vitest';
import { RowBuffer } from '../src/live/buffer';
import { COLUMN_INDEX, KEEP, STRIDE } from '../src/live/messages';

test('many rows arrive whole, also those that made the buffer grow', () => {
  const buffer = new RowBuffer();
  for (let row = 0; row < 10_000; row += 1) buffer.put(row, 'latitude', row / 2);
  const packed = buffer.take();
  expect(packed.length).toBe(10_000 * STRIDE);
  for (let slot = 0; slot < 10_000; slot += 1) {
    expect(packed[slot * STRIDE + 1 + COLUMN_INDEX.latitude]).toBe(packed[slot * STRIDE]! / 2);
  }
});

test('only what was put is said, and the last put counts', () => {
  const buffer = new RowBuffer();
  buffer.put(7, 'power', 30);
  buffer.put(7, 'power', 31);
  const packed = buffer.take();
  expect(packed[0]).toBe(7);
  expect(packed[1 + COLUMN_INDEX.power]).toBe(31);
  expect(packed[1 + COLUMN_INDEX.actual]).toBe(KEEP);
  expect(buffer.isEmpty).toBe(true);
});
