// The map over pictures of a server that the configuration names.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { City, until } from './city.js';
import { assertAccessible, launch, logIn, shoot, visit } from './browser.js';

/** One green pixel, which a browser draws as large as it is asked to. */
const GREEN = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M/wHwAEBgIApD5fRAAAAABJRU5ErkJggg==', 'base64');
const ATTRIBUTION = '© the surveyor';

let tiles;
let origin;
let city;
let browser;
let asked = [];
let isGone = false;

before(async () => {
  tiles = createServer((request, response) => {
    asked.push(request);
    response.writeHead(isGone ? 404 : 200, { 'content-type': 'image/png', 'access-control-allow-origin': '*' });
    response.end(isGone ? '' : GREEN);
  });
  tiles.listen(0, '127.0.0.1');
  await once(tiles, 'listening');
  origin = `http://127.0.0.1:${tiles.address().port}`;
  city = await City.start(`[dashboard]\ntiles_url = "${origin}/{z}/{x}/{y}.png"\ntiles_attribution = "${ATTRIBUTION}"\n`);
  await city.light(5);
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await city?.end();
  tiles?.close();
});

async function opened() {
  asked = [];
  const visitor = await visit(browser, `${city.url}/#/map`);
  await logIn(visitor.page, city.token('viewer'));
  await visitor.page.locator('.map-box canvas').waitFor();
  return visitor;
}

test('pictures are asked for where the lamps are, without who asks, and of nobody else', async () => {
  const { page, faults, asked: addresses, context } = await opened();
  await page.getByText(ATTRIBUTION).waitFor();
  await until(() => asked.length > 3, 'pictures are asked for');
  for (const { url, headers } of asked) {
    assert.match(url, /^\/\d+\/\d+\/\d+\.png$/);
    assert.equal(headers['authorization'], undefined);
    assert.equal(headers['referer'], undefined);
  }
  const hosts = new Set(addresses.filter((address) => /^(https?|wss?):/.test(address)).map((address) => new URL(address).host));
  assert.deepEqual([...hosts].sort(), [new URL(city.url).host, new URL(origin).host].sort());
  // The policy lets in pictures of that server, and nothing by a script.
  const refused = await page.evaluate((address) => fetch(address).then(() => false, () => true), `${origin}/1/1/1.png`);
  assert.ok(refused, 'a script may not ask there');
  await shoot(page, 'map-tiles');
  await assertAccessible(page, 'the map over pictures');
  // The tile server of this test has no certificate.
  assert.deepEqual(faults.filter((fault) => !/Content Security Policy|violates the document|Mixed Content/.test(fault)), []);
  await context.close();
});

test('lamps are seen without pictures, and it is said once that these are missing', async () => {
  isGone = true;
  const { page, context } = await opened();
  await page.getByText('Pictures of the map are missing').first().waitFor();
  await until(() => asked.length > 3, 'several pictures are asked for');
  assert.equal(await page.getByText('Pictures of the map are missing').count(), 1);
  assert.equal(await page.getByText('No lamp has a place yet').count(), 0);
  await context.close();
});
