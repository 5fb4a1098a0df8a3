// A table of any length: only the rows in sight are in the document.

import { useEffect, useRef, useState } from 'preact/hooks';
import { fleet, now } from '../live/connection';
import type { LampColumn } from '../fleet/lamp-columns';
import { go, linkTo } from '../router';
import { useFleet } from './live';
import { Icon } from './icon';

const ROW_PX = 34;
const MARGIN_ROWS = 12;
/** Browsers draw no element that is higher than some 16 million px. */
const HEIGHT_MAX = 12_000_000;

interface Sort {
  key: string;
  isDown: boolean;
}

interface Props {
  columns: LampColumn[];
  rows: number[];
  sort: Sort;
  onSort: (sort: Sort) => void;
  chosen: Set<string>;
  onChoose: (chosen: Set<string>) => void;
}

export function Table({ columns, rows, sort, onSort, chosen, onChoose }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const [top, setTop] = useState(0);
  const [height, setHeight] = useState(600);
  const [at, moveTo] = useState(0);
  useEffect(() => {
    const resize = new ResizeObserver(([entry]) => setHeight(entry!.contentRect.height));
    resize.observe(box.current!);
    return () => resize.disconnect();
  }, []);
  // What stands in the cells follows the fleet and the clock.
  useFleet(() => ({}), 250, [], 1_000);
  now.value;
  const first = Math.max(0, Math.floor(top / ROW_PX) - MARGIN_ROWS);
  const last = Math.min(rows.length, Math.ceil((top + height) / ROW_PX) + MARGIN_ROWS);
  const template = `36px ${columns.map(({ width }) => `minmax(${width}px, ${width}fr)`).join(' ')}`;
  const width = 36 + columns.reduce((sum, column) => sum + column.width, 0);
  const toggle = (id: string) => {
    const changed = new Set(chosen);
    if (!changed.delete(id)) changed.add(id);
    onChoose(changed);
  };
  const press = (event: KeyboardEvent) => {
    if ((event.target as HTMLElement).closest('a, button, input') && event.key !== 'ArrowDown' && event.key !== 'ArrowUp') return;
    const to = moved(event.key, at, rows.length, Math.floor(height / ROW_PX));
    if (to !== null) {
      moveTo(to);
      reveal(box.current!, to);
    } else if (event.key === 'Enter' && rows[at] !== undefined) go(linkTo('lamp', fleet.id(rows[at]!)));
    else if (event.key === ' ' && rows[at] !== undefined) toggle(fleet.id(rows[at]!));
    else return;
    event.preventDefault();
  };
  const all = rows.length > 0 && rows.every((row) => chosen.has(fleet.id(row)));
  return (
    <div class="table" ref={box} role="grid" aria-rowcount={rows.length + 1} aria-colcount={columns.length + 1} aria-label="Lamps" tabIndex={0}
      onScroll={(event) => setTop(event.currentTarget.scrollTop)} onKeyDown={press} aria-activedescendant={rows[at] === undefined ? undefined : `row-${at}`}>
      <div class="table-head" role="row" style={{ gridTemplateColumns: template, minWidth: `${width}px` }}>
        <span role="columnheader" class="choose">
          <input type="checkbox" aria-label="Choose all shown" checked={all} onChange={() => onChoose(all ? new Set() : new Set(rows.map((row) => fleet.id(row))))} />
        </span>
        {columns.map(({ key, name, isNumber }) => (
          <span key={key} role="columnheader" class={isNumber ? 'number' : ''} aria-sort={sort.key === key ? (sort.isDown ? 'descending' : 'ascending') : undefined}>
            <button type="button" onClick={() => onSort({ key, isDown: sort.key === key ? !sort.isDown : false })}>
              {name}{sort.key === key && <span class={sort.isDown ? 'arrow' : 'arrow up'}><Icon name="down" /></span>}
            </button>
          </span>
        ))}
      </div>
      <div class="table-body" role="presentation" style={{ height: `${Math.min(HEIGHT_MAX, rows.length * ROW_PX)}px`, minWidth: `${width}px` }}>
        {rows.slice(first, last).map((row, index) => {
          const place = first + index;
          const id = fleet.id(row);
          return (
            <div key={id} id={`row-${place}`} role="row" aria-rowindex={place + 2} aria-selected={chosen.has(id)} class={place === at ? 'row at' : 'row'}
              style={{ top: `${place * ROW_PX}px`, gridTemplateColumns: template }} onClick={() => moveTo(place)} onDblClick={() => go(linkTo('lamp', id))}>
              <span role="gridcell" class="choose"><input type="checkbox" aria-label={`Choose ${id}`} checked={chosen.has(id)} tabIndex={-1} onChange={() => toggle(id)} /></span>
              {columns.map((column) => <span key={column.key} role="gridcell" class={column.isNumber ? 'number' : ''}>{column.cell(row)}</span>)}
            </div>
          );
        })}
      </div>
    </div>
  );
}

function moved(key: string, at: number, rows: number, page: number): number | null {
  const last = Math.max(0, rows - 1);
  switch (key) {
    case 'ArrowDown': return Math.min(last, at + 1);
    case 'ArrowUp': return Math.max(0, at - 1);
    case 'PageDown': return Math.min(last, at + page);
    case 'PageUp': return Math.max(0, at - page);
    case 'Home': return 0;
    case 'End': return last;
    default: return null;
  }
}

function reveal(box: HTMLElement, place: number): void {
  const top = place * ROW_PX;
  const head = 36;
  if (top < box.scrollTop) box.scrollTop = top;
  else if (top + ROW_PX > box.scrollTop + box.clientHeight - head) box.scrollTop = top + ROW_PX - box.clientHeight + head;
}
