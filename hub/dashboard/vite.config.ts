// How the page is built: one entry, the map and the charts apart, names by content, each file also
// compressed, so that the hub compresses nothing while it serves.
//
// `npm run dev` serves the page while one writes it; LAMPLIGHTER_HUB=https://127.0.0.1:8443 names the hub
// that answers it.

import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';
import { defineConfig, type Plugin } from 'vite';

const hub = process.env['LAMPLIGHTER_HUB']?.replace(/^ws/, 'http') ?? 'https://127.0.0.1:8443';
const COMPRESSIBLE = /\.(js|css|html|svg|json)$/;

/** Writes `.br` and `.gz` beside what they make smaller. */
function compressed(): Plugin {
  return {
    name: 'compressed',
    apply: 'build',
    writeBundle({ dir }) {
      for (const name of readdirSync(dir!, { recursive: true, encoding: 'utf8' })) {
        if (!COMPRESSIBLE.test(name)) continue;
        const path = join(dir!, name);
        const bytes = readFileSync(path);
        const params = { [constants.BROTLI_PARAM_QUALITY]: 11 };
        writeFileSync(`${path}.br`, brotliCompressSync(bytes, { params }));
        writeFileSync(`${path}.gz`, gzipSync(bytes, { level: 9 }));
      }
      rmSync(join(dir!, '.vite'), { recursive: true, force: true });
    },
  };
}

const toHub = { target: hub, secure: false, changeOrigin: true, headers: { origin: hub } };

export default defineConfig({
  // The hub serves the browser's module from ../sdk; this page carries its own copy of the same build.
  server: {
    fs: { allow: ['.', '../sdk'] },
    proxy: { '/v1': { ...toHub, ws: true }, '/healthz': toHub },
  },
  worker: { format: 'es' },
  build: {
    // The folder above it is always there, for the hub's build to watch.
    outDir: 'dist/page',
    target: 'es2022',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    chunkSizeWarningLimit: 1_000,
  },
  plugins: [compressed()],
  test: { include: ['test/**/*.test.ts'] },
} as Parameters<typeof defineConfig>[0]);
