import { randomBytes } from 'node:crypto';
import { type FileHandle, open, rm, truncate } from 'node:fs/promises';
import { z } from 'zod';
import { isSameProcess, processIdentity } from '../../src/redis/embedded/process-identity.ts';
import { BatchError, fileError } from './error.ts';
import { linesOf } from './lines.ts';

/** What a batch was started with; another of these would ask its questions again. */
export interface BatchTerms {
  /** Of the input. */
  sha256: string;
  /** null: each line's own. */
  model: string | null;
  /** The URL of the instance. */
  instance: string;
}

/**
 * A file beside the output, there as long as the batch is not done: what must be known after a crash and does not stand in
 * the output. A line of JSON for each thing: the terms, once; whose process it is, at each start; which jobs the lines became.
 */
export interface BatchRecord {
  readonly batch: string;
  /** The job of a line that has been asked, and whose answer is not in the output. */
  jobOf(line: number): string | undefined;
  addJobs(jobs: readonly (readonly [line: number, id: string])[]): Promise<void>;
  close(): Promise<void>;
  /** The batch is done. */
  remove(): Promise<void>;
}

const termsSchema = z.object({ sha256: z.string(), model: z.string().nullable(), instance: z.string() });
const entrySchema = z.union([
  z.object({ batch: z.string().regex(/^[0-9a-f]{16}$/), terms: termsSchema }),
  z.object({ process: z.object({ pid: z.number(), startedAt: z.string().optional() }) }),
  z.object({ jobs: z.array(z.tuple([z.number(), z.string()])) }),
]);
type Entry = z.infer<typeof entrySchema>;

export function recordPath(output: string): string {
  return `${output}.o3q`;
}

/** What an earlier run has left; undefined: nothing. A last line that it could not finish is cut off. */
export async function readEntries(path: string): Promise<Entry[] | undefined> {
  const entries: Entry[] = [];
  try {
    for await (const { number, bytes = Buffer.alloc(0), end, ended } of linesOf(path)) {
      if (!ended) await truncate(path, end - bytes.length);
      else entries.push(entryFrom(bytes.toString(), `${path}, line ${number}`));
    }
  } catch (error: unknown) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error instanceof BatchError ? error : fileError(path, 'read', error);
  }
  // Killed before its first line was whole: nothing had been asked.
  return entries.length === 0 ? undefined : entries;
}

/**
 * Begins a batch, or goes on with the one whose entries these are.
 *
 * @throws {BatchError} when another process is at it, or it was started on other terms.
 */
export async function openRecord(
  path: string,
  terms: BatchTerms,
  entries: readonly Entry[] | undefined,
): Promise<BatchRecord> {
  const begun = entries?.find((entry) => 'terms' in entry);
  if (entries !== undefined) {
    if (begun === undefined) throw new BatchError(`${path} was expected to begin with the terms of a batch`);
    checkTerms(path, begun.terms, terms);
    await checkOwner(path, entries);
  }
  const batch = begun?.batch ?? randomBytes(8).toString('hex');
  const jobs = new Map(entries?.flatMap((entry) => ('jobs' in entry ? entry.jobs : [])));
  let file: FileHandle;
  try {
    file = await open(path, 'a');
  } catch (error: unknown) {
    throw fileError(path, 'written', error);
  }
  const add = async (entry: Entry): Promise<void> => {
    await file.appendFile(`${JSON.stringify(entry)}\n`).catch((error: unknown) => {
      throw fileError(path, 'written', error);
    });
  };
  if (begun === undefined) await add({ batch, terms });
  await add({ process: await processIdentity(process.pid) });
  return {
    batch,
    jobOf: (line) => jobs.get(line),
    addJobs: (added) => add({ jobs: added.map(([line, id]) => [line, id]) }),
    close: () => file.close(),
    async remove() {
      await file.close();
      await rm(path, { force: true });
    },
  };
}

function checkTerms(path: string, begun: BatchTerms, now: BatchTerms): void {
  if (begun.sha256 !== now.sha256) {
    throw new BatchError(
      `This output was begun for another input, or the input has changed since: give another --out, or delete it together with ${path}`,
    );
  }
  if (begun.model !== now.model) {
    const was = begun.model === null ? 'without --model' : `with --model ${begun.model}`;
    throw new BatchError(`This batch was begun ${was}: go on like that, or give another --out`);
  }
  if (begun.instance !== now.instance) {
    throw new BatchError(
      `This batch was begun at ${begun.instance}, which has its jobs, not at ${now.instance}: set O3Q_URL, or, if it is the same instance, change it in ${path}`,
    );
  }
}

async function checkOwner(path: string, entries: readonly Entry[]): Promise<void> {
  const owner = entries.findLast((entry) => 'process' in entry)?.process;
  if (owner === undefined) return;
  const { pid, startedAt } = owner;
  if (!(await isSameProcess({ pid, ...(startedAt !== undefined && { startedAt }) }))) return;
  throw new BatchError(`Another process (pid ${pid}) is at this batch: wait for it, or stop it (${path})`);
}

function entryFrom(text: string, where: string): Entry {
  try {
    return entrySchema.parse(JSON.parse(text));
  } catch (error: unknown) {
    throw new BatchError(`${where} was expected to be what o3q batch wrote there, got something else`, {
      cause: error,
    });
  }
}
