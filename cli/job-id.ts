import { oneLine } from '../src/client/terminal-text.ts';
import { jobIdOf } from '../src/job/ids/response-id.ts';
import type { JobQueue } from '../src/job/job-queue.ts';
import type { JobView } from '../src/job/view.ts';
import type { Terminal } from './display/terminal.ts';
import { UsageError } from './exit-code.ts';

/** The ids that the queue itself makes. They need no search. */
const OWN_ID = /^job_[0-9a-f]{32}$/;
/** ID_HELP describes an argument that names a job. */
export const ID_HELP = 'the id of a job, or a beginning or end of it that no other has';

/** Ids up to this length are shown whole. */
const SHORT_ENOUGH = 12;
/** A short id is at least so long: 32 random bits, so that it stays unique while jobs are added. */
const SHORTEST = 8;
/** The most jobs that the error of an ambiguous id lists. */
const MOST_CANDIDATES = 8;

/**
 * fullId returns the id of the one job whose id, or whose response's id, begins or ends with a text. A text
 * that fits no job is returned as it is, so that the command's own call says that there is no such job.
 *
 * @throws {UsageError} when it fits several jobs.
 */
export async function fullId(client: Pick<JobQueue, 'list'>, named: string): Promise<string> {
  const part = jobIdOf(named) ?? named;
  if (isWholeId(part) || part === '') return part;
  const limit = MOST_CANDIDATES + 1;
  const jobs: JobView[] = [];
  // Of very many jobs one call looks at some only, and its cursor leads to the others.
  for (let cursor: string | null | undefined; cursor !== null && jobs.length < limit; ) {
    const page = await client.list({ id: part, limit, cursor });
    jobs.push(...page.jobs.filter(({ id }) => jobs.every((job) => job.id !== id)));
    cursor = page.next_cursor;
  }
  const [first, second] = jobs;
  if (first === undefined || jobs.some(({ id }) => id === part)) return part;
  if (second === undefined) return first.id;
  const lines = jobs
    .slice(0, MOST_CANDIDATES)
    .map(({ id, status, question }) => `  ${oneLine(id)}  ${status}  ${oneLine(question)}`);
  const more = jobs.length > MOST_CANDIDATES ? ['  …'] : [];
  throw new UsageError([`"${part}" fits several jobs; write more of the id:`, ...lines, ...more].join('\n'));
}

/** isWholeId says whether a text has the form of the ids that the queue itself makes. */
export function isWholeId(text: string): boolean {
  return OWN_ID.test(text);
}

/** fullIds returns the ids of several jobs as fullId does, each once. */
export async function fullIds(client: Pick<JobQueue, 'list'>, parts: readonly string[]): Promise<string[]> {
  const ids: string[] = [];
  for (const part of parts) ids.push(await fullId(client, part));
  return [...new Set(ids)];
}

/** shortIds gives each job the shortest end of its id, of eight characters or more, that no other job has. */
export function shortIds(jobs: readonly Pick<JobView, 'id'>[]): ReadonlyMap<string, string> {
  const ids = [...new Set(jobs.map(({ id }) => id))];
  return new Map(ids.map((id) => [id, shortId(id, ids)]));
}

/** idFor returns an id for a command that a person may type: short on a terminal, whole in a pipe. */
export function idFor({ isTerminal }: Pick<Terminal, 'isTerminal'>, id: string): string {
  return oneLine(isTerminal ? shortId(id, [id]) : id);
}

function shortId(id: string, ids: readonly string[]): string {
  if (id.length <= SHORT_ENOUGH) return id;
  for (let length = SHORTEST; length < id.length; length += 1) {
    const end = id.slice(-length);
    if (ids.every((other) => other === id || !other.endsWith(end))) return end;
  }
  return id;
}
