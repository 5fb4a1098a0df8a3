// Where the browser of the tests is: what `LAMPLIGHTER_CHROMIUM` names, or the first one in `PATH`.
// `install.sh` installs one.

import { existsSync } from 'node:fs';
import { join } from 'node:path';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];

/** The path of the program; throws if there is none: a test without a browser fails, it isn't skipped. */
export function chromiumProgram() {
  const folders = (process.env.PATH ?? '').split(':');
  const found = process.env.LAMPLIGHTER_CHROMIUM
    ?? folders.flatMap((folder) => NAMES.map((name) => join(folder, name))).find(existsSync);
  if (!found) throw new Error('no Chromium: run `make tools`, or name one in LAMPLIGHTER_CHROMIUM');
  return found;
}
