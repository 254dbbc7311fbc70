import { randomBytes } from 'node:crypto';
import { type FileHandle, open, rm } from 'node:fs/promises';
import { z } from 'zod';
import { ON_LATE } from '../../../src/job/fields/times.ts';
import { isSameProcess, processIdentity } from '../../../src/redis/embedded/process-identity.ts';
import { BatchError, fileAt, fileError, linesOf } from './file.ts';

/** BatchTerms is what a batch was started with. With other terms its lines would be bought a second time. */
export interface BatchTerms {
  /** The hash of the input. */
  sha256: string;
  /** The value of `--model`; null when each line keeps its own. */
  model: string | null;
  /** The URL of the instance. */
  instance: string;
  /** The value of `--on-late`; absent: none. */
  on_late?: 'wait' | 'buy_again' | undefined;
  /**
   * What `--by` meant when the batch was started, in ISO 8601; absent: none was given. Words such as `8am`
   * mean another time in a later run, but the same line must stay the same request.
   */
  needed_by?: string | undefined;
}

/**
 * BatchRecord is a file beside the output that exists until the batch is done. It holds what must survive a
 * crash and is not in the output. The file consists of JSON Lines: the terms, once; the process, at each
 * start; and the job that each line became.
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

const termsSchema = z.object({
  sha256: z.string(),
  model: z.string().nullable(),
  instance: z.string(),
  on_late: z.enum(ON_LATE).optional(),
  needed_by: z.string().optional(),
});
const entrySchema = z.union([
  z.object({ batch: z.string().regex(/^[0-9a-f]{16}$/), terms: termsSchema }),
  z.object({ process: z.object({ pid: z.number(), startedAt: z.string().optional() }) }),
  z.object({ jobs: z.array(z.tuple([z.number(), z.string()])) }),
]);
/** The offset in the first entry at which the name of the batch begins. */
const BATCH_AT = '{"batch":"'.length;
type Entry = z.infer<typeof entrySchema>;

export function recordPath(output: string): string {
  return `${output}.o3q`;
}

/** FoundRecord is what an earlier run has left beside the output. */
export interface FoundRecord {
  /** undefined: there is no file. */
  size: number | undefined;
  entries: readonly Entry[];
  /** The bytes of the entries. It is less than `size` when a run was killed while it wrote an entry. */
  wholeBytes: number;
}

/**
 * readRecord reads the record of an earlier run, and changes nothing.
 *
 * @throws {BatchError} when another program has written the file, another process runs the batch, or the
 * batch was started with other terms.
 */
export async function readRecord(path: string, terms: BatchTerms): Promise<FoundRecord> {
  const entries: Entry[] = [];
  let wholeBytes = 0;
  const found = await fileAt(path);
  if (found === undefined) return { size: undefined, entries, wholeBytes };
  try {
    for await (const { number, bytes = Buffer.alloc(0), end, ended } of linesOf(path)) {
      if (ended) {
        entries.push(entryFrom(bytes.toString(), `${path}, line ${number}`));
        wholeBytes = end;
      } else if (entries.length === 0 && !isCutBeginning(bytes.toString(), terms)) throw notOurs(path);
    }
  } catch (error: unknown) {
    throw error instanceof BatchError ? error : fileError(path, 'read', error);
  }
  const [first] = entries;
  if (first !== undefined) {
    if (!('terms' in first)) throw notOurs(path);
    checkTerms(path, first.terms, terms);
    await checkOwner(path, entries);
  }
  return { size: Number(found.size), entries, wholeBytes };
}

/** batchOf returns the name of a record's batch; undefined: no run has enqueued anything yet. */
export function batchOf({ entries: [first] }: Pick<FoundRecord, 'entries'>): string | undefined {
  return first !== undefined && 'batch' in first ? first.batch : undefined;
}

/** termsOf returns what the batch of a record was started with; undefined: no run has enqueued anything yet. */
export function termsOf({ entries: [first] }: Pick<FoundRecord, 'entries'>): BatchTerms | undefined {
  return first !== undefined && 'terms' in first ? first.terms : undefined;
}

/**
 * openRecord begins a batch, or continues the one that was found. It cuts off a last entry that was not
 * written whole.
 *
 * @throws {BatchError} when another process has begun the same batch since.
 */
export async function openRecord(path: string, terms: BatchTerms, found: FoundRecord): Promise<BatchRecord> {
  const batch = batchOf(found) ?? randomBytes(8).toString('hex');
  const jobs = new Map(found.entries.flatMap((entry) => ('jobs' in entry ? entry.jobs : [])));
  let file: FileHandle;
  try {
    // 'ax' fails when the file exists: of two processes that begin the same batch, only one goes on.
    file = await open(path, found.size === undefined ? 'ax' : 'a');
    if (found.size !== undefined && found.wholeBytes < found.size) await file.truncate(found.wholeBytes);
  } catch (error: unknown) {
    throw fileError(path, 'written', error);
  }
  const add = async (entry: Entry): Promise<void> => {
    await file.appendFile(`${JSON.stringify(entry)}\n`).catch((error: unknown) => {
      throw fileError(path, 'written', error);
    });
  };
  if (found.entries.length === 0) await add({ batch, terms });
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

/**
 * isCutBeginning says whether the text may be an incomplete first entry of a run with these terms that was
 * killed while it wrote. The time that `--by` means may have been another one then.
 */
function isCutBeginning(text: string, { needed_by: _neededBy, ...terms }: BatchTerms): boolean {
  const batch = text.slice(BATCH_AT, BATCH_AT + 16);
  const known = JSON.stringify({ batch, terms }).slice(0, -'}}'.length);
  return /^[0-9a-f]*$/.test(batch) && (known.startsWith(text) || text.startsWith(known));
}

function notOurs(where: string, cause?: unknown): BatchError {
  return new BatchError(
    `${where} was expected to be written by o3q batch, got something else: choose another --out`,
    { cause },
  );
}

function checkTerms(path: string, begun: BatchTerms, now: BatchTerms): void {
  if (begun.sha256 !== now.sha256) {
    throw new BatchError(
      'This output belongs to another input, or the input has changed since: choose another --out, or ' +
        `delete the output together with ${path}`,
    );
  }
  const options = [
    ['--model', begun.model ?? undefined, now.model ?? undefined],
    ['--on-late', begun.on_late, now.on_late],
    // The words of `--by` may mean another time by now.
    ['--by', begun.needed_by, now.needed_by && (begun.needed_by ?? now.needed_by)],
  ] as const;
  for (const [option, was, is] of options) {
    if (was === is) continue;
    const how = was === undefined ? `without ${option}` : `with ${option} ${was}`;
    throw new BatchError(`This batch was started ${how}: continue with that, or choose another --out`);
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
    throw notOurs(where, error);
  }
}
