// Orders and what became of them: a new one for a selector, the funnel of each fleet command, the newest steps.

import { useEffect, useState } from 'preact/hooks';
import { fleetProgress, steps } from '../live/connection';
import { Compose } from '../commands/compose';
import { FleetCommand, type FleetDocument } from '../commands/fleet-command';
import { type CommandLife, Life } from '../commands/lamp-commands';
import { lastSent } from '../commands/send';
import { Empty, Failed, Skeleton } from '../parts/empty';
import { api } from '../session';

const SHOWN = 30;

export function Commands({ id }: { id: string }) {
  return (
    <section class="page commands">
      <header class="toolbar"><h1>Commands</h1></header>
      <div class="split">
        <div class="stack">
          <section class="panel" aria-labelledby="compose-title"><h2 id="compose-title">New command</h2><Compose /></section>
          <section class="panel" aria-labelledby="singles-title"><h2 id="singles-title">To single lamps</h2><Singles /></section>
        </div>
        <section class="panel" aria-labelledby="fleets-title"><h2 id="fleets-title">To many lamps</h2><Fleets open={id} /></section>
      </div>
    </section>
  );
}

function Fleets({ open }: { open: string }) {
  const [found, set] = useState<FleetDocument[] | null>(null);
  const [problem, setProblem] = useState('');
  const read = () =>
    api('/v1/fleet-commands?limit=50').then(
      ({ fleet_commands }) => { set(fleet_commands); setProblem(''); },
      (error: Error) => setProblem(error.message),
    );
  const unknown = Object.keys(fleetProgress.value).some((id) => found && !found.some((one) => one.id === id));
  useEffect(() => void read(), [open, lastSent.value?.id, unknown]);
  if (problem) return <Failed text={problem} again={read} />;
  if (!found) return <Skeleton lines={4} />;
  if (found.length === 0) return <Empty icon="send" title="No command to many lamps yet">Choose lamps in the list or on the map, or name them by a selector.</Empty>;
  return <ol class="fleets">{found.map((one) => <FleetCommand key={one.id} order={one} isOpen={one.id === open || (!open && one === found[0])} />)}</ol>;
}

function Singles() {
  const [found, set] = useState<CommandLife[] | null>(null);
  const [problem, setProblem] = useState('');
  const newest = steps.value[0];
  const mark = newest ? `${newest.command}${newest.state}` : '';
  const read = () =>
    api(`/v1/commands?limit=${SHOWN}`).then(
      ({ commands }) => { set(commands); setProblem(''); },
      (error: Error) => setProblem(error.message),
    );
  useEffect(() => {
    const timer = setTimeout(read, found ? 500 : 0);
    return () => clearTimeout(timer);
  }, [mark]);
  if (problem) return <Failed text={problem} again={read} />;
  if (!found) return <Skeleton lines={4} />;
  if (found.length === 0) return <Empty icon="send" title="Nothing was sent yet" />;
  return <ol class="command-list">{found.map((one) => <Life key={one.command} life={one} withDevice />)}</ol>;
}
