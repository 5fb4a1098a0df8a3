// What is wrong, by its root: one dark cabinet is one incident.

import { useState } from 'preact/hooks';
import { fleet, now } from '../live/connection';
import { ActionBar } from '../commands/action-bar';
import { type Incident, faultAdvice, incidentsOf } from '../fleet/incidents';
import { healthOf, isAsked, isOverridden, lightOf } from '../fleet/state';
import { Age } from '../parts/age';
import { Empty, Skeleton } from '../parts/empty';
import { LampGlyph, Severity } from '../parts/glyph';
import { loaded } from '../parts/connection';
import { useFleet } from '../parts/live';
import { linkTo, route } from '../router';
import { count, dateTime, level, plural, span, watts } from '../format';

export function Faults() {
  const incidents = useFleet(() => incidentsOf(fleet), 1_000);
  const wanted = route.value.query.get('of');
  const [open, setOpen] = useState<string | null>(wanted);
  const lamps = new Set(incidents.flatMap(({ rows }) => rows)).size;
  return (
    <section class="page faults">
      <header class="toolbar">
        <h1>Faults <small>{plural(lamps, 'lamp')} in {plural(incidents.length, 'incident')}</small></h1>
      </header>
      {incidents.length === 0 && (loaded().done || fleet.size > 0
        ? <Empty title="Nothing is wrong">No fault is open, and every lamp answers. New faults appear here by themselves.</Empty>
        : <Skeleton lines={6} />)}
      <ul class="incidents">
        {incidents.map((incident) => (
          <li key={incident.key} class={`incident s${incident.severity}`}>
            <Row incident={incident} isOpen={open === incident.key} onToggle={() => setOpen(open === incident.key ? null : incident.key)} />
            {open === incident.key && <Detail incident={incident} />}
          </li>
        ))}
      </ul>
    </section>
  );
}

function Row({ incident, isOpen, onToggle }: { incident: Incident; isOpen: boolean; onToggle: () => void }) {
  const { severity, title, where, rows, of, since } = incident;
  return (
    <button type="button" class="incident-row" aria-expanded={isOpen} onClick={onToggle}>
      <Severity level={severity} />
      <span class="title"><b>{title}</b>{where && <span>{where}</span>}</span>
      <span class="lamps">{of > 0 ? `${count(rows.length)} of ${plural(of, 'lamp')}` : plural(rows.length, 'lamp')}</span>
      <time title={since ? dateTime(since) : ''}>{since ? `for ${span(now.value - since)}` : ''}</time>
    </button>
  );
}

const SHOWN_MAX = 100;

function Detail({ incident }: { incident: Incident }) {
  const { kind, rows } = incident;
  const ids = rows.map((row) => fleet.id(row));
  return (
    <div class="incident-detail">
      <p>{faultAdvice(kind)}</p>
      <table>
        <thead><tr><th scope="col">Lamp</th><th scope="col">Street</th><th scope="col">Cabinet</th><th scope="col">Light</th><th scope="col">Since</th><th scope="col">Last heard</th></tr></thead>
        <tbody>
          {rows.slice(0, SHOWN_MAX).map((row) => {
            const fault = fleet.faults.get(row)?.find(({ code }) => code === kind);
            return (
              <tr key={row}>
                <td><a href={linkTo('lamp', fleet.id(row))}>{fleet.id(row)}</a></td>
                <td>{fleet.label(row, 'street')}</td>
                <td>{fleet.label(row, 'cabinet')}</td>
                <td><span class="light-cell"><LampGlyph light={lightOf(fleet, row)} level={fleet.get(row, 'actual')} health={healthOf(fleet, row)} isOverridden={isOverridden(fleet, row)} isAsked={isAsked(fleet, row)} />{level(fleet.get(row, 'actual'))} · {watts(fleet.get(row, 'power'))}</span></td>
                <td>{span(now.value - (fault?.since ?? fleet.get(row, 'onlineSince')))}</td>
                <td><Age at={fleet.get(row, 'measured')} /></td>
              </tr>
            );
          })}
        </tbody>
      </table>
      {rows.length > SHOWN_MAX && <p class="fine">The first {count(SHOWN_MAX)} of {count(rows.length)}.</p>}
      {kind !== 'SUPPLY_LOSS' && <ActionBar target={{ lamps: ids }} lamps={ids.length} />}
    </div>
  );
}
