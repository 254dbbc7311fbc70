import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { readLedger } from '../evidence/ledger.ts';
import { exactly, figure, type Report, type Violation } from '../evidence/report.ts';
import { type Child, type ChildExit, startChild } from '../fleet/child.ts';
import { jobName } from '../fleet/job-plan.ts';
import type { Stage } from '../fleet/stage.ts';
import { becomes } from '../fleet/timing.ts';
import { type Findings, scenario, type World } from '../scenario.ts';

const INTERRUPTED = 130;
const THINK_MS = '20';
const LINES_AT_ONCE = 1000;
/** A batch that is slower than this counts as stuck. */
const LEAST_LINES_PER_SECOND = 10;

/**
 * runBatchStops sends a file of questions through `o3q batch`, stops it by Ctrl-C, then kills it, and
 * continues each time.
 */
export function runBatchStops(stage: Stage, lines: number): Promise<Report> {
  return scenario({ workers: 1 }, (world) => batchStops(world, lines))(stage);
}

async function batchStops(world: World, lines: number): Promise<Findings> {
  const { fleet, program, signal, progress, say } = world;
  const [input, output] = [join(fleet.folder, 'in.jsonl'), join(fleet.folder, 'out.jsonl')];
  await writeQuestions(input, lines);
  const counter = await createLineCounter(output);
  const limitMs = 60_000 + (lines * 1000) / LEAST_LINES_PER_SECOND;
  const has = (count: number): Promise<boolean> =>
    becomes(
      async () => {
        progress(`${await counter.count()} of ${lines} lines have answers`);
        return (await counter.count()) >= count;
      },
      limitMs,
      signal,
    );
  let runs = 0;
  const start = async (): Promise<Child> => {
    runs += 1;
    const { child } = await startChild({
      name: `batch-${runs}`,
      program,
      args: ['batch', input, '--out', output],
      environment: { O3Q_URL: fleet.producerUrl },
      folder: fleet.folder,
      ready: /to ask|Going on/,
    });
    signal.addEventListener('abort', () => child.kill('SIGKILL'), { once: true });
    return child;
  };
  const stopped = async (child: Child, kill: NodeJS.Signals): Promise<ChildExit & { had: number }> => {
    child.kill(kill);
    const exit = await child.exited;
    const had = await counter.count();
    say(`${kill} at ${had} answers`);
    return { ...exit, had };
  };

  const startedAt = Date.now();
  let child = await start();
  await has(Math.floor(lines / 3));
  const interrupted = await stopped(child, 'SIGINT');
  child = await start();
  await has(Math.floor((lines * 2) / 3));
  const killed = await stopped(child, 'SIGKILL');
  child = await start();
  const timer = setTimeout(() => child.kill('SIGKILL'), limitMs);
  const last = await child.exited;
  clearTimeout(timer);
  const tookMs = last.at - startedAt;
  await counter.close();

  const { answers, violations } = await judge(output, lines);
  const { totals } = await readLedger(fleet.upstreamUrl);
  return {
    requirements: [
      {
        what: 'stopped by Ctrl-C, exit code',
        required: `${INTERRUPTED}, with work left`,
        measured: `${interrupted.code} at ${interrupted.had} of ${lines}`,
        met: interrupted.code === INTERRUPTED && interrupted.had < lines,
      },
      {
        what: 'killed',
        required: 'with work left',
        measured: `at ${killed.had} of ${lines}`,
        met: killed.had < lines && killed.had > interrupted.had,
      },
      exactly('final exit code', 0, last.code),
      exactly('answers', lines, answers),
      exactly('lines answered twice, wrongly, or not at all', 0, violations.length),
      exactly('purchases', lines, totals.purchases),
      figure(
        'from the first start to the last exit',
        `${(tookMs / 1000).toFixed(1)} s: ${Math.round((lines * 1000) / tookMs)} lines a second`,
      ),
    ],
    violations,
  };
}

/** Writes OpenAI's format, so that each answer has the id of its line. */
async function writeQuestions(path: string, lines: number): Promise<void> {
  const file = await open(path, 'w');
  for (let first = 0; first < lines; first += LINES_AT_ONCE) {
    const numbers = Array.from({ length: Math.min(LINES_AT_ONCE, lines - first) }, (_, i) => first + i);
    await file.appendFile(numbers.map((number) => `${JSON.stringify(questionOf(number))}\n`).join(''));
  }
  await file.close();
}

function questionOf(number: number): object {
  const body = {
    model: 'o3',
    input: `${jobName(number)} in a batch`,
    metadata: { sim_think_ms: THINK_MS },
  };
  return { custom_id: jobName(number), method: 'POST', url: '/v1/responses', body };
}

/** Compares the output with the questions. */
async function judge(output: string, lines: number): Promise<{ answers: number; violations: Violation[] }> {
  const seen = new Map<string, string[]>();
  const file = await open(output);
  let answers = 0;
  for await (const line of file.readLines()) {
    const {
      custom_id: id,
      response,
      error,
    } = JSON.parse(line) as {
      custom_id: string;
      response: unknown;
      error: unknown;
    };
    const isRight = error === null && JSON.stringify(response).includes(`${id} in a batch`);
    if (isRight) answers += 1;
    seen.set(id, [...(seen.get(id) ?? []), isRight ? 'its answer' : line.slice(0, 300)]);
  }
  const violations = Array.from({ length: lines }, (_, number) => jobName(number)).flatMap((about) => {
    const got = seen.get(about) ?? [];
    if (got.length === 1 && got[0] === 'its answer') return [];
    return [
      {
        rule: 'each line has exactly one answer, its own',
        about,
        expected: 'its answer',
        seen: got.join(', ') || 'nothing',
      },
    ];
  });
  return { answers, violations };
}

interface LineCounter {
  count(): Promise<number>;
  close(): Promise<void>;
}

/** Counts the lines of a growing file. It reads each line once. */
async function createLineCounter(path: string): Promise<LineCounter> {
  const file: FileHandle = await open(path, 'a+');
  const buffer = Buffer.alloc(1 << 20);
  let position = 0;
  let lines = 0;
  return {
    async count() {
      for (;;) {
        const { bytesRead } = await file.read(buffer, 0, buffer.length, position);
        if (bytesRead === 0) return lines;
        position += bytesRead;
        for (const byte of buffer.subarray(0, bytesRead)) if (byte === 10) lines += 1;
      }
    },
    close: () => file.close(),
  };
}
