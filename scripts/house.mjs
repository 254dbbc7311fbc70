// Measures how the code is laid out: `npm run house`, or `node scripts/house.mjs FOLDER` for another checkout.
// docs/HOUSE.md says what the figures mean. Tests are not counted.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';

const ROOT = process.argv[2] ?? '.';
const PRODUCT = ['src', 'worker', 'producer', 'cli'];
const MOST_COLUMNS = 110;

/** The path of each TypeScript file, with its text and the files that it imports. */
const files = new Map(
  [...PRODUCT, 'simulator', 'chaos']
    .filter((room) => existsSync(join(ROOT, room)))
    .flatMap((room) => readdirSync(join(ROOT, room), { recursive: true }).map((name) => join(room, name)))
    .filter((path) => /\.tsx?$/.test(path))
    .map((path) => {
      const text = readFileSync(join(ROOT, path), 'utf8');
      const imports = [...text.matchAll(/(?:from|import)\s*\(?\s*'(\.[^']+)'/g)].map((match) =>
        normalize(join(dirname(path), match[1])),
      );
      return [path, { text, imports: new Set(imports) }];
    }),
);
const within = (room) => [...files.keys()].filter((path) => path.startsWith(`${room}/`));
const product = PRODUCT.flatMap(within);

const importers = (path) => [...files.values()].filter(({ imports }) => imports.has(path)).length;

/** The largest number of files that lie side by side in one folder of a room. */
function biggestFolder(room) {
  const counts = new Map();
  for (const path of within(room)) counts.set(dirname(path), (counts.get(dirname(path)) ?? 0) + 1);
  const [folder, count] = [...counts].sort((one, other) => other[1] - one[1])[0] ?? ['-', 0];
  return `${count} (${folder})`;
}

/** The longest chain of imports inside a room: how many files one reads from the top to the bottom. */
function levels(room) {
  const known = new Map();
  const depth = (path) => {
    const found = known.get(path);
    if (found !== undefined) return found;
    known.set(path, 0);
    const below = [...(files.get(path)?.imports ?? [])].filter((target) => target.startsWith(`${room}/`));
    const own = 1 + Math.max(0, ...below.map(depth));
    known.set(path, own);
    return own;
  };
  return Math.max(0, ...within(room).map(depth));
}

const linesOf = (paths) => paths.flatMap((path) => files.get(path).text.split('\n'));
const count = (paths, pattern) =>
  paths.reduce((sum, path) => sum + [...files.get(path).text.matchAll(pattern)].length, 0);
const median = (numbers) => numbers.sort((one, other) => one - other)[Math.floor(numbers.length / 2)] ?? 0;
const lengths = product.map((path) => files.get(path).text.split('\n').length - 1);

const rows = [
  ['TypeScript files in src, worker, producer and cli', product.length],
  ['their lines, in all', lengths.reduce((sum, length) => sum + length, 0)],
  ['lines of a file, median and most', `${median([...lengths])} · ${Math.max(...lengths)}`],
  ['files of at most 30 lines', lengths.filter((length) => length <= 30).length],
  ['files that only one other file imports', product.filter((path) => importers(path) === 1).length],
  ['most files in one folder of src', biggestFolder('src')],
  ['most files in one folder of worker', biggestFolder('worker')],
  ['levels of imports in worker', levels('worker')],
  ['levels of imports in src', levels('src')],
  ['positional references to keys and arguments in Lua', count(product, /\b(?:KEYS|ARGV)\[\d/g)],
  ['longest line of code or comment', Math.max(...linesOf(product).map((line) => line.length))],
  [
    `lines over ${MOST_COLUMNS} columns`,
    linesOf(product).filter((line) => line.length > MOST_COLUMNS).length,
  ],
];
process.stdout.write(`${rows.map(([what, value]) => `| ${what} | ${value} |`).join('\n')}\n`);
