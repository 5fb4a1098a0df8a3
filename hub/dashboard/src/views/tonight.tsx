// The first view: is the night in order? If not, where.

import { useEffect, useState } from 'preact/hooks';
import { fleet, loading, now, refusals, state } from '../live/connection';
import { loaded } from '../parts/connection';
import { type Figures, figuresOf, lightsInLight } from '../fleet/figures';
import { type Incident, incidentsOf } from '../fleet/incidents';
import { energySince } from '../live/past';
import { type Energy } from '../fleet/past';
import { about, centre, cityNow, fromCity, night, nextEvent, phase, plannedLevel } from '../fleet/place';
import { ONLINE } from '../live/messages';
import { type Health, HEALTHS, HEALTH_WORDS, healthOf, isLit } from '../fleet/state';
import { HealthGlyph, Severity } from '../parts/glyph';
import { NightStrip } from '../parts/night-strip';
import { PHASE_WORDS } from '../parts/phase';
import { LoadCurve } from '../parts/load-curve';
import { Empty, Skeleton } from '../parts/empty';
import { useFleet } from '../parts/live';
import { linkTo } from '../router';
import { clock, count, countdown, energyParts, level, load, number, percent, plural, span } from '../format';

export function Tonight() {
  const figures = useFleet(() => figuresOf(fleet, now.value), 1_000);
  const incidents = useFleet(() => incidentsOf(fleet), 2_000);
  const isLoaded = loaded().done;
  if (figures.lamps === 0) {
    if (!isLoaded && state.value !== 'refused') return <section class="page"><Skeleton lines={8} /></section>;
    return <section class="page"><Empty icon="lamp" title="No lamps yet">A lamp appears here as soon as it is registered and has dialled in.</Empty></section>;
  }
  return (
    <section class="page tonight">
      <Banner figures={figures} />
      <Tiles figures={figures} incidents={incidents} />
      <div class="split">
        <div class="stack">
          <section class="panel" aria-labelledby="load-title">
            <h2 id="load-title">Connected load</h2>
            <LoadCurve />
          </section>
          <section class="panel" aria-labelledby="cabinets-title">
            <h2 id="cabinets-title">Cabinets</h2>
            <Cabinets />
          </section>
        </div>
        <div class="stack">
          <section class="panel" aria-labelledby="attention-title">
            <header class="panel-head"><h2 id="attention-title">Needs attention</h2><a href="#/faults">All faults</a></header>
            <Attention incidents={incidents} />
          </section>
          <section class="panel" aria-labelledby="health-title">
            <h2 id="health-title">Health of all lamps</h2>
            <HealthList figures={figures} />
          </section>
        </div>
      </div>
      <p class="fine">
        {plural(Object.keys(loading.value).length - Object.keys(refusals.value).length, 'kind')} of live values · a value counts here until it is two report periods old
      </p>
    </section>
  );
}

function Banner({ figures }: { figures: Figures }) {
  const tonight = night.value;
  if (!phase.value || !tonight || !centre.value) {
    return <header class="banner"><div><h1>Tonight</h1><p>No lamp has a place yet, so the sun is unknown here.</p></div></header>;
  }
  const next = nextEvent.value;
  const planned = plannedLevel(cityNow.value, tonight);
  const isDark = phase.value !== 'day';
  return (
    <header class={`banner ${phase.value}`}>
      <div>
        <h1>{PHASE_WORDS[phase.value]}{about.value.name ? <span> over {about.value.name}</span> : null}</h1>
        <p>
          {next && <>{next.name} at <b>{clock(next.at)}</b>, in <b>{countdown(next.at - cityNow.value)}</b> h. </>}
          {isDark && planned !== null && about.value.program && <>Program {about.value.program.name} asks for <b>{level(planned)}</b>. </>}
          {figures.wanted > 0 && <>{count(figures.lit)} of {count(figures.wanted)} lamps that should burn do.</>}
        </p>
      </div>
      <NightStrip night={tonight} />
    </header>
  );
}

