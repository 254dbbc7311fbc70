import { readdirSync, readFileSync } from 'node:fs';
import { expectNone, files, local, type ROOMS, roomOf, type SourceFile } from '../../support/source-files.ts';

/** Which rooms (top-level folders) each room may import. */
const MAY_IMPORT: Record<(typeof ROOMS)[number], readonly string[]> = {
  src: [],
  producer: ['src'],
  worker: ['src'],
  simulator: [],
  cli: ['src', 'producer', 'worker', 'simulator'],
  // Beside the product: kills its processes from outside. One of them is a worker whose clock is scaled.
  chaos: ['src', 'worker', 'simulator', 'test'],
  // Beside the product and beside a bare program: measures both from outside.
  bench: ['src', 'chaos'],
};

/**
 * The folders of src and worker, from the bottom to the top, and files that have a place of their own: each
 * imports only what stands before it.
 */
const ORDER: Record<string, readonly string[]> = {
  src: [
    'async',
    'process',
    'errors',
    'job',
    'responses',
    'tracing',
    'redis',
    'metrics',
    'config',
    'usage',
    // The one place that knows the year 2039: the scripts need it, and it belongs to the fair queue.
    'fair-queue/parked.ts',
    'lua',
    'quota',
    'fair-queue',
    'run',
    'model-queue',
    'webhooks',
    'events',
    'models',
    'job-store',
    'actions',
    'audit',
    'overview',
    'enqueue',
    'queue',
    'client',
    'mcp',
    'index.ts',
  ],
  worker: [
    'upstream',
    'windows',
    'reservation',
    'attempt',
    'metrics',
    'dispatch',
    'maintenance',
    'bullmq-job.ts',
    'job-worker.ts',
    'heartbeat.ts',
    'webhooks',
    'model-worker.ts',
    'leave.ts',
    'worker.ts',
    'health.ts',
  ],
};

/** The programs: each ends its own process. */
const ENTRY_POINTS = ['bench/main.ts', 'chaos/main.ts', 'cli/main.ts'];

/**
 * The folder of a file within its room, or the file itself when it has a place of its own: `attempt`,
 * `worker.ts`.
 */
const placeOf = (path: string): string => {
  const [room = '', folder = '', ...rest] = path.split('/');
  const file = [folder, ...rest].join('/');
  return ORDER[room]?.includes(file) ? file : folder;
};
/** Code without its comments, for rules about what is done and not about what is said. */
const code = ({ text }: SourceFile): string => text.replaceAll(/\/\*[\s\S]*?\*\/|(?<!:)\/\/.*/g, '');

test('there are files to look at', () => {
  expect(files.length).toBeGreaterThan(50);
});

