import { expect, test } from 'vitest';
import { figuresOf, lightsInLight } from '../src/fleet/figures';
import { rowsOf, sortRows } from '../src/fleet/filter';
import { incidentsOf } from '../src/fleet/incidents';
import { healthOf, isAsked, lightOf } from '../src/fleet/state';
import { NOON, Town } from './town';

const SECOND = 1_000;

test('labels, values and presence of a lamp arrive at the page', () => {
  const town = new Town();
  town.lamp('lamp-0001', { cabinet: 'C7', actual: 70, power: 23 });
  const fleet = town.settle();
  const row = fleet.row('lamp-0001')!;
  expect([fleet.label(row, 'cabinet'), fleet.get(row, 'actual'), fleet.get(row, 'power')]).toEqual(['C7', 70, 23]);
  expect(lightOf(fleet, row)).toBe('on');
  expect(healthOf(fleet, row)).toBe('ok');
});

test('level 0 is off and not unknown, and a lamp that said nothing is unknown and not off', () => {
  const town = new Town();
  town.lamp('lamp-0001', { target: 0, actual: 0, power: 1 });
  town.hear('devices.lamp-0002.registration', { device: 'lamp-0002' });
  const fleet = town.settle();
  expect(lightOf(fleet, fleet.row('lamp-0001')!)).toBe('standby');
  expect(lightOf(fleet, fleet.row('lamp-0002')!)).toBe('unknown');
  expect(healthOf(fleet, fleet.row('lamp-0002')!)).toBe('unknown');
});

test('a lamp is asked from the moment that the hub has the command until the device proved it', () => {
  const town = new Town();
  town.lamp('lamp-0001');
  const step = (state: string) => town.hear('devices.lamp-0001.commands', { command: 'c', device: 'lamp-0001', state: `COMMAND_STATE_${state}`, time_unix_ms: String(NOON) });
  const asked = ['ACCEPTED', 'SENT', 'DELIVERED', 'RUNNING', 'SUCCEEDED'].map((state) => {
    step(state);
    const fleet = town.settle();
    return isAsked(fleet, fleet.row('lamp-0001')!);
  });
  expect(asked).toEqual([true, true, true, true, false]);
});

test('lights in light counts only lamps that should burn and were heard', () => {
  const town = new Town();
  town.lamp('lamp-0001');
  town.lamp('lamp-0002', { actual: 0, power: 1 });
  town.lamp('lamp-0003', { target: 0, actual: 0, power: 1 });
  town.lamp('lamp-0004', { at: NOON - 86_400_000 });
  const figures = figuresOf(town.settle(), NOON + 5 * SECOND);
  expect([figures.lit, figures.wanted, lightsInLight(figures)]).toEqual([1, 2, 0.5]);
  expect(figures.health.dark).toBe(1);
  expect(figures.loadW).toBe(37);
});

test('a cabinet that goes silent is one incident, and two lamps elsewhere are no cabinet', () => {
  const town = new Town();
  for (let lamp = 0; lamp < 20; lamp += 1) town.lamp(`lamp-${lamp}00`, { cabinet: lamp < 10 ? 'C1' : 'C2' });
  for (let lamp = 0; lamp < 9; lamp += 1) town.leave(`lamp-${lamp}00`, NOON + lamp * SECOND);
  for (const lamp of [11, 12]) town.leave(`lamp-${lamp}00`);
  const found = incidentsOf(town.settle());
  expect(found.map(({ kind, rows, of }) => [kind, rows.length, of])).toEqual([['SUPPLY_LOSS', 9, 10], ['COMMUNICATION_FAILURE', 2, 0]]);
});

test('lamps that leave one by one over an hour are not a cabinet without supply', () => {
  const town = new Town();
  for (let lamp = 0; lamp < 10; lamp += 1) {
    town.lamp(`lamp-${lamp}00`);
    town.leave(`lamp-${lamp}00`, NOON + lamp * 360 * SECOND);
  }
  expect(incidentsOf(town.settle()).map(({ kind }) => kind)).toEqual(['COMMUNICATION_FAILURE']);
});

