// The pictures in docs/: the dashboard over a simulated town at night, as `make demo` shows it.

import { join } from 'node:path';
import { City, until } from './city.js';
import { launch, logIn, visit } from './browser.js';

const LAMPS = 880;
/** Ten minutes before dusk until the lamps burn, at this speed, take 20 s. */
const TOWN = ['--town', 'Northbridge', '--speed', '30', '--broken', '4'];
const DOCS = join(import.meta.dirname, '../../docs');
const SIZE = { width: 1440, height: 900 };

const city = await City.start();
const browser = await launch();
try {
  await city.light(LAMPS, TOWN);
  // Somebody's orders of this evening: a street at full light for a match, and a lamp forgotten dark.
  const override = (level_pct) => ({ override: { level_pct, expires_unix_ms: String(Date.now() + 7_200_000) } });
  await until(async () => (await city.ask('/v1/devices?where=level%3E90&limit=1')).total > LAMPS - 20, 'it is night');
  await city.ask('/v1/fleet-commands', { where: "street='Station St'", data: override(70), ttl_s: 600 });
  await city.ask('/v1/commands', { device: 'lamp-0003', data: override(0), ttl_s: 600 });
  const { page } = await visit(browser, `${city.url}/#/map`, { viewport: SIZE });
  await logIn(page, city.token('operator'));
  await until(async () => (await page.locator('[aria-busy="true"]').count()) === 0, 'the map has loaded');
  // The last street's proofs come in, and the map draws them.
  await page.waitForTimeout(10_000);
  await page.screenshot({ path: join(DOCS, 'dashboard-map.png') });
  await page.goto(`${city.url}/#/lamp/lamp-0003`);
  await page.getByRole('heading', { name: /lamp-0003/ }).waitFor();
  await page.waitForTimeout(30_000);
  await page.screenshot({ path: join(DOCS, 'dashboard-lamp.png') });
  await page.goto(`${city.url}/#/tonight`);
  await page.getByText('Lights in light').waitFor();
  await page.waitForTimeout(30_000);
  await page.screenshot({ path: join(DOCS, 'dashboard.png') });
} finally {
  await browser.close();
  await city.end();
}
