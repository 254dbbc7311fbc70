import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { RedisUnavailableError } from '../../../src/errors/setup-error.ts';
import { startEmbeddedRedis } from '../../../src/redis/embedded/embedded-redis.ts';

const MINUTE_MS = 60_000;

// An installed Redis would hide a broken fallback, so the test ignores it, and earlier downloads too.
describe('on a machine without Redis', () => {
  it(
    "the distribution's own package is fetched, and kept for the next start",
    async () => {
      const world = mkdtempSync(join(tmpdir(), 'o3q fallback-'));
      const lines: string[] = [];
      const options = {
        dataDir: join(world, 'data'),
        cacheDir: join(world, 'cache'),
        searchInstalled: false,
        log: (line: string) => lines.push(line),
      };
      try {
        const first = await startEmbeddedRedis(options).catch(skippedWhere);
        if (first === undefined) return;
        expect(lines.at(-1)).toMatch(/^\[redis\] downloading .*(redis|valkey)-tools/);
        expect(readdirSync(options.cacheDir)).toEqual([expect.stringMatching(/^(redis|valkey)-\d/)]);
        const client = new Redis(first.url);
        expect(await client.incr('count')).toBe(1);
        client.disconnect();
        await first.stop();

        const fetched = lines.length;
        const second = await startEmbeddedRedis(options);
        expect(second.description).toContain('(unpacked, ');
        expect(lines).toHaveLength(fetched);
        await second.stop();
      } finally {
        rmSync(world, { recursive: true, force: true });
      }
    },
    5 * MINUTE_MS,
  );
});

/**
 * The test passes without a package only where none is available. It says so, and never passes like that in
 * CI.
 */
function skippedWhere(error: unknown): undefined {
  if (process.env['CI'] !== undefined || !(error instanceof RedisUnavailableError)) throw error;
  const hasApt = !error.message.includes('not found (not Debian or Ubuntu)');
  const offline =
    /Temporary failure resolving|Could not connect|Failed to fetch|Unable to connect|Connection timed out/;
  if (hasApt && !offline.test(error.message)) throw error;
  const reason = hasApt ? 'this machine is offline' : 'this machine has no apt-get';
  process.stderr.write(`\n*** NOT TESTED: the fallback to the distribution's package (${reason}) ***\n\n`);
}