test('a fault stands from its start to its end, and remembered ones come back', () => {
  const town = new Town();
  town.lamp('lamp-0001');
  town.fault('lamp-0001', 'LAMP_FAILURE');
  let fleet = town.settle();
  const row = fleet.row('lamp-0001')!;
  expect(healthOf(fleet, row)).toBe('dark');
  town.fault('lamp-0001', 'LAMP_FAILURE', false);
  fleet = town.settle();
  expect(fleet.faults.get(row)).toBeUndefined();
  const event = (code: string, active: boolean, offset: number) => ({
    channel: 'devices.lamp-0001.faults', type: '', offset, timeMs: NOON, measuredMs: NOON, data: { code: `FAULT_CODE_${code}`, active, fault_id: code },
  });
  town.intake.takeFaults([event('DIMMING_FAILURE', true, 90), event('LAMP_FAILURE', true, 91), event('LAMP_FAILURE', false, 92)]);
  expect(town.settle().faults.get(row)?.map(({ code }) => code)).toEqual(['DIMMING_FAILURE']);
});

test('a dark lamp with a dead driver is one incident, named by the driver', () => {
  const town = new Town();
  town.lamp('lamp-0001', { actual: 0, power: 1 });
  town.fault('lamp-0001', 'LAMP_FAILURE');
  town.fault('lamp-0001', 'CONTROL_GEAR_COMM_FAILURE');
  expect(incidentsOf(town.settle()).map(({ kind }) => kind)).toEqual(['CONTROL_GEAR_COMM_FAILURE']);
});

test('a removed lamp is gone, and one that is registered again is there again', () => {
  const town = new Town();
  town.lamp('lamp-0001');
  town.settle();
  town.hear('devices.lamp-0001.registration', { device: 'lamp-0001', removed: true });
  expect([...town.settle().each()]).toEqual([]);
  town.lamp('lamp-0001');
  const fleet = town.settle();
  expect(fleet.size).toBe(1);
  expect(fleet.isHere(fleet.row('lamp-0001')!)).toBe(true);
});

test('a text means a street by a part of its name and a cabinet by all of it', () => {
  const town = new Town();
  town.lamp('lamp-0001', { cabinet: 'C1', street: 'Queen St' });
  town.lamp('lamp-0002', { cabinet: 'C12', street: 'King St' });
  const fleet = town.settle();
  const found = (text: string) => rowsOf(fleet, { text, show: 'all', only: null }).map((row) => fleet.id(row));
  expect(found('c1')).toEqual(['lamp-0001']);
  expect(found('queen')).toEqual(['lamp-0001']);
  expect(found('0002')).toEqual(['lamp-0002']);
  expect(found('nowhere')).toEqual([]);
});

test('what is unknown stands last whichever way one sorts', () => {
  const town = new Town();
  town.lamp('lamp-0001', { power: 20 });
  town.lamp('lamp-0002', { power: 60 });
  town.hear('devices.lamp-0003.registration', { device: 'lamp-0003' });
  const fleet = town.settle();
  const sorted = (isDown: boolean) => sortRows(fleet, [0, 1, 2], { column: 'power' }, isDown);
  expect(sorted(false)).toEqual([0, 1, 2]);
  expect(sorted(true)).toEqual([1, 0, 2]);
});

test('a switching event moves the light, and leaves the age of the other measurements as it is', () => {
  const town = new Town();
  town.lamp('lamp-0001', { actual: 100 });
  const later = NOON + 60 * SECOND;
  town.hear('devices.lamp-0001.switching', { to_level_pct: 0, reason: 'CONTROL_REASON_PROGRAM' }, { at: later });
  const fleet = town.settle();
  const row = fleet.row('lamp-0001')!;
  expect([fleet.get(row, 'actual'), fleet.get(row, 'measured'), fleet.get(row, 'sampled')]).toEqual([0, later, NOON]);
});
