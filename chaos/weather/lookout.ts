import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Fleet } from '../fleet/fleet.ts';
import { MODEL, type Source } from './forecast.ts';

/**
 * Lookout reads what an instance says about itself, at each source in the way in which people read that
 * source.
 */
export interface Lookout {
  /** Reads a source now. A list has a line for each job, worker or log line. */
  read(source: Source): Promise<string>;
  /** Forgets all log lines so far. */
  forgetLog(): Promise<void>;
}

/**
 * How long a source may take to answer, in milliseconds. A source that does not answer in time has said
 * nothing.
 */
const ANSWER_MS = 1000;

export function createLookout(fleet: Fleet, signal: AbortSignal): Lookout {
  const read = new Map<string, number>();
  const logs = async (): Promise<string[]> =>
    (await readdir(fleet.folder)).filter((name) => /^worker-\d+\.log$/.test(name));

  const get = async (url: URL): Promise<{ status: number; text: string }> => {
    const answer = await fetch(url, { signal: AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS)]) });
    return { status: answer.status, text: await answer.text() };
  };
  const sources: Record<Source, () => Promise<string>> = {
    async waiting_for() {
      const url = new URL('/jobs?status=waiting&limit=20', fleet.producerUrl);
      const { status, text } = await get(url);
      if (status !== 200) return text;
      const { jobs } = JSON.parse(text) as { jobs: { waiting_for: string }[] };
      return jobs.map(({ waiting_for: reason }) => reason).join('\n');
    },
    async '/readyz'() {
      const { status, text } = await get(new URL('/readyz', fleet.producerUrl));
      return `${status} ${text}`;
    },
    async 'GET /models'() {
      const { status, text } = await get(new URL('/models', fleet.producerUrl));
      if (status !== 200) return text;
      const { models } = JSON.parse(text) as {
        models: { model: string; state: { status: string; reason: string | null } }[];
      };
      return models
        .filter(({ model }) => model === MODEL)
        .map(({ state }) => `${state.status}: ${state.reason ?? ''}`)
        .join('\n');
    },
    async metric() {
      const answers = await Promise.all(
        fleet.workers.flatMap(({ healthUrl }) =>
          healthUrl === undefined ? [] : [get(new URL('/metrics', healthUrl))],
        ),
      );
      return answers.map(({ text }) => text).join('\n');
    },
    async log() {
      const texts = await Promise.all(
        (await logs()).map(async (name) => {
          const text = await readFile(join(fleet.folder, name), 'utf8');
          return text.slice(read.get(name) ?? 0);
        }),
      );
      return texts.join('\n');
    },
  };
  return {
    async read(source) {
      return sources[source]().catch((error: unknown) => {
        signal.throwIfAborted();
        return `no answer: ${String(error)}`;
      });
    },
    async forgetLog() {
      for (const name of await logs()) read.set(name, (await stat(join(fleet.folder, name))).size);
    },
  };
}
