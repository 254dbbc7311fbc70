import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { readConfig } from '../../../src/config/environment.ts';

const ROOT = join(__dirname, '../../..');
const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');

const manifest = z
  .object({
    bin: z.object({ o3q: z.string() }),
    engines: z.object({ node: z.string() }),
    scripts: z.object({ build: z.string() }),
  })
  .parse(JSON.parse(read('package.json')));
const buildSettings = z
  .object({ extends: z.string(), include: z.array(z.string()) })
  .parse(JSON.parse(read('tsconfig.build.json')));

interface Instruction {
  keyword: string;
  rest: string;
}

/** The instructions of each stage, without comments, with continued lines joined. */
const stages: Instruction[][] = [];
for (const line of read('Dockerfile')
  .replace(/^#.*\n/gm, '')
  .replace(/\\\n\s*/g, '')
  .split('\n')
  .filter((text) => text !== '')) {
  const [, keyword = '', rest = ''] = /^([A-Z]+)\s+(.*)$/.exec(line) ?? [];
  if (keyword === 'FROM') stages.push([]);
  stages.at(-1)?.push({ keyword, rest });
}
const [build = [], run = []] = stages;

describe('Dockerfile', () => {
  it('has a stage that builds and a stage that runs, on a Node that package.json accepts', () => {
    expect(stages).toHaveLength(2);
    const [, major = ''] = /^>=(\d+)\./.exec(manifest.engines.node) ?? [];
    for (const stage of stages) {
      // The tag names a minor version and thus its newest patch.
      const [, tag = ''] =
        /^node:(\d+)\.\d+-bookworm-slim( AS build)?$/.exec(valuesOf(stage, 'FROM')[0] ?? '') ?? [];
      expect(Number(tag)).toBeGreaterThanOrEqual(Number(major));
    }
  });

  it('builds from everything that the build includes', () => {
    expect(manifest.scripts.build).toContain('tsconfig.build.json');
    const copied = sourcesOf(build);
    expect(copied).toEqual(expect.arrayContaining([...buildSettings.include, 'tsconfig.build.json']));
    expect(copied).toContain(buildSettings.extends.replace('./', ''));
    const used = manifest.scripts.build.match(/tsconfig\.\w+\.json|scripts(?=\/)/g) ?? [];
    expect(copied).toEqual(expect.arrayContaining(used));
    expect(valuesOf(build, 'RUN')).toEqual(['npm ci --ignore-scripts', 'npm run build']);
  });

  it('runs the file that package.json calls o3q, without a shell that would not pass SIGTERM on', () => {
    expect(valuesOf(run, 'ENTRYPOINT').map((text): unknown => JSON.parse(text))).toEqual([
      ['node', manifest.bin.o3q],
    ]);
    expect(valuesOf(run, 'COPY')).toContain(`--from=build /app/${manifest.bin.o3q.split('/')[0]} dist`);
    // The program reads its own version from it.
    expect(sourcesOf(run)).toContain('package.json');
    for (const stage of stages) expect(valuesOf(stage, 'WORKDIR')).toEqual(['/app']);
  });

  it('runs without development dependencies, and not as root', () => {
    expect(valuesOf(run, 'RUN').join()).toContain('npm ci --omit=dev --ignore-scripts');
    const order = run.map(({ keyword }) => keyword);
    expect(valuesOf(run, 'USER')).toEqual(['node']);
    expect(order.lastIndexOf('USER')).toBeGreaterThan(order.lastIndexOf('RUN'));
  });

  it('puts o3q on the path, for docker compose exec', () => {
    expect(valuesOf(run, 'RUN')).toContain(`ln -s /app/${manifest.bin.o3q} /usr/local/bin/o3q`);
  });

  it('sets only variables that the configuration knows', () => {
    const variables = Object.fromEntries(
      valuesOf(run, 'ENV').flatMap((text) => text.split(/\s+/).map((pair) => pair.split('=', 2))),
    );
    expect(variables).toEqual({ NODE_ENV: 'production', O3Q_REDIS_DOWNLOAD: '0' });
    expect(readConfig(variables).redisDownload).toBe(false);
  });
});

describe('.dockerignore', () => {
  const patterns = read('.dockerignore')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'));

  it('lets in only what the Dockerfile copies, so that no .env can get in', () => {
    expect(patterns[0]).toBe('*');
    const needed = [...new Set([...sourcesOf(build), ...sourcesOf(run)])];
    expect(patterns.slice(1).sort()).toEqual(needed.map((name) => `!${name}`).sort());
    expect(needed.filter((name) => !existsSync(join(ROOT, name)))).toEqual([]);
  });
});

function valuesOf(stage: Instruction[], keyword: string): string[] {
  return stage.filter((instruction) => instruction.keyword === keyword).map(({ rest }) => rest);
}

/** sourcesOf lists what a stage copies from the repository. */
function sourcesOf(stage: Instruction[]): string[] {
  return valuesOf(stage, 'COPY')
    .filter((text) => !text.startsWith('--from='))
    .flatMap((text) => text.split(/\s+/).slice(0, -1));
}
