import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { SCRIPTS } from '../../../src/lua/scripts.ts';
import { startTestRedis, type TestRedis } from '../../support/redis/redis-server.ts';

let server: TestRedis;
let redis: Redis;

beforeAll(async () => {
  server = await startTestRedis();
  redis = new Redis(server.url);
});

afterAll(async () => {
  redis.disconnect();
  await server.stop();
});

it.each(SCRIPTS.map((script) => [script.name, script] as const))(
  'Redis compiles %s under the sha by which it is called, and its first line is its name',
  async (name, { lua, sha }) => {
    expect(await redis.script('LOAD', lua)).toBe(sha);
    expect(lua.split('\n')[0]).toBe(`-- ${name}`);
  },
);

it('no two scripts have the same name', () => {
  const names = SCRIPTS.map(({ name }) => name);
  expect(names).toEqual([...new Set(names)]);
});

it('every script of src/lua is in the list', async () => {
  const modules = await Promise.all(
    readdirSync('src/lua', { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts'))
      .map((name): Promise<Record<string, unknown>> => import(join('../../../src/lua', name))),
  );
  const defined = modules.flatMap((exports) => Object.values(exports)).filter(isScript);
  expect(new Set(defined)).toEqual(new Set(SCRIPTS));
  expect(defined.length).toBeGreaterThan(0);
});

it('only defineScript counts the positions of keys and arguments', () => {
  const offenders = readdirSync('src', { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts') && path !== 'redis/script.ts')
    .filter((path) => /KEYS\[|ARGV\[/.test(readFileSync(join('src', path), 'utf8')));
  expect(offenders).toEqual([]);
});

function isScript(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'sha' in value;
}