describe('imports', () => {
  test.each(Object.entries(MAY_IMPORT))('%s imports only the rooms that it may', (room, allowed) => {
    const offenders = files
      .filter((file) => roomOf(file.path) === room)
      .flatMap((file) =>
        local(file)
          .filter((target) => roomOf(target) !== room && !allowed.includes(roomOf(target)))
          .map((target) => `${file.path} → ${target}`),
      );
    expectNone(
      offenders,
      'producer → src ← worker: either process must be deployable and readable without the other, and the ' +
        'simulator stands in for OpenAI and must not know its callers. Move what both need to src',
    );
  });

  test.each(Object.entries(ORDER))('folders of %s import only folders below them', (room, order) => {
    const within = files.filter((file) => roomOf(file.path) === room);
    expectNone(
      [...new Set(within.map(({ path }) => placeOf(path)))].filter((folder) => !order.includes(folder)),
      `a new folder of ${room} needs a place in ORDER here and a line in the map of docs/ARCHITECTURE.md`,
    );
    const offenders = within.flatMap((file) =>
      local(file)
        .filter(
          (target) =>
            roomOf(target) === room && order.indexOf(placeOf(target)) > order.indexOf(placeOf(file.path)),
        )
        .map((target) => `${file.path} → ${target}`),
    );
    expectNone(
      offenders,
      'an import points upwards, so that the lower folder can no longer be read or tested alone. Move the ' +
        'shared type down, or let the lower folder take it as a parameter',
    );
  });

  test('nothing inside src goes through the public list', () => {
    const offenders = files.filter((file) => local(file).includes('src/index.ts')).map(({ path }) => path);
    expectNone(
      offenders,
      'src/index.ts is for users: a list that all files import and that imports all files makes cycles. ' +
        'Import the file itself',
    );
  });

  test('there are no import cycles', () => {
    const byPath = new Map(files.map((file) => [file.path, local(file)]));
    const done = new Set<string>();
    const cycles: string[] = [];
    const visit = (path: string, trail: string[]): void => {
      if (trail.includes(path)) cycles.push([...trail.slice(trail.indexOf(path)), path].join(' → '));
      else if (!done.has(path)) {
        for (const target of byPath.get(path) ?? []) visit(target, [...trail, path]);
        done.add(path);
      }
    };
    for (const path of byPath.keys()) visit(path, []);
    expectNone(
      cycles,
      'files in a cycle can only be understood all at once. Move what both need to a third file below them',
    );
  });

  test.each([
    [
      'bullmq',
      /^(bench\/bare\/|src\/(queue|model-queue|enqueue|fair-queue|job-store|models|webhooks|run)\/|src\/job\/stored-options|worker\/((model|job)-worker|bullmq-job|webhooks\/delivery)\.ts)/,
      'BullMQ has its own words and states; they meet ours once, at the queue and in the worker',
    ],
    [
      'openai',
      /^(bench\/bare\/bare|worker\/upstream\/(client|errors)|producer\/routes\/openai-webhook|producer\/v1\/chat\/chat-(completion|message|stream))\.ts$/,
      "the upstream's protocol is spoken where we call it, so that errors are judged where they enter, " +
        'and where it calls us; what we answer is compared with its types',
    ],
    [
      'express',
      /^(bench\/bare|producer)\//,
      'HTTP belongs to the producer; handlers return values and do not know Express',
    ],
    [
      '@modelcontextprotocol/server',
      /^(src|producer)\/mcp\//,
      'the tools are written once, on JobQueue, for both doors; an app that imports the client must not load ' +
        'the protocol',
    ],
    [
      '@opentelemetry/api',
      /^src\/tracing\//,
      'one folder decides what a span may carry, and no attribute holds a question, an answer or a key',
    ],
    ['@bull-board/api', /^producer\//, 'the board is a page of the producer'],
    ['commander', /^(bench|cli|chaos)\//, 'only commands parse arguments'],
  ])('%s is imported only where it belongs', (name, where, rule) => {
    const importers = files.filter((file) =>
      file.imports.some((used) => used === name || used.startsWith(`${name}/`)),
    );
    expect(importers.length).toBeGreaterThan(0);
    expectNone(
      importers.map(({ path }) => path).filter((path) => !where.test(path)),
      rule,
    );
  });
});

test.each([
  [
    'process.env',
    /\bprocess\.env\b/,
    ['src/config/client.ts', 'src/config/text-file.ts', 'src/config/environment.ts'],
    'a variable that is read in the middle cannot be documented, checked at the start, or found. Add it to ' +
      'VARIABLES in src/config/environment.ts',
  ],
  [
    'process.exit',
    /\bprocess\.exit\(/,
    ENTRY_POINTS,
    'only the entry point may end the process, because everything else has something to close. Throw, or ' +
      'return',
  ],
  [
    'process.on',
    /\bprocess\.(on|once)\(/,
    ENTRY_POINTS,
    'a library that listens for signals takes them from its host. Take an AbortSignal',
  ],
])('%s appears only where it belongs', (_name, pattern, where, rule) => {
  const users = files.filter((file) => pattern.test(code(file))).map(({ path }) => path);
  expect(users).toEqual(expect.arrayContaining(where));
  expectNone(
    users.filter((path) => !where.includes(path)),
    rule,
  );
});

describe('the map in docs/ARCHITECTURE.md', () => {
  const mapped = [...readFileSync('docs/ARCHITECTURE.md', 'utf8').matchAll(/^\| `([\w/-]+)` \|/gm)].map(
    (match) => match[1] ?? '',
  );
  const exists = (folder: string): boolean => {
    try {
      return readdirSync(folder).length > 0;
    } catch {
      return false;
    }
  };

  test('has a line for each folder of src, worker, producer and cli', () => {
    const folders = new Set(
      files
        .filter(({ path }) => ['src', 'worker', 'producer', 'cli'].includes(roomOf(path)))
        .filter(({ path }) => !placeOf(path).endsWith('.ts'))
        .map(({ path }) => `${roomOf(path)}/${placeOf(path)}`),
    );
    expectNone(
      [...folders].filter((folder) => !mapped.includes(folder)),
      'a newcomer finds a folder by the map: write in one line what is in it',
    );
  });

  test('has no line for a folder that does not exist', () => {
    expect(mapped.length).toBeGreaterThan(20);
    const rooms = /^(src|worker|producer|cli|simulator|chaos|bench|test)(\/|$)/;
    expectNone(
      mapped.filter((folder) => rooms.test(folder) && !exists(folder)),
      'the map names a folder that does not exist: correct it',
    );
  });
});
