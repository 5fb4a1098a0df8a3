// A small town for tests: messages as the hub sends them, taken in as the worker does.

import { Fleet } from '../src/fleet/fleet';
import { Intake } from '../src/live/intake';

export const NOON = 1_795_262_400_000;

export class Town {
  readonly fleet = new Fleet();
  readonly intake = new Intake();
  #offset = 0;

  hear(channel: string, data: unknown, { at = NOON, type = '', live = true } = {}): void {
    this.#offset += 1;
    this.intake.take({ channel, type, data, offset: this.#offset, timeMs: at, measuredMs: at }, live);
  }

  /** Registers a lamp that is here and does this. */
  lamp(id: string, { cabinet = 'C1', street = 'Queen St', target = 100, actual = 100, power = 35, at = NOON } = {}): void {
    this.hear(`devices.${id}.registration`, { device: id, labels: { cabinet, street }, latitude_e7: 525_000_000, longitude_e7: 134_000_000 });
    this.hear(`devices.${id}.presence`, { online: true, since_unix_ms: String(at), generation: '1', agent: 'sim' });
    this.sample(id, { target, actual, power, at });
  }

  sample(id: string, { target = 100, actual = 100, power = 35, at = NOON, reason = 'PROGRAM' } = {}): void {
    const sample = { target_level_pct: target, actual_level_pct: actual, active_power_w: power, state: actual > 0 ? 'LAMP_STATE_ON' : 'LAMP_STATE_STANDBY', reason: `CONTROL_REASON_${reason}` };
    this.hear(`devices.${id}.telemetry`, { header: {}, samples: [sample] }, { at });
  }

  leave(id: string, at = NOON): void {
    this.hear(`devices.${id}.presence`, { online: false, since_unix_ms: String(at), generation: '1', reason: 'lost' }, { at });
  }

  fault(id: string, code: string, active = true, at = NOON): void {
    this.hear(`devices.${id}.faults`, { code: `FAULT_CODE_${code}`, severity: 'SEVERITY_MAJOR', active, fault_id: `${code}1` }, { at });
  }

  /** Hands over what changed, as the worker does. */
  settle(): Fleet {
    const changes = this.intake.changes();
    if (changes) this.fleet.apply(changes);
    return this.fleet;
  }
}
