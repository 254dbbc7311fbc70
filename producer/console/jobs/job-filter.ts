import { ACTION_KINDS, type ActionKind } from '../../../src/job/action.ts';
import { isFinished } from '../../../src/job/job.ts';
import type { JobFilter } from '../../../src/job/job-queue.ts';
import { jobQueryFrom } from '../../routes/job-queries.ts';
import { withZone } from '../parts.tsx';

/** PageQuery is what the address of the page of jobs says. */
export interface PageQuery {
  readonly filter: JobFilter;
  /** Where the page begins; undefined: with the newest job. */
  readonly cursor: string | undefined;
  /** The cursors of the pages before this one, the oldest first. */
  readonly back: readonly string[];
}

/** FIRST stands for the first page among the cursors. */
const FIRST = '-';
/** How many pages back the address remembers. */
const MOST_BACK = 10;

/**
 * pageQueryFrom reads the address of the page. A field of the form that was left empty is no filter. `pair`
 * is the field for one pair of metadata, `key=value`.
 *
 * @throws {QueueError} `invalid_request`
 */
export function pageQueryFrom(query: Record<string, unknown>): PageQuery {
  const given = Object.entries(query)
    .filter(([, value]) => value !== '')
    .map(([name, value]) => [name, name === 'since' || name === 'until' ? withZone(value) : value]);
  const { pair, back, ...fields } = Object.fromEntries(given);
  const [key, ...value] = typeof pair === 'string' ? pair.split('=') : [''];
  const metadata = key === undefined || key === '' ? {} : { [`metadata[${key}]`]: value.join('=') };
  const { cursor, limit: _limit, id: _id, ...filter } = jobQueryFrom({ ...fields, ...metadata });
  return { filter, cursor, back: typeof back === 'string' ? back.split(',') : [] };
}

/** fieldsOf returns a filter as the fields of a form or of an address. */
export function fieldsOf({ metadata = {}, ...filter }: JobFilter): [name: string, value: string][] {
  const plain = Object.entries(filter).flatMap(([name, value]): [string, string][] =>
    typeof value === 'string' ? [[name, value]] : [],
  );
  const pairs = Object.entries(metadata).map(([key, value]): [string, string] => [`metadata[${key}]`, value]);
  return [...plain, ...pairs];
}

/** addressOf is the address of a page of jobs. */
export function addressOf({ filter, cursor, back = [] }: Partial<PageQuery> & { filter: JobFilter }): string {
  const parameters = new URLSearchParams(fieldsOf(filter));
  if (cursor !== undefined) parameters.set('cursor', cursor);
  if (back.length > 0) parameters.set('back', back.join(','));
  return parameters.size === 0 ? '/console/jobs' : `/console/jobs?${parameters}`;
}

/** olderPage is the address of the page after this one. */
export function olderPage({ filter, cursor, back }: PageQuery, next: string): string {
  return addressOf({ filter, cursor: next, back: [...back, cursor ?? FIRST].slice(-MOST_BACK) });
}

/** newerPage is the address of the page before this one; undefined: this is the first one. */
export function newerPage({ filter, cursor, back }: PageQuery): string | undefined {
  if (cursor === undefined) return undefined;
  const before = back.at(-1) ?? FIRST;
  return addressOf({ filter, cursor: before === FIRST ? undefined : before, back: back.slice(0, -1) });
}

/** kindsFor returns what can be done with the jobs of a filter. */
export function kindsFor({ status, error }: JobFilter): readonly ActionKind[] {
  const known = status ?? (error === undefined ? undefined : 'failed');
  if (known === undefined) return ACTION_KINDS;
  if (!isFinished(known)) return ['cancel'];
  return known === 'completed' ? ['delete'] : ['retry', 'delete'];
}
