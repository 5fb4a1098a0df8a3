// Rows as CSV (RFC 4180), made in the browser from what the page holds.

import type { LampColumn } from '../fleet/lamp-columns';

export function saveCsv(name: string, columns: LampColumn[], rows: number[]): void {
  const lines = [columns.map((column) => quoted(column.name)).join(',')];
  for (const row of rows) lines.push(columns.map((column) => quoted(String(column.csv(row)))).join(','));
  const url = URL.createObjectURL(new Blob([`${lines.join('\r\n')}\r\n`], { type: 'text/csv' }));
  const link = document.createElement('a');
  link.href = url;
  link.download = `${name}-${new Date().toISOString().slice(0, 16).replaceAll(':', '')}.csv`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** A cell that begins like a formula is text for a spreadsheet, whoever named the street. */
function quoted(text: string): string {
  const safe = /^[=+@\t\r]/.test(text) || /^-[^\d]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
