// Changes of many lamps on their way to the page: one packed row for each lamp that changed since the
// last flush, whatever how often it did.

import { COLUMN_INDEX, type Column, KEEP, STRIDE } from './messages';

const FIRST_ROWS = 256;

export class RowBuffer {
  #packed = new Float64Array(FIRST_ROWS * STRIDE);
  #used = 0;
  /** Slot of a row in the buffer + 1; 0 none. */
  #slots = new Int32Array(1024);

  get isEmpty(): boolean {
    return this.#used === 0;
  }

  /** Puts one number; the last one before a flush counts. */
  put(row: number, column: Column, value: number): void {
    // The slot first: to find it may make a larger buffer.
    const slot = this.#slotOf(row);
    this.#packed[slot * STRIDE + 1 + COLUMN_INDEX[column]] = value;
  }

  /** What is in it, and begins anew. */
  take(): Float64Array {
    const taken = this.#packed.slice(0, this.#used * STRIDE);
    for (let slot = 0; slot < this.#used; slot += 1) this.#slots[taken[slot * STRIDE]!] = 0;
    this.#used = 0;
    // A snapshot of a city needs megabytes once; what follows needs kilobytes.
    if (this.#packed.length > 4096 * STRIDE) this.#packed = new Float64Array(FIRST_ROWS * STRIDE);
    return taken;
  }

  #slotOf(row: number): number {
    if (row >= this.#slots.length) {
      const larger = new Int32Array(Math.max(row + 1, this.#slots.length * 2));
      larger.set(this.#slots);
      this.#slots = larger;
    }
    const known = this.#slots[row]!;
    if (known > 0) return known - 1;
    const slot = this.#used;
    this.#used += 1;
    if (this.#used * STRIDE > this.#packed.length) {
      const larger = new Float64Array(this.#packed.length * 2);
      larger.set(this.#packed);
      this.#packed = larger;
    }
    this.#packed.fill(KEEP, slot * STRIDE, (slot + 1) * STRIDE);
    this.#packed[slot * STRIDE] = row;
    this.#slots[row] = slot + 1;
    return slot;
  }
}
