// What stands where there is nothing to show, and why.

import type { ComponentChildren } from 'preact';
import { Icon, type IconName } from './icon';
import { logOut } from '../session';

export function Empty({ icon = 'check', title, children }: { icon?: IconName; title: string; children?: ComponentChildren }) {
  return (
    <div class="empty">
      <Icon name={icon} />
      <h2>{title}</h2>
      {children && <p>{children}</p>}
    </div>
  );
}

export function NoPermission({ what, why }: { what: string; why: string }) {
  return (
    <section class="empty" role="alert">
      <Icon name="lock" />
      <h1>Your role may not see {what}</h1>
      <p>{why}</p>
      <button type="button" onClick={logOut}>Log in with another token</button>
    </section>
  );
}

export function Failed({ text, again }: { text: string; again?: () => void }) {
  return (
    <div class="empty" role="alert">
      <Icon name="fault" />
      <h2>This could not be read</h2>
      <p>{text}</p>
      {again && <button type="button" onClick={again}>Try again</button>}
    </div>
  );
}

export function Skeleton({ lines = 6 }: { lines?: number }) {
  return <div class="skeletons" aria-busy="true">{Array.from({ length: lines }, (_, line) => <div key={line} class="skeleton" />)}</div>;
}
