// A page without a browser: the whole-hub tests run it, tell it on standard input where the hub is, and
// read on standard output what it sees.

import { createInterface } from 'node:readline';
import * as lamplighter from '../lamplighter.js';
import { tell } from './story.js';

const [story, way] = process.argv.slice(2);
const say = (kind, text = '') => console.log(`${kind} ${text}`);
const place = { url: null, token: null };

createInterface({ input: process.stdin }).on('line', (line) => {
  const isFirst = place.url === null;
  [place.url, place.token] = line.split(' ');
  if (isFirst) tell(lamplighter, { story, way, place, say });
});
