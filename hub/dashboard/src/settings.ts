// What one person likes, kept in this browser: theme, columns, filters. Nothing secret.

import { effect, signal, type Signal } from '@preact/signals';

function kept<T>(key: string, fallback: T): Signal<T> {
  const name = `lamplighter.${key}`;
  const value = signal<T>(read(name, fallback));
  effect(() => {
    try {
      localStorage.setItem(name, JSON.stringify(value.value));
    } catch {
      // A browser that keeps nothing still shows the page.
    }
  });
  return value;
}

function read<T>(name: string, fallback: T): T {
  try {
    const text = localStorage.getItem(name);
    return text === null ? fallback : (JSON.parse(text) as T);
  } catch {
    return fallback;
  }
}

export type Theme = 'dark' | 'light';
export const theme = kept<Theme>('theme', 'dark');
effect(() => {
  document.documentElement.dataset['theme'] = theme.value;
});

export interface SavedFilter {
  name: string;
  text: string;
  show: string;
  where: string;
}
export const savedFilters = kept<SavedFilter[]>('filters', []);
export const columnsShown = kept<string[]>('columns', ['id', 'street', 'cabinet', 'light', 'reason', 'power', 'voltage', 'powerFactor', 'driverTemperature', 'burnTime', 'health', 'age']);
export const mapLayer = kept<string>('layer', 'light');
/** More lamps than this are asked about before they are commanded. */
export const ASK_ABOVE = 10;
