import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';

/** The rooms of the house, and which others each may use. */
const MAY_IMPORT: Record<string, readonly string[]> = {
  src: [],
  producer: ['src'],
  worker: ['src'],
  simulator: [],
  cli: ['src', 'producer', 'worker', 'simulator'],
  // Beside the product: kills its processes from outside.
  chaos: ['src', 'simulator', 'test'],
};

/** The programs: each ends its own process. */
const ENTRY_POINTS = ['chaos/main.ts', 'cli/main.ts'];

interface SourceFile {
  path: string;
  text: string;
  imports: string[];
}

const files = Object.keys(MAY_IMPORT).flatMap((room) =>
  readdirSync(room, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name): SourceFile => {
      const path = join(room, name);
      const text = readFileSync(path, 'utf8');
      const found = text.matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g);
      return { path, text, imports: [...found].map((match) => match[1] ?? '') };
    }),
);

const roomOf = (path: string): string => path.split('/')[0] ?? '';
const local = (file: SourceFile): string[] =>
  file.imports
    .filter((name) => name.startsWith('.'))
    .map((name) => normalize(join(dirname(file.path), name)));
/** Code without its comments, for rules about what is done and not about what is said. */
const code = ({ text }: SourceFile): string => text.replaceAll(/\/\*[\s\S]*?\*\/|(?<!:)\/\/.*/g, '');

function expectNobody(offenders: string[], because: string): void {
  expect({ because, offenders }).toEqual({ because, offenders: [] });
}

test('there are files to look at', () => {
  expect(files.length).toBeGreaterThan(50);
});

test.each(Object.entries(MAY_IMPORT))('%s imports only what it may', (room, allowed) => {
  const offenders = files
    .filter((file) => roomOf(file.path) === room)
    .flatMap((file) =>
      local(file)
        .filter((target) => roomOf(target) !== room && !allowed.includes(roomOf(target)))
        .map((target) => `${file.path} → ${target}`),
    );
  expectNobody(
    offenders,
    'producer → src ← worker: either process must be deployable and readable without the other; the simulator stands in for OpenAI and must not know who calls it',
  );
});

test('nothing inside src goes through the public list', () => {
  const offenders = files.filter((file) => local(file).includes('src/index.ts')).map(({ path }) => path);
  expectNobody(offenders, 'a list that everybody imports and that imports everybody is how cycles are born');
});

test('no import cycles', () => {
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
  expectNobody(cycles, 'files in a cycle can only be understood all at once');
});

test.each([
  [
    'bullmq',
    /^(src\/(queue|model-queue|enqueue|fair-queue|job-store|models|webhooks|run)\/|src\/job\/stored-options|worker\/((model|job)-worker|bullmq-job|webhooks\/delivery)\.ts)/,
    'BullMQ has its own words and states; they meet ours once, at the queue and at the wiring',
  ],
  [
    'openai',
    /^(worker\/upstream\/(client|errors)|producer\/routes\/openai-webhook)\.ts$/,
    "the upstream's protocol is spoken where we call it, so that errors are judged where they enter, and where it calls us",
  ],
  ['express', /^producer\//, 'HTTP is the producer’s; handlers return values and do not know Express'],
  ['@bull-board/api', /^producer\//, 'the board is a page of the producer'],
  ['commander', /^(cli|chaos)\//, 'only commands parse arguments'],
])('%s is imported only where it belongs', (name, where, because) => {
  const importers = files.filter((file) =>
    file.imports.some((used) => used === name || used.startsWith(`${name}/`)),
  );
  expect(importers.length).toBeGreaterThan(0);
  expectNobody(
    importers.map(({ path }) => path).filter((path) => !where.test(path)),
    because,
  );
});

test.each([
  [
    'process.env',
    /\bprocess\.env\b/,
    ['src/config/client.ts', 'src/config/environment.ts'],
    'a variable that is read in the middle cannot be documented, checked at the start, or found',
  ],
  [
    'process.exit',
    /\bprocess\.exit\(/,
    ENTRY_POINTS,
    'only the entry point may end the process: everybody else has something to close',
  ],
  [
    'process.on',
    /\bprocess\.(on|once)\(/,
    ENTRY_POINTS,
    'a library that listens for signals takes them from its host',
  ],
])('%s appears only where it belongs', (_name, pattern, where, because) => {
  const users = files.filter((file) => pattern.test(code(file))).map(({ path }) => path);
  expect(users).toEqual(expect.arrayContaining(where));
  expectNobody(
    users.filter((path) => !where.includes(path)),
    because,
  );
});

test('no file has grown past 300 lines', () => {
  const offenders = files
    .map(({ path, text }) => [path, text.split('\n').length] as const)
    .filter(([, lines]) => lines > 300);
  expectNobody(offenders.map(String), 'past 300 lines there is a second noun in the file: find it');
});
