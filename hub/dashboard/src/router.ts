// Where the page is: `#/lamps/lamp-0042`. In the part after `#`, which never leaves the browser.

import { computed, signal } from '@preact/signals';

export const path = signal(read());

addEventListener('hashchange', () => (path.value = read()));

export const route = computed(() => {
  const [place = '', query = ''] = path.value.split('?');
  const [view = '', ...rest] = place.split('/').filter(Boolean).map(decodeURIComponent);
  return { view: view || 'tonight', rest, query: new URLSearchParams(query) };
});

export function go(to: string): void {
  location.hash = to;
}

export function linkTo(...parts: string[]): string {
  return `#/${parts.map(encodeURIComponent).join('/')}`;
}

function read(): string {
  return location.hash.replace(/^#/, '') || '/';
}
