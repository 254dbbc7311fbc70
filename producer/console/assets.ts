import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, extname, join } from 'node:path';
import { Router } from 'express';
import { STYLE } from './style.ts';

/**
 * OWN has the modules that run in the browser: the scripts of pages and what they import. They are served as
 * the compiler writes them, under their paths in `dist`, so that their relative imports work.
 */
const OWN = [
  'producer/console/browser/action-page.js',
  'producer/console/browser/base-path.js',
  'producer/console/browser/job-page.js',
  'producer/console/browser/local-times.js',
  'producer/console/browser/now-page.js',
  'producer/console/browser/shell.js',
  'producer/console/job-state.js',
  'producer/console/jobs/live-action.js',
  'producer/console/live-job.js',
  'producer/console/now/live-now.js',
  'producer/console/now/spark.js',
  'producer/console/parts.js',
  'src/client/quantity.js',
  'src/usage/usd.js',
];

/** LIBRARIES has the names of the modules of others that our modules import. */
const LIBRARIES = [
  'preact',
  'preact/hooks',
  'preact/jsx-runtime',
  '@preact/signals',
  '@preact/signals-core',
] as const;

/** ICON stands before the title of a page. */
const ICON = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><circle cx="8" cy="8" r="6" fill="none" stroke="#2563eb" stroke-width="3"/></svg>`;

const A_YEAR_S = 31_536_000;

/** Assets are the files of the console's pages. Their address changes with their content. */
export interface Assets {
  /** The address under which the modules of `dist` and the style sheet are. */
  readonly base: string;
  /** The import map of a page, as JSON. */
  readonly importMap: string;
  /** What a content policy calls the import map, which is the only script inside a page. */
  readonly importMapHash: string;
  /** The paths of our own modules in `dist`. */
  readonly modules: readonly string[];
  /** The texts of all scripts. */
  readonly scripts: readonly string[];
  readonly router: Router;
}

/**
 * loadAssets reads the files of the console's pages.
 *
 * @param path the address of `router`, for example `/console/assets`.
 */
export function loadAssets(path: string): Assets {
  const require = createRequire(import.meta.url);
  const dist = join(dirname(require.resolve('o3-queue/package.json')), 'dist');
  const texts = new Map<string, string>();
  for (const name of OWN) texts.set(name, readFileSync(join(dist, name), 'utf8'));
  for (const name of LIBRARIES) texts.set(`lib/${name}.js`, readFileSync(modulePath(require, name), 'utf8'));
  const scripts = [...texts.values()];
  texts.set('style.css', STYLE);
  texts.set('icon.svg', ICON);
  const hash = createHash('sha256')
    .update(JSON.stringify([...texts]))
    .digest('hex')
    .slice(0, 12);
  const base = `${path}/${hash}`;
  const imports = Object.fromEntries(LIBRARIES.map((name) => [name, `${base}/lib/${name}.js`]));
  const importMap = JSON.stringify({ imports });
  const router = Router();
  for (const [name, text] of texts) {
    router.get(`/${hash}/${name}`, (_request, response) => {
      response.set('cache-control', `private, max-age=${A_YEAR_S}, immutable`).type(extname(name)).send(text);
    });
  }
  const importMapHash = `'sha256-${createHash('sha256').update(importMap).digest('base64')}'`;
  return { base, importMap, importMapHash, modules: OWN, scripts, router };
}

/** Returns the file of a library that browsers can run. */
function modulePath(require: NodeJS.Require, name: (typeof LIBRARIES)[number]): string {
  // The core is a dependency of the signals, and not of ours.
  const from = name === '@preact/signals-core' ? createRequire(require.resolve('@preact/signals')) : require;
  return from.resolve(name).replace(/\.js$/, '.mjs');
}
