// All lamps as the page holds them: one typed array a column, one number a label.
//
// Nothing here is an object a lamp. 100,000 lamps take some 25 MB, and a pass over all of one column takes
// well under a millisecond. `version` grows with every change; views read the columns when they draw.

import { signal } from '@preact/signals';
import { COLUMNS, type Changes, type Column, KEEP, type OpenFault, STRIDE } from '../live/messages';

const FIRST_ROWS = 1024;

export class Fleet {
  /** Grows with every batch of changes. */
  readonly version = signal(0);
  /** Grows when lamps come, go, or change their labels or places. */
  readonly shape = signal(0);
  readonly ids: string[] = [];
  readonly faults = new Map<number, OpenFault[]>();
  /** Label names that any lamp has, as `street`. */
  readonly labelNames: string[] = [];
  rows = 0;
  /** ms between two reports, as seen; 0 unknown. */
  periodMs = 0;
  messages = 0;
  #capacity = FIRST_ROWS;
  #columns = {} as Record<Column, Float64Array>;
  #rowOf = new Map<string, number>();
  #words = new Map<string, string[]>();
  #labels: Int32Array[] = [];

  constructor() {
    for (const name of COLUMNS) this.#columns[name] = new Float64Array(FIRST_ROWS).fill(unknownOf(name));
  }

  /** The numbers of one column, a row each; NaN is unknown. Read only up to `rows`. */
  column(name: Column): Float64Array {
    return this.#columns[name];
  }

  get(row: number, name: Column): number {
    return this.#columns[name][row]!;
  }

  row(id: string): number | undefined {
    return this.#rowOf.get(id);
  }

  id(row: number): string {
    return this.ids[row]!;
  }

  isHere(row: number): boolean {
    return this.#columns.removed[row] !== 1;
  }

  /** The value of a label, '' if the lamp has none. */
  label(row: number, name: string): string {
    const list = this.labelNames.indexOf(name);
    if (list < 0) return '';
    const number = this.#labels[list]![row]!;
    return number < 0 ? '' : (this.#words.get(`label.${name}`)?.[number] ?? '');
  }

  /** The numbers behind one label, to group by; null if no lamp has it. -1 is none. */
  labelNumbers(name: string): Int32Array | null {
    return this.#labels[this.labelNames.indexOf(name)] ?? null;
  }

  /** The words behind the numbers of a label, or of `agent`. */
  words(list: string): readonly string[] {
    return this.#words.get(list) ?? [];
  }

  /** Every lamp that is there. */
  *each(): Generator<number> {
    for (let row = 0; row < this.rows; row += 1) if (this.isHere(row)) yield row;
  }

  get size(): number {
    return this.#rowOf.size;
  }

  /** Takes a batch; how many lamps began another session with it. */
  apply(changes: Changes): number {
    const { packed, ids, words, labels, labelNames, faults } = changes;
    this.#grow(changes.rows);
    for (const id of ids) this.#rowOf.set(id, this.ids.push(id) - 1);
    this.rows = changes.rows;
    for (const name of labelNames) {
      this.labelNames.push(name);
      this.#labels.push(new Int32Array(this.#capacity).fill(-1));
    }
    for (const { list, words: fresh } of words) this.#words.set(list, [...this.words(list), ...fresh]);
    for (let at = 0; at < labels.length; at += 3) this.#labels[labels[at + 1]!]![labels[at]!] = labels[at + 2]!;
    const { isMoved, came } = this.#unpack(packed);
    for (const { row, open } of faults) {
      if (open.length > 0) this.faults.set(row, open);
      else this.faults.delete(row);
    }
    this.messages = changes.messages;
    if (changes.periodMs > 0) this.periodMs = changes.periodMs;
    this.version.value += 1;
    if (ids.length > 0 || labels.length > 0 || isMoved) this.shape.value += 1;
    return came;
  }

  /** Puts packed rows where they belong: whether a lamp moved or went, and how many came again. */
  #unpack(packed: Float64Array): { isMoved: boolean; came: number } {
    const columns = COLUMNS.map((name) => this.#columns[name]);
    const removed = COLUMNS.indexOf('removed');
    const [generation, generations] = [COLUMNS.indexOf('generation'), this.#columns.generation];
    let isMoved = false;
    let came = 0;
    for (let at = 0; at < packed.length; at += STRIDE) {
      const row = packed[at]!;
      if (packed[at + 1] !== KEEP || packed[at + 1 + removed] !== KEEP) isMoved = true;
      if (packed[at + 1 + removed] === 1) this.#rowOf.delete(this.ids[row]!);
      const session = packed[at + 1 + generation]!;
      if (session !== KEEP && generations[row]! > 0 && session > generations[row]!) came += 1;
      for (let column = 0; column < columns.length; column += 1) {
        const value = packed[at + 1 + column]!;
        if (value !== KEEP) columns[column]![row] = value;
      }
    }
    return { isMoved, came };
  }

  #grow(rows: number): void {
    if (rows <= this.#capacity) return;
    const capacity = Math.max(rows, this.#capacity * 2);
    for (const name of COLUMNS) {
      const larger = new Float64Array(capacity).fill(unknownOf(name));
      larger.set(this.#columns[name]);
      this.#columns[name] = larger;
    }
    this.#labels = this.#labels.map((list) => {
      const larger = new Int32Array(capacity).fill(-1);
      larger.set(list);
      return larger;
    });
    this.#capacity = capacity;
  }
}

/** What a lamp that said nothing has in a column. */
function unknownOf(name: Column): number {
  const isCount = ['online', 'onlineSince', 'generation', 'measured', 'sampled', 'state', 'reason', 'commandState', 'commandTime', 'removed'];
  if (name === 'agent') return -1;
  return isCount.includes(name) ? 0 : NaN;
}