/** How often the hub is asked for what all lamps drew. */
const ENERGY_EVERY_MS = 60_000;
/** Since when energy counts, in ms: fine enough, and the same while lamps come in and move the middle of the city. */
const ENERGY_SINCE_MS = 900_000;

/** What all lamps drew since noon, by their counters. */
function useEnergy(): Energy | null {
  const [energy, set] = useState<Energy | null>(null);
  // Noon by the sun over the city; where that is unknown, half a day.
  const noon = night.value ? fromCity(night.value.noon) : null;
  const since = noon === null ? null : Math.round(noon / ENERGY_SINCE_MS) * ENERGY_SINCE_MS;
  const isLoaded = loaded().done;
  useEffect(() => {
    if (!isLoaded) return;
    let isWanted = true;
    const ask = async () => {
      const told = document.hidden ? null : await energySince(since ?? now.peek() - 43_200_000);
      if (isWanted && told) set(told);
    };
    void ask();
    const timer = setInterval(ask, ENERGY_EVERY_MS);
    return () => {
      isWanted = false;
      clearInterval(timer);
    };
  }, [since, isLoaded]);
  return energy;
}

function Tiles({ figures, incidents }: { figures: Figures; incidents: Incident[] }) {
  const [watts, unit] = load(figures.loadW);
  const share = lightsInLight(figures);
  const drawn = useEnergy();
  const [wattHours, energyUnit] = energyParts(drawn?.wattHours ?? NaN);
  const online = figures.lamps === 0 ? NaN : figures.online / figures.lamps;
  return (
    <dl class="tiles">
      <Tile name="Lights in light" value={percent(share)} tone={share < 0.985 ? 'bad' : share < 0.995 ? 'warn' : 'good'}
        note={figures.wanted > 0 ? `${count(figures.lit)} of ${count(figures.wanted)} that should burn` : 'none should burn now'} />
      <Tile name="Online" value={percent(online)} tone={online < 0.97 ? 'bad' : online < 0.99 ? 'warn' : 'good'}
        note={`${count(figures.online)} of ${count(figures.lamps)} lamps`} to={linkTo('connections')} />
      <Tile name="Connected load" value={watts} unit={unit} note={Number.isNaN(figures.meanLevel) ? 'all dark' : `mean level ${level(figures.meanLevel)}`} />
      {drawn && <Tile name="Energy tonight" value={wattHours} unit={energyUnit}
        note={drawn.lamps > 0 ? `since noon, by counters of ${count(drawn.lamps)} of ${count(figures.lamps)} lamps` : 'no lamp has told its counter yet'} />}
      <Tile name="Open faults" value={count(figures.troubled)} tone={figures.troubled > 0 ? 'warn' : 'good'}
        note={`in ${plural(incidents.length, 'incident')}`} to={linkTo('faults')} />
      <Tile name="Overrides" value={count(figures.overrides)} tone={figures.overrides > 0 ? 'info' : undefined}
        note={figures.asked > 0 ? `${count(figures.asked)} more asked, not proved` : 'lamps not on their program'} to={`${linkTo('lamps')}?show=override`} />
      <Tile name={phase.value === 'dusk' ? 'Late at dusk' : 'Dark now'} value={count(figures.late)} tone={figures.late > 0 ? 'bad' : 'good'}
        note="should burn, heard, no light" to={`${linkTo('lamps')}?show=dark`} />
      <Tile name="Data freshness" value={span(figures.ageMedianMs)} note={`99 % within ${span(figures.ageP99Ms)}`} />
    </dl>
  );
}

interface TileProps {
  name: string;
  value: string;
  unit?: string;
  note: string;
  tone?: 'good' | 'warn' | 'bad' | 'info' | undefined;
  to?: string;
}

function Tile({ name, value, unit, note, tone, to }: TileProps) {
  return (
    <div class={`tile ${tone ?? ''}`}>
      <dt>{to ? <a href={to}>{name}</a> : name}</dt>
      <dd class="figure">{value}{unit && <small> {unit}</small>}</dd>
      <dd class="note">{note}</dd>
    </div>
  );
}

const ATTENTION_MAX = 6;

