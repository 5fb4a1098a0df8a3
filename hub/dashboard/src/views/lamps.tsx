// All lamps as a table: searched, filtered, sorted, chosen, sent to, exported.

import { useEffect, useMemo, useState } from 'preact/hooks';
import { fleet } from '../live/connection';
import { ActionBar } from '../commands/action-bar';
import { HEALTHS, HEALTH_WORDS } from '../fleet/state';
import { LAMP_COLUMNS } from '../fleet/lamp-columns';
import { SHOWS, rowsOf, sortRows } from '../fleet/filter';
import { Empty, Skeleton } from '../parts/empty';
import { Icon } from '../parts/icon';
import { Table } from '../parts/table';
import { loaded } from '../parts/connection';
import { useFleet } from '../parts/live';
import { Refusal, api } from '../session';
import { columnsShown, savedFilters } from '../settings';
import { route } from '../router';
import { count, plural } from '../format';
import { saveCsv } from '../parts/csv';

export function Lamps() {
  const { query } = route.value;
  const [text, setText] = useState(query.get('q') ?? '');
  const [show, setShow] = useState(query.get('show') ?? 'all');
  const [where, setWhere] = useState(query.get('where') ?? '');
  const [only, setOnly] = useState<Set<string> | null>(null);
  const [problem, setProblem] = useState('');
  const [sort, setSort] = useState({ key: 'id', isDown: false });
  const [chosen, choose] = useState<Set<string>>(new Set());
  useEffect(() => {
    setText(query.get('q') ?? '');
    setShow(query.get('show') ?? 'all');
    if (query.get('where')) void select(query.get('where')!);
  }, [query.toString()]);
  const select = async (selector: string) => {
    setWhere(selector);
    setProblem('');
    if (selector.trim() === '') return setOnly(null);
    try {
      setOnly(await idsOf(selector));
    } catch (error) {
      setProblem(error instanceof Refusal ? error.message : String(error));
    }
  };
  // A large fleet is sorted less often; what stands in the cells is live all the same.
  const pace = fleet.size > 20_000 ? 4_000 : 1_000;
  const column = LAMP_COLUMNS.find(({ key }) => key === sort.key) ?? LAMP_COLUMNS[0]!;
  const rows = useFleet(() => sortRows(fleet, rowsOf(fleet, { text, show, only }), column.sort, sort.isDown), pace, [text, show, only, sort]);
  const columns = useMemo(() => LAMP_COLUMNS.filter(({ key }) => columnsShown.value.includes(key)), [columnsShown.value]);
  const ids = [...chosen].filter((id) => fleet.row(id) !== undefined);
  return (
    <section class="page lamps">
      <header class="toolbar">
        <h1>Lamps <small>{count(rows.length)}{rows.length !== fleet.size && ` of ${count(fleet.size)}`}</small></h1>
        <label class="field search"><span class="visually-hidden">Search lamps</span>
          <Icon name="search" /><input type="search" placeholder="Id, street, cabinet" value={text} onInput={(event) => setText(event.currentTarget.value)} />
        </label>
        <Selector where={where} problem={problem} onSelect={select} />
        <Columns />
        <button type="button" onClick={() => saveCsv('lamps', columns, rows)}><Icon name="export" />CSV</button>
      </header>
      <Filters show={show} onShow={setShow} text={text} where={where}
        onPick={(saved) => { setText(saved.text); setShow(saved.show); void select(saved.where); }} />
      {fleet.size === 0 && !loaded().done ? <Skeleton lines={14} /> : rows.length === 0 ? (
        <Empty icon="search" title={fleet.size === 0 ? 'No lamps yet' : 'No lamp is meant by this'}>
          {fleet.size === 0 ? 'A lamp appears here as soon as it is registered.' : 'Take a word or a filter away.'}
        </Empty>
      ) : (
        <Table columns={columns} rows={rows} sort={sort} onSort={setSort} chosen={chosen} onChoose={choose} />
      )}
      {ids.length > 0 && (
        <footer class="selection-bar">
          <div class="selection-head"><b>{plural(ids.length, 'lamp')} chosen</b><button type="button" class="quiet" onClick={() => choose(new Set())}>Clear</button></div>
          <ActionBar target={{ lamps: ids }} lamps={ids.length} onSent={() => choose(new Set())} />
        </footer>
      )}
    </section>
  );
}

