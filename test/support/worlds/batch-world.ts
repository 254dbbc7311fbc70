import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from '../eventually.ts';
import type { CliProcess } from '../process/cli-process.ts';
import { type O3qRun, o3q } from '../process/o3q.ts';
import { type CliWorld, useCliWorld } from './cli-world.ts';

/** PROCESS_LIMIT_MS is how long a test of processes may take on a busy machine. */
export const PROCESS_LIMIT_MS = 240_000;

/** OutputLine is a line of a batch's output, in either format. */
export interface OutputLine {
  line: number;
  id: string | null;
  custom_id: unknown;
  status: string;
  answer: string | null;
  usage: unknown;
  response: { status_code: number; request_id: string; body: { object: string } } | null;
  metadata: unknown;
  error: { code: string; message: string } | null;
}

/** BatchWorld is a folder for the input and output of one `o3q batch`, and an instance that answers it. */
export interface BatchWorld {
  readonly cli: CliWorld;
  folder: string;
  input: string;
  output: string;
  /** Runs the batch to its end. */
  run(...args: string[]): Promise<O3qRun>;
  /** Starts the batch as a process. */
  start(url?: string, ...args: string[]): Promise<CliProcess>;
  writeLines(lines: readonly unknown[]): Promise<void>;
  answers(): Promise<OutputLine[]>;
  hasAnswers(count: number): Promise<void>;
  purchases(): number;
}

/** useBatchWorld gives each test of a file an empty folder and a ledger of its own. */
export function useBatchWorld(): BatchWorld {
  const cli = useCliWorld();
  const world: BatchWorld = {
    ...{ cli, folder: '', input: '', output: '' },
    run: (...args) =>
      o3q(['batch', world.input, '--out', world.output, ...args], {
        environment: { O3Q_URL: cli.instance.url },
      }),
    start: (url = cli.instance.url, ...args) =>
      cli.processes.start(['batch', world.input, '--out', world.output, ...args], { O3Q_URL: url }),
    writeLines: (lines) => writeFile(world.input, lines.map((line) => `${JSON.stringify(line)}\n`).join('')),
    async answers() {
      const text = await readFile(world.output, 'utf8');
      return text
        .split('\n')
        .slice(0, -1)
        .map((line) => JSON.parse(line) as OutputLine);
    },
    hasAnswers: (count) =>
      eventually(
        async () => expect((await world.answers()).length).toBeGreaterThanOrEqual(count),
        PROCESS_LIMIT_MS,
      ),
    purchases: () => cli.instance.simulator.ledger.totals().purchases,
  };
  beforeEach(async () => {
    cli.instance.simulator.ledger.reset();
    world.folder = await mkdtemp(join(tmpdir(), 'o3q-batch-'));
    [world.input, world.output] = [join(world.folder, 'in.jsonl'), join(world.folder, 'out.jsonl')];
  });
  afterEach(() => rm(world.folder, { recursive: true }));
  return world;
}

/** thinking returns a question whose answer takes the simulator so many milliseconds. */
export const thinking = (question: string, thinkMs: number) => ({
  question,
  metadata: { sim_think_ms: String(thinkMs) },
});
