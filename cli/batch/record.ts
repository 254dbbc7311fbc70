import { randomBytes } from 'node:crypto';
import { type FileHandle, open, rm, truncate } from 'node:fs/promises';
import { z } from 'zod';
import { isSameProcess, processIdentity } from '../../src/redis/embedded/process-identity.ts';
import { BatchError, fileError, linesOf } from './file.ts';

/** BatchTerms is what a batch was started with. With other terms its lines would be bought a second time. */
export interface BatchTerms {
  /** The hash of the input. */
  sha256: string;
  /** The value of `--model`; null when each line keeps its own. */
  model: string | null;
  /** The URL of the instance. */
  instance: string;
}

/**
 * BatchRecord is a file beside the output that exists until the batch is done. It holds what must survive a
 * crash and is not in the output, as JSON Lines: the terms, once; the process, at each start; and the job
 * that each line became.
 */
export interface BatchRecord {
  readonly batch: string;
  /** Returns the job of a line that was enqueued and has no output line yet. */
  jobOf(line: number): string | undefined;
  addJobs(jobs: readonly (readonly [line: number, id: string])[]): Promise<void>;
  /** Closes the file and keeps it, so that the batch can continue. */
  close(): Promise<void>;
  /** Deletes the file, because the batch is done. */
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

/**
 * readEntries reads the record of an earlier run; undefined when there is none. It cuts off a last line that
 * was not written whole.
 */
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
  // The earlier run was killed before its first line was whole: it had not enqueued anything.
  return entries.length === 0 ? undefined : entries;
}

/**
 * openRecord begins a batch, or continues the batch whose entries it is given.
 *
 * @throws {BatchError} when another process runs the batch, or it was started with other terms.
 */
export async function openRecord(
  path: string,
  terms: BatchTerms,
  entries: readonly Entry[] | undefined,
): Promise<BatchRecord> {
  const begun = entries?.find((entry) => 'terms' in entry);
  if (entries !== undefined) {
    if (begun === undefined) {
      throw new BatchError(
        `${path} was expected to begin with the terms of a batch, got something else: choose another --out`,
      );
    }
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
      'This output belongs to another input, or the input has changed since: choose another --out, or ' +
        `delete the output together with ${path}`,
    );
  }
  if (begun.model !== now.model) {
    const was = begun.model === null ? 'without --model' : `with --model ${begun.model}`;
    throw new BatchError(`This batch was started ${was}: continue with that, or choose another --out`);
  }
  if (begun.instance !== now.instance) {
    throw new BatchError(
      `This batch was started at ${begun.instance}, which holds its jobs, not at ${now.instance}: set ` +
        `O3Q_URL to the first; if both are the same instance, change the address in ${path}`,
    );
  }
}

async function checkOwner(path: string, entries: readonly Entry[]): Promise<void> {
  const owner = entries.findLast((entry) => 'process' in entry)?.process;
  if (owner === undefined) return;
  const { pid, startedAt } = owner;
  if (!(await isSameProcess({ pid, ...(startedAt !== undefined && { startedAt }) }))) return;
  throw new BatchError(
    `Another process (pid ${pid}) is running this batch, according to ${path}: wait for it, or stop it`,
  );
}

function entryFrom(text: string, where: string): Entry {
  try {
    return entrySchema.parse(JSON.parse(text));
  } catch (error: unknown) {
    throw new BatchError(
      `${where} was expected to be written by o3q batch, got something else: choose another --out`,
      { cause: error },
    );
  }
}
