import { execFileSync } from 'node:child_process';
import * as client from '../../../src/client/index.ts';
import * as everything from '../../../src/index.ts';

function loadedBy(specifier: string): string[] {
  const args = ['test/support/process/loaded-modules.mjs', specifier];
  return execFileSync(process.execPath, args, { encoding: 'utf8' }).trim().split('\n');
}

function packagesAmong(urls: readonly string[]): string[] {
  const names = urls.flatMap((url) => /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(url)?.[1] ?? []);
  return [...new Set(names)].sort();
}

it('o3-queue/client loads one package, and neither BullMQ, ioredis, Express, zod nor the MCP package', () => {
  const urls = loadedBy('o3-queue/client');
  expect(urls).toContainEqual(expect.stringMatching(/\/dist\/src\/client\/o3-client\.js$/));
  expect(packagesAmong(urls)).toEqual(['eventsource-parser']);
});

it('o3-queue loads BullMQ and ioredis, which shows that this check can see them', () => {
  expect(packagesAmong(loadedBy('o3-queue'))).toEqual(expect.arrayContaining(['bullmq', 'ioredis', 'zod']));
});

it('neither loads what only agents and pages need', () => {
  expect(
    packagesAmong(loadedBy('o3-queue')).filter((name) => /modelcontext|express|preact/.test(name)),
  ).toEqual([]);
});

it('everything that o3-queue/client exports is the same in o3-queue', () => {
  expect(Object.keys(client)).toContain('O3Client');
  expect(everything).toMatchObject(client);
});
