import { isCompressed, wholeData, wholeLength } from '../job/fields/compression.ts';
import type { JobView } from '../job/view.ts';
import { lookAtJobs } from '../lua/selections/search.ts';
import type { ModelQueue } from '../model-queue/model-queue.ts';
import type { RedisClient } from '../redis/connection.ts';
import { questionIn } from '../responses/question.ts';
import type { IndexEntry } from './index-sets.ts';

/** Plan says which index of a model is walked, and in which others a matching job must stand. */
export interface Plan {
  walked: string;
  others: readonly string[];
}

/** Found is an entry of a job that may match a filter. */
export interface Found {
  readonly entry: IndexEntry;
  /** What was spent on the job, in billionths of a US dollar; 0 if nothing is known. */
  readonly costNano: number;
  /** The text around the match of `q`; undefined: the beginning of the question, which lists show, has it. */
  readonly excerpt?: string | undefined;
}

/** SearchStep is a part of a search: the entries that it looked at, and those of them that may match. */
export interface SearchStep {
  readonly looked: readonly IndexEntry[];
  readonly found: readonly Found[];
  /** How many of them were too large to be looked through for `q`, beyond the beginning of the question. */
  readonly tooLarge: number;
}

/**
 * The most bytes of data that one script returns, which bounds the memory of a search and the time for which
 * Redis does nothing else: about a millisecond.
 */
const BYTES_AT_ONCE = 1024 ** 2;
/**
 * The data of a job of more bytes is not looked through. Redis cannot return a part of it, and a few hundred
 * jobs with a book each would fill the time of a search.
 */
const MOST_BYTES_OF_JOB = 256 * 1024;
/** How many characters an excerpt has before and after the match. */
const BEFORE = 40;
const AFTER = 80;

/**
 * lookAt looks at entries of several models in their order, in as many steps as the bytes of their data need.
 *
 * @param needle the text to look for, as `plain` writes it; undefined: any.
 */
export async function* lookAt(
  redis: RedisClient,
  queues: ReadonlyMap<string, ModelQueue>,
  plans: ReadonlyMap<string, Plan>,
  entries: readonly IndexEntry[],
  needle: string | undefined,
): AsyncGenerator<SearchStep> {
  const read = new Map<IndexEntry, Values>();
  for (let rest = entries; rest.length > 0; ) {
    const ahead = rest[0] !== undefined && read.has(rest[0]) ? [] : rest.filter((entry) => !read.has(entry));
    await Promise.all(
      [...plans].map(async ([model, { others }]) => {
        const keys = queues.get(model)?.keys;
        const mine = ahead.filter((entry) => entry.model === model);
        if (keys === undefined || mine.length === 0) return;
        const flat = (await lookAtJobs.run(redis, {
          keys: {},
          args: {
            jobPrefix: keys.job(''),
            runPrefix: keys.run(''),
            alsoIn: JSON.stringify(others),
            mostOfJob: needle === undefined ? 0 : MOST_BYTES_OF_JOB,
            mostInAll: BYTES_AT_ONCE,
          },
          rest: mine.map(({ id }) => id),
        })) as (number | string | null)[];
        for (const [i, entry] of mine.entries()) {
          const values = flat.slice(VALUES * i, VALUES * (i + 1));
          if (values.length > 0) read.set(entry, values);
        }
      }),
    );
    const seen: Look[] = [];
    // The data may be longer than what Redis has returned, because it is compressed there.
    for (let room = BYTES_AT_ONCE; room > 0; room -= seen.at(-1)?.bytes ?? 0) {
      const entry = rest[seen.length];
      const values = entry && read.get(entry);
      if (entry === undefined || values === undefined) break;
      read.delete(entry);
      seen.push(await lookFrom(entry, values, needle));
    }
    yield {
      looked: rest.slice(0, seen.length),
      found: seen.flatMap(({ found }) => found ?? []),
      tooLarge: seen.filter(({ isTooLarge }) => isTooLarge).length,
    };
    rest = rest.slice(seen.length);
  }
}

/** readViews reads found jobs whole. */
export async function readViews(
  queues: ReadonlyMap<string, ModelQueue>,
  found: readonly Found[],
): Promise<(Found & { view: JobView | undefined })[]> {
  return Promise.all(
    found.map(async (each) => {
      const reading = await queues.get(each.entry.model)?.read(each.entry.id);
      return { ...each, view: reading?.view };
    }),
  );
}

/** plain writes a text as it is compared: in lower case, with one blank for all white space in a row. */
export function plain(text: string): string {
  return withSingleBlanks(text).toLowerCase();
}

/** The values that the script returns for a job, and their number. */
type Values = readonly (number | string | null)[];
const VALUES = 4;

/** Look is what the look at one job has shown. */
interface Look {
  /** undefined: the job does not match. */
  found: Found | undefined;
  isTooLarge: boolean;
  /** The length of the data that was looked through. */
  bytes: number;
}

async function lookFrom(
  entry: IndexEntry,
  [isIn, name, cost, data]: Values,
  needle: string | undefined,
): Promise<Look> {
  if (isIn === null) return { found: undefined, isTooLarge: false, bytes: 0 };
  const found = { entry, costNano: Number(cost ?? 0) };
  // The entry of a job that does not exist is found: the list removes such entries.
  if (typeof name !== 'string' || needle === undefined || plain(name).includes(needle))
    return { found, isTooLarge: false, bytes: 0 };
  const read = typeof data === 'string' ? await textOf(data) : undefined;
  if (read === undefined) return { found: undefined, isTooLarge: true, bytes: 0 };
  const excerpt = excerptOf(read.text, needle);
  const match = excerpt === undefined ? undefined : { ...found, excerpt };
  return { found: match, isTooLarge: false, bytes: read.bytes };
}

/**
 * Returns the question of a job; undefined for one that is too large when it is decompressed. A BullMQ client
 * of another kind may have stored any data.
 */
async function textOf(json: string): Promise<{ text: string; bytes: number } | undefined> {
  let data: unknown;
  try {
    data = JSON.parse(json);
  } catch {
    return { text: '', bytes: json.length };
  }
  const question = questionIn(data);
  // A short question stands beside the compressed data.
  if (question !== '' || !isCompressed(data)) return { text: withSingleBlanks(question), bytes: json.length };
  const bytes = wholeLength(data);
  if (bytes > MOST_BYTES_OF_JOB) return undefined;
  return { text: withSingleBlanks(questionIn(await wholeData(data))), bytes };
}

/** Returns the text around a match; undefined: there is none. */
function excerptOf(text: string, needle: string): string | undefined {
  const at = text.toLowerCase().indexOf(needle);
  if (at === -1) return undefined;
  const end = at + needle.length;
  const [first, last] = [at - BEFORE, end + AFTER];
  // Whole words, if there are blanks beside the match.
  const from = first <= 0 ? 0 : afterBlank(text, first, at);
  const to = last >= text.length ? text.length : beforeBlank(text, last, end);
  // An emoji may have been cut in half.
  const words = text.slice(from, to).replace(/^[\uDC00-\uDFFF]|[\uD800-\uDBFF]$/g, '');
  return `${from > 0 ? '…' : ''}${words}${to < text.length ? '…' : ''}`;
}

function afterBlank(text: string, from: number, most: number): number {
  const blank = text.indexOf(' ', from);
  return blank === -1 || blank >= most ? from : blank + 1;
}

function beforeBlank(text: string, to: number, least: number): number {
  const blank = text.lastIndexOf(' ', to);
  return blank < least ? to : blank;
}

function withSingleBlanks(text: string): string {
  return text.replace(/\s+/g, ' ');
}