function Attention({ incidents }: { incidents: Incident[] }) {
  if (incidents.length === 0) return <Empty title="Nothing is wrong">No fault is open, and every lamp answers.</Empty>;
  return (
    <ul class="attention">
      {incidents.slice(0, ATTENTION_MAX).map((incident) => (
        <li key={incident.key}>
          <a href={`${linkTo('faults')}?of=${encodeURIComponent(incident.key)}`}>
            <Severity level={incident.severity} />
            <b>{incident.title}</b>
            <span>{incident.of > 0 ? `${count(incident.rows.length)} of ${plural(incident.of, 'lamp')}` : plural(incident.rows.length, 'lamp')}{incident.where && ` · ${incident.where}`}</span>
            <small>{incident.since ? span(now.value - incident.since) : ''}</small>
          </a>
        </li>
      ))}
    </ul>
  );
}

function HealthList({ figures }: { figures: Figures }) {
  return (
    <ul class="health-list">
      {HEALTHS.map((name: Health) => (
        <li key={name} class={figures.health[name] === 0 ? 'none' : ''}>
          <a href={`${linkTo('lamps')}?show=${name}`}>
            <HealthGlyph health={name} /><span>{HEALTH_WORDS[name]}</span><b>{count(figures.health[name])}</b>
          </a>
        </li>
      ))}
    </ul>
  );
}

interface Cell {
  name: string;
  lamps: number;
  lit: number;
  silent: number;
  troubled: number;
}

const CELLS_MAX = 2_500;
/** Made once: to make one for each comparison takes most of the time. */
const byName = new Intl.Collator(undefined, { numeric: true });

/** One cell a cabinet: its share of burning lamps as brightness, what is wrong as an edge and a number. */
function Cabinets() {
  // A thousand cells are looked at less often.
  const cells = useFleet(cabinetCells, fleet.size > 20_000 ? 5_000 : 2_000);
  if (cells.length === 0) return <Empty icon="lamp" title="No lamp has the label cabinet">Give lamps the label <code>cabinet</code> to see which of them hang together.</Empty>;
  return (
    <>
      <ul class={`cells ${cells.length > 200 ? 'many' : ''}`}>
        {cells.slice(0, CELLS_MAX).map((cell) => (
          <li key={cell.name}>
            <a class={cellTone(cell)} data-lit={Math.round((cell.lit / Math.max(1, cell.lamps)) * 10)} href={`${linkTo('lamps')}?q=${encodeURIComponent(cell.name)}`}
              title={`${cell.name}: ${count(cell.lit)} of ${plural(cell.lamps, 'lamp')} lit, ${count(cell.silent)} silent, ${count(cell.troubled)} with trouble`}>
              <b>{cell.name}</b><span>{count(cell.lit)}<i>/{count(cell.lamps)}</i></span>
              {cell.troubled > 0 && <em>{count(cell.troubled)}</em>}
            </a>
          </li>
        ))}
      </ul>
      <p class="fine">Burning of all lamps. {number(cells.length, 0)} cabinets.</p>
    </>
  );
}

function cellTone({ lamps, silent, troubled }: Cell): string {
  if (silent >= 0.8 * lamps) return 'cell out';
  return troubled > 0 ? 'cell mixed' : 'cell';
}

function cabinetCells(): Cell[] {
  const numbers = fleet.labelNumbers('cabinet');
  if (!numbers) return [];
  const words = fleet.words('label.cabinet');
  const cells = new Map<number, Cell>();
  for (const row of fleet.each()) {
    if (numbers[row]! < 0) continue;
    let cell = cells.get(numbers[row]!);
    if (!cell) cells.set(numbers[row]!, (cell = { name: words[numbers[row]!] ?? '', lamps: 0, lit: 0, silent: 0, troubled: 0 }));
    cell.lamps += 1;
    if (isLit(fleet, row)) cell.lit += 1;
    if (fleet.get(row, 'online') === ONLINE.no) cell.silent += 1;
    const health = healthOf(fleet, row);
    if (health !== 'ok' && health !== 'unknown') cell.troubled += 1;
  }
  return [...cells.values()].sort((one, other) => byName.compare(one.name, other.name));
}
