// One lamp: what it should do, what rules, what it does; its night; what was asked of it; what is wrong.

import { useEffect, useState } from 'preact/hooks';
import { fleet, now, state } from '../live/connection';
import { ActionBar } from '../commands/action-bar';
import { LampCommands } from '../commands/lamp-commands';
import { HEALTH_WORDS, healthOf, isAsked, isOverridden, lightOf } from '../fleet/state';
import { faultAdvice, faultTitle } from '../fleet/incidents';
import { ONLINE } from '../live/messages';
import { Age } from '../parts/age';
import { Empty, Skeleton } from '../parts/empty';
import { HealthGlyph, LampGlyph, Severity } from '../parts/glyph';
import { Icon } from '../parts/icon';
import { LampChart } from '../parts/lamp-chart';
import { Levels } from '../parts/levels';
import { RawMessages } from '../parts/raw';
import { Timeline } from '../parts/timeline';
import { loaded } from '../parts/connection';
import { useChanges, useFleet } from '../parts/live';
import { learnRights, mayCommand, whyNot } from '../session';
import { linkTo } from '../router';
import { amperes, celsius, clock, count, dateTime, energy, factor, hours, number, span, volts, watts } from '../format';

export default function Lamp({ id }: { id: string }) {
  useFleet(() => ({}), 250, [id], 1_000);
  const rights = useRights(id);
  const row = fleet.row(id);
  if (row === undefined) {
    if (!loaded().done && state.value !== 'refused') return <section class="page"><Skeleton lines={10} /></section>;
    return <section class="page"><Empty icon="lamp" title={`No lamp is called ${id}`}>It may have been removed, or your role may not see it. <a href="#/lamps">All lamps</a></Empty></section>;
  }
  return (
    <section class="page lamp">
      <Head id={id} row={row} />
      <Problems row={row} />
      <div class="split wide">
        <div class="stack">
          <section class="panel" aria-labelledby="levels-title"><h2 id="levels-title">Light</h2><Levels id={id} row={row} /></section>
          <section class="panel" aria-labelledby="orders-title">
            <h2 id="orders-title">Command</h2>
            <ActionBar target={{ lamps: [id] }} lamps={1} allowed={rights.allowed} reason={rights.reason} />
          </section>
          <section class="panel" aria-labelledby="night-title"><h2 id="night-title">Level and power</h2><LampChart id={id} row={row} /></section>
          <section class="panel" aria-labelledby="commands-title"><h2 id="commands-title">What was asked of it</h2><LampCommands id={id} /></section>
        </div>
        <div class="stack">
          <section class="panel" aria-labelledby="gauges-title"><header class="panel-head"><h2 id="gauges-title">Measured</h2><Age at={fleet.get(row, 'sampled')} /></header><Gauges row={row} /></section>
          <section class="panel" aria-labelledby="timeline-title"><h2 id="timeline-title">What happened</h2><Timeline id={id} /></section>
          <section class="panel" aria-labelledby="raw-title"><h2 id="raw-title">Messages</h2><RawMessages id={id} /></section>
        </div>
      </div>
    </section>
  );
}

function useRights(id: string): { allowed: boolean | null; reason: string } {
  const [rights, set] = useState<{ allowed: boolean | null; reason: string }>({ allowed: mayCommand.value, reason: whyNot.value });
  useEffect(() => {
    learnRights(id).then(set, () => {});
  }, [id]);
  return rights;
}