const PAGE = 1000;
/** Above this the hub's answer is read no further: a selector for a list should mean fewer. */
const IDS_MAX = 20_000;

async function idsOf(selector: string): Promise<Set<string>> {
  const found = new Set<string>();
  let cursor = '';
  do {
    const query = new URLSearchParams({ where: selector, fields: 'id', limit: String(PAGE), ...(cursor ? { cursor } : {}) });
    const { devices, next } = await api<{ devices: { id: string }[]; next: string | null }>(`/v1/devices?${query}`);
    for (const { id } of devices) found.add(id);
    cursor = next ?? '';
  } while (cursor !== '' && found.size < IDS_MAX);
  return found;
}

function Selector({ where, problem, onSelect }: { where: string; problem: string; onSelect: (text: string) => void }) {
  const [typed, type] = useState(where);
  useEffect(() => type(where), [where]);
  return (
    <form class="field selector-field" onSubmit={(event) => { event.preventDefault(); onSelect(typed); }}>
      <input type="text" aria-label="Selector, as power>40 and street='Queen St'" placeholder="Selector: power>40 and not (state='on')" value={typed} onInput={(event) => type(event.currentTarget.value)}
        spellcheck={false} aria-invalid={problem !== ''} aria-describedby="selector-problem" />
      <button type="submit">Select</button>
      {where && <button type="button" class="quiet" aria-label="Clear the selector" onClick={() => onSelect('')}><Icon name="close" /></button>}
      <span id="selector-problem" class="problem" role="alert">{problem}</span>
    </form>
  );
}

function Columns() {
  return (
    <details class="menu">
      <summary><Icon name="columns" />Columns</summary>
      <div class="menu-body">
        {LAMP_COLUMNS.map(({ key, name }) => (
          <label key={key}>
            <input type="checkbox" checked={columnsShown.value.includes(key)} disabled={key === 'id'}
              onChange={(event) => {
                const others = columnsShown.value.filter((one) => one !== key);
                columnsShown.value = event.currentTarget.checked ? [...others, key] : others;
              }} />{name}
          </label>
        ))}
      </div>
    </details>
  );
}

interface FiltersProps {
  show: string;
  onShow: (show: string) => void;
  text: string;
  where: string;
  onPick: (saved: { text: string; show: string; where: string }) => void;
}

function Filters({ show, onShow, text, where, onPick }: FiltersProps) {
  const special = (HEALTHS as readonly string[]).includes(show) ? [{ show, word: HEALTH_WORDS[show as keyof typeof HEALTH_WORDS] }] : [];
  const save = () => {
    const name = [SHOWS.concat(special).find((one) => one.show === show)?.word, text, where].filter((part) => part && part !== 'All').join(' · ');
    if (name) savedFilters.value = [...savedFilters.value.filter((one) => one.name !== name), { name, text, show, where }];
  };
  return (
    <div class="chips" role="group" aria-label="Show">
      {[...SHOWS, ...special].map((one) => (
        <button key={one.show} type="button" class="chip" aria-pressed={show === one.show} onClick={() => onShow(one.show)}>{one.word}</button>
      ))}
      <button type="button" class="chip quiet" disabled={show === 'all' && !text && !where} onClick={save}><Icon name="star" />Save filter</button>
      {savedFilters.value.map((saved) => (
        <span key={saved.name} class="chip saved">
          <button type="button" onClick={() => onPick(saved)}>{saved.name}</button>
          <button type="button" aria-label={`Forget the filter ${saved.name}`} onClick={() => (savedFilters.value = savedFilters.value.filter((one) => one !== saved))}><Icon name="close" /></button>
        </span>
      ))}
    </div>
  );
}
