// The frame around all views: who is logged in, where one can go, how the connection is.

import { effect, useSignalEffect } from '@preact/signals';
import { lazy, Suspense } from './parts/lazy';
import { Connection } from './parts/connection';
import { Find } from './parts/find';
import { Icon, type IconName } from './parts/icon';
import { LogIn } from './views/login';
import { Notices } from './parts/notices';
import { connect, disconnect, refusals, state } from './live/connection';
import { identity, logOut, token } from './session';
import { linkTo, route } from './router';
import { theme } from './settings';
import { PhaseChip } from './parts/phase';
import { Tonight } from './views/tonight';
import { Lamps } from './views/lamps';
import { Commands } from './views/commands';
import { Faults } from './views/faults';
import { Connections } from './views/connections';
import { NoPermission } from './parts/empty';

const LampView = lazy(() => import('./views/lamp'));
const MapView = lazy(() => import('./views/map'));

const VIEWS: { view: string; name: string; icon: IconName }[] = [
  { view: 'tonight', name: 'Tonight', icon: 'moon' },
  { view: 'map', name: 'Map', icon: 'map' },
  { view: 'lamps', name: 'Lamps', icon: 'lamp' },
  { view: 'faults', name: 'Faults', icon: 'fault' },
  { view: 'commands', name: 'Commands', icon: 'send' },
  { view: 'connections', name: 'Connections', icon: 'link' },
];

effect(() => {
  if (token.value) connect(token.value);
  else disconnect();
});

let shown = '';

export function App() {
  useSignalEffect(() => {
    const { view, rest } = route.value;
    // Another view begins at its top.
    const showing = `${view}/${rest[0] ?? ''}`;
    if (shown !== showing) document.getElementById('main')?.scrollTo(0, 0);
    shown = showing;
    const name = rest[0] ?? VIEWS.find((one) => one.view === view)?.name ?? 'Lamplighter';
    document.title = `${name} · Lamplighter`;
  });
  if (!token.value) return <LogIn />;
  return (
    <div class="shell">
      <a class="skip" href="#main" onClick={skip}>Skip to the content</a>
      <header class="top">
        <a class="brand" href="#/tonight"><Icon name="brand" /><span>Lamplighter</span></a>
        <PhaseChip />
        <Find />
        <Connection />
        <button type="button" class="icon-button" title={theme.value === 'dark' ? 'Light theme' : 'Dark theme'}
          aria-label={theme.value === 'dark' ? 'Use the light theme' : 'Use the dark theme'}
          onClick={() => (theme.value = theme.value === 'dark' ? 'light' : 'dark')}>
          <Icon name={theme.value === 'dark' ? 'sun' : 'moon'} />
        </button>
        <span class="who" title={`Logged in as ${identity.value}`}>{identity.value.split(' ')[0]}</span>
        <button type="button" class="icon-button" title="Log out" aria-label="Log out" onClick={logOut}><Icon name="exit" /></button>
      </header>
      <nav class="rail" aria-label="Views">
        {VIEWS.map(({ view, name, icon }) => (
          <a key={view} href={linkTo(view)} aria-current={isAt(view) ? 'page' : undefined}>
            <Icon name={icon} /><span>{name}</span>
          </a>
        ))}
      </nav>
      <main id="main" tabIndex={0}><View /></main>
      <Notices />
    </div>
  );
}

function skip(event: Event): void {
  event.preventDefault();
  document.getElementById('main')?.focus();
}

function isAt(view: string): boolean {
  const at = route.value.view;
  return at === view || (view === 'lamps' && at === 'lamp');
}

function View() {
  const { view, rest } = route.value;
  if (state.value === 'refused') return <Refused />;
  const needed = refusals.value['devices.*.registration'];
  if (needed) return <NoPermission what="any lamps" why={needed} />;
  switch (view) {
    case 'map': return <Suspense what="the map"><MapView /></Suspense>;
    case 'lamps': return <Lamps />;
    case 'lamp': return <Suspense what="the lamp"><LampView key={rest[0]} id={rest[0] ?? ''} /></Suspense>;
    case 'faults': return <Faults />;
    case 'commands': return <Commands id={rest[0] ?? ''} />;
    case 'connections': return <Connections />;
    default: return <Tonight />;
  }
}

function Refused() {
  return (
    <section class="empty" role="alert">
      <Icon name="lock" />
      <h1>The hub no longer accepts this token</h1>
      <p>It may have been revoked, or its role changed. Log in with another one.</p>
      <button type="button" class="primary" onClick={logOut}>Log in again</button>
    </section>
  );
}
