import { chromium } from 'playwright-core';
import { readFileSync } from 'node:fs';
const token = readFileSync('/tmp/dash-dev/data/dev/operator.token', 'utf8').trim();
const base = process.env.HUB ?? 'https://127.0.0.1:9443';
const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox', '--ignore-certificate-errors', '--enable-unsafe-swiftshader', '--use-angle=swiftshader'] });
const context = await browser.newContext({ ignoreHTTPSErrors: true, viewport: { width: 1280, height: 720 } });
const page = await context.newPage();
page.on('console', (m) => console.log('console', m.type(), m.text()));
page.on('pageerror', (e) => console.log('pageerror', e.message));
await page.goto(base + '/#/map');
const t0 = Date.now();
await page.fill('#token', token); await page.click('button[type=submit]');
await page.waitForSelector('.rail'); console.log('frame', Date.now() - t0);
await page.waitForSelector('.map-tools'); console.log('map tools', Date.now() - t0);
await page.waitForSelector('.connection.good', { timeout: 120000 }); console.log('all loaded', Date.now() - t0);
await page.waitForTimeout(3000);
const fps = (label) => page.evaluate((label) => new Promise((done) => {
  let n = 0; let worst = 0; let last = performance.now(); const t = last;
  const tick = (now) => { n += 1; worst = Math.max(worst, now - last); last = now; if (now - t < 4000) requestAnimationFrame(tick); else done(`${label}: ${(n / (now - t) * 1000).toFixed(1)} fps, worst ${worst.toFixed(0)} ms`); };
  requestAnimationFrame(tick);
}), label);
console.log(await fps('still'));
async function pan() {
  await page.mouse.move(640, 400); await page.mouse.down();
  for (let i = 0; i < 120; i += 1) { await page.mouse.move(640 + 200 * Math.sin(i / 10), 400 + 100 * Math.cos(i / 12)); await page.waitForTimeout(15); }
  await page.mouse.up();
}
let [a] = await Promise.all([fps('pan far'), pan()]); console.log(a);
for (let z = 0; z < 6; z += 1) { await page.mouse.move(640, 360); await page.mouse.wheel(0, -300); await page.waitForTimeout(300); }
await page.waitForTimeout(1500);
[a] = await Promise.all([fps('pan near'), pan()]); console.log(a);
const client = await context.newCDPSession(page);
await client.send('HeapProfiler.collectGarbage');
console.log('heap MB', (await page.evaluate(() => performance.memory.usedJSHeapSize)) / 1e6);
await page.screenshot({ path: '/tmp/dash-dev/shots/perf.png' });
await browser.close();