function Head({ id, row }: { id: string; row: number }) {
  useChanges();
  const online = fleet.get(row, 'online');
  const since = fleet.get(row, 'onlineSince');
  const labels = fleet.labelNames.filter((name) => name !== 'street' && fleet.label(row, name));
  const [latitude, longitude] = [fleet.get(row, 'latitude'), fleet.get(row, 'longitude')];
  return (
    <header class="lamp-head">
      <a class="icon-button" href="#/lamps" aria-label="Back to all lamps"><Icon name="back" /></a>
      <LampGlyph light={lightOf(fleet, row)} level={fleet.get(row, 'actual')} health={healthOf(fleet, row)} isOverridden={isOverridden(fleet, row)} isAsked={isAsked(fleet, row)} />
      <div>
        <h1>{id}<small>{fleet.label(row, 'street')}</small></h1>
        <p class="labels">
          {labels.map((name) => <span key={name}><i>{name}</i> {fleet.label(row, name)}</span>)}
          {Number.isFinite(latitude) && <a href={`${linkTo('map')}?at=${encodeURIComponent(id)}`}>{number(latitude, 5)}, {number(longitude, 5)}</a>}
        </p>
      </div>
      <p class={`presence ${online === ONLINE.yes ? 'good' : online === ONLINE.no ? 'bad' : ''}`}>
        <b>{online === ONLINE.yes ? 'Online' : online === ONLINE.no ? 'Offline' : 'Not heard since the hub started'}</b>
        <span>{since ? `for ${span(now.value - since)}` : ''}</span>
      </p>
    </header>
  );
}

function Problems({ row }: { row: number }) {
  useChanges();
  const faults = fleet.faults.get(row) ?? [];
  const health = healthOf(fleet, row);
  if (faults.length === 0 && (health === 'ok' || health === 'unknown')) return null;
  if (faults.length === 0) {
    const code = health === 'silent' ? 'COMMUNICATION_FAILURE' : 'LAMP_FAILURE';
    return <div class={`problem-card ${health}`}><HealthGlyph health={health} /><div><b>{HEALTH_WORDS[health]}</b><p>{faultAdvice(code)}</p></div></div>;
  }
  return (
    <ul class="problem-cards">
      {faults.map((fault) => (
        <li key={fault.id} class={`problem-card ${health}`}>
          <HealthGlyph health={health === 'ok' ? 'warning' : health} />
          <div>
            <b>{faultTitle(fault.code)}</b> <Severity level={fault.severity} />
            <p>{faultAdvice(fault.code)}</p>
            <small>
              Since {dateTime(fault.since)}, {span(now.value - fault.since)}
              {fault.measured !== null && ` · measured ${number(fault.measured, 1)}`}{fault.threshold !== null && `, limit ${number(fault.threshold, 1)}`}
              {fault.count > 1 && ` · ${count(fault.count)} times`}
            </small>
          </div>
        </li>
      ))}
    </ul>
  );
}

function Gauges({ row }: { row: number }) {
  useChanges();
  const get = (name: Parameters<typeof fleet.get>[1]) => fleet.get(row, name);
  const lists: [string, [string, string][]][] = [
    ['Electrical', [
      ['Power', watts(get('power'))], ['Voltage', volts(get('voltage'))], ['Current', amperes(get('current'))],
      ['Power factor', factor(get('powerFactor'))], ['Frequency', Number.isFinite(get('frequency')) ? `${number(get('frequency'), 2)} Hz` : '–'],
    ]],
    ['Temperature and pole', [
      ['Driver', celsius(get('driverTemperature'))], ['Controller', celsius(get('controllerTemperature'))],
      ['Tilt', Number.isFinite(get('tilt')) ? `${number(get('tilt'), 1)}°` : '–'],
    ]],
    ['Counters', [['Energy', energy(get('energy'))], ['Burn hours', hours(get('burnTime'))], ['Starts', count(get('switchOns'))]]],
    ['Link', [['Sessions', count(get('generation'))], ['Firmware', fleet.words('agent')[get('agent')] ?? '–'], ['Connected', clock(get('onlineSince'), true)]]],
  ];
  return (
    <div class="gauges">
      {lists.map(([title, values]) => (
        <section key={title}>
          <h3>{title}</h3>
          <dl>{values.map(([name, value]) => <div key={name}><dt>{name}</dt><dd>{value}</dd></div>)}</dl>
        </section>
      ))}
    </div>
  );
}
