// Which lamps a list shows, and in which order: rows, never copies of lamps.

import { type Column } from '../live/messages';
import type { Fleet } from './fleet';
import { HEALTHS, healthOf, isAsked, isLit, isOverridden } from './state';

export interface Filter {
  /** Stands in the id or in a label. */
  text: string;
  /** `all`, `lit`, `dark`, … */
  show: string;
  /** Ids that a selector of the hub named; null without one. */
  only: Set<string> | null;
}

export const SHOWS: { show: string; word: string }[] = [
  { show: 'all', word: 'All' },
  { show: 'lit', word: 'Lit' },
  { show: 'unlit', word: 'Not lit' },
  { show: 'trouble', word: 'In trouble' },
  { show: 'override', word: 'Override' },
  { show: 'asked', word: 'Asked' },
];

export function rowsOf(fleet: Fleet, { text, show, only }: Filter): number[] {
  const found: number[] = [];
  const isMeant = textTest(fleet, text.trim().toLowerCase());
  for (const row of fleet.each()) {
    if (only && !only.has(fleet.id(row))) continue;
    if (isShown(fleet, row, show) && isMeant(row)) found.push(row);
  }
  return found;
}

function isShown(fleet: Fleet, row: number, show: string): boolean {
  switch (show) {
    case 'all': case '': return true;
    case 'lit': return isLit(fleet, row);
    case 'unlit': return !isLit(fleet, row);
    case 'override': return isOverridden(fleet, row);
    case 'asked': return isAsked(fleet, row);
    case 'trouble': {
      const health = healthOf(fleet, row);
      return health !== 'ok' && health !== 'unknown';
    }
    default: return (HEALTHS as readonly string[]).includes(show) && healthOf(fleet, row) === show;
  }
}

/** Each word of the text has to stand somewhere; labels are looked through once, not once a lamp. */
function textTest(fleet: Fleet, text: string): (row: number) => boolean {
  if (text === '') return () => true;
  const tests = text.split(/\s+/).map((word) => wordTest(fleet, word));
  const whole = wordTest(fleet, text);
  return (row) => whole(row) || tests.every((test) => test(row));
}

function wordTest(fleet: Fleet, word: string): (row: number) => boolean {
  const hits = fleet.labelNames.map((name) => {
    const numbers = fleet.labelNumbers(name)!;
    const found = new Set<number>();
    fleet.words(`label.${name}`).forEach((value, number) => {
      // A cabinet is called C1, and C12 is another one.
      const isShort = value.length <= 4;
      if (isShort ? value.toLowerCase() === word : value.toLowerCase().includes(word)) found.add(number);
    });
    return { numbers, found };
  });
  return (row) => fleet.id(row).includes(word) || hits.some(({ numbers, found }) => found.has(numbers[row]!));
}

export type SortKey = { column: Column } | { label: string } | { id: true } | { health: true };

/** Sorts in place; unknown values stand last whichever way. */
export function sortRows(fleet: Fleet, rows: number[], key: SortKey, isDown: boolean): number[] {
  const turn = isDown ? -1 : 1;
  if ('column' in key) {
    const values = fleet.column(key.column);
    return rows.sort((one, other) => compareNumbers(values[one]!, values[other]!, turn) || one - other);
  }
  if ('health' in key) {
    const order = new Map(HEALTHS.map((name, index) => [name, index]));
    const rank = new Map(rows.map((row) => [row, order.get(healthOf(fleet, row))!]));
    return rows.sort((one, other) => (rank.get(one)! - rank.get(other)!) * turn || one - other);
  }
  if ('label' in key) {
    const collator = new Intl.Collator(undefined, { numeric: true });
    const numbers = fleet.labelNumbers(key.label);
    if (!numbers) return rows;
    const words = fleet.words(`label.${key.label}`);
    const place = new Map([...words.keys()].sort((one, other) => collator.compare(words[one]!, words[other]!)).map((number, index) => [number, index]));
    const rank = (row: number) => place.get(numbers[row]!) ?? NaN;
    return rows.sort((one, other) => compareNumbers(rank(one), rank(other), turn) || one - other);
  }
  const places = placesById(fleet);
  return rows.sort((one, other) => (places[one]! - places[other]!) * turn);
}

let known: { ids: readonly string[]; places: Int32Array } | null = null;

/** The place of each row in the order of ids, numbers in them by their value. Made anew when lamps came. */
function placesById({ ids }: Fleet): Int32Array {
  if (known?.ids === ids && known.places.length === ids.length) return known.places;
  // An id is a-z, 0-9, - and _: padded it sorts as text, which is many times as fast as by a language's rules.
  const padded = ids.map((id) => id.replace(/\d+/g, (digits) => digits.padStart(20, '0')));
  const order = [...padded.keys()].sort((one, other) => (padded[one]! < padded[other]! ? -1 : padded[one] === padded[other] ? one - other : 1));
  const places = new Int32Array(ids.length);
  order.forEach((row, place) => (places[row] = place));
  known = { ids, places };
  return places;
}

function compareNumbers(one: number, other: number, turn: number): number {
  const [isUnknown, isOtherUnknown] = [Number.isNaN(one), Number.isNaN(other)];
  if (isUnknown || isOtherUnknown) return Number(isUnknown) - Number(isOtherUnknown);
  return (one - other) * turn;
}
