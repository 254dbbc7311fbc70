import type { JobEvent } from '../../src/job/event.ts';
import type { JobQueue } from '../../src/job/job-queue.ts';
import type { JobRequest } from '../../src/job/request.ts';
import type { JobView } from '../../src/job/view.ts';
import { eventually } from '../support/eventually.ts';
import type { Instance } from '../support/worlds/instance.ts';

const LATER = { delay_ms: 3_600_000 };
const SLOW = { metadata: { sim_think_ms: '60000' } };

/**
 * describeJobQueue is what every JobQueue promises, checked on a real Redis with a real worker and the
 * simulator as its upstream.
 * @param world is asked for in each test: it is set up in the caller's `beforeAll`.
 */
export function describeJobQueue(world: () => { queue: JobQueue; instance: Instance }): void {
  const active = async (): Promise<string> => {
    const { queue } = world();
    const { id } = await queue.enqueue({ question: 'Slow?', ...SLOW });
    await eventually(async () => expect(await queue.get(id)).toMatchObject({ status: 'active' }));
    return id;
  };

  const completed = async (question = 'Quick?'): Promise<string> => {
    const { queue } = world();
    const { id } = await queue.enqueue({ question });
    expect(await queue.wait(id)).toMatchObject({ status: 'completed' });
    return id;
  };

  describe('result', () => {
    it('holds the answer of a completed job', async () => {
      const { queue } = world();
      const id = await completed('Why is the sea blue?');
      expect(await queue.result(id)).toMatchObject({
        status: 'completed',
        result: {
          answer: expect.stringContaining('Why is the sea blue?'),
          model: 'o3',
          response: { object: 'response' },
        },
      });
    });

    it('does not wait unless it is told to', async () => {
      const { queue } = world();
      const id = await active();
      expect(await queue.result(id)).toMatchObject({ status: 'active', job: { id } });
      expect(await queue.result(id, { timeoutMs: 100 })).toMatchObject({ status: 'active', job: { id } });
      await queue.cancel(id);
      expect(await queue.result(id, { timeoutMs: 60_000 })).toMatchObject({
        status: 'cancelled',
        job: { id, status: 'cancelled' },
      });
    });

    it('of a failed job holds the job, and a retry buys the answer again', async () => {
      const { queue } = world();
      const metadata = { sim: '400', sim_times: '1', sim_key: `retried ${Math.random()}` };
      const { id } = await queue.enqueue({ request: { input: 'Why?', metadata } });
      expect(await queue.wait(id)).toMatchObject({ status: 'failed', error: { retryable: false } });
      expect(await queue.result(id)).toMatchObject({ status: 'failed', job: { id, status: 'failed' } });
      expect(await queue.retry(id)).toMatchObject({ id });
      expect(await queue.wait(id)).toMatchObject({ id, status: 'completed' });
    });
  });

  describe('wait', () => {
    it.each([0, -1, 1, Number.NaN])('of %d ms answers with the job as it stands', async (timeoutMs) => {
      const { queue } = world();
      const { id } = await queue.enqueue({ question: 'Later?', ...LATER });
      expect(await queue.wait(id, { timeoutMs })).toMatchObject({ id, status: 'delayed' });
    });

    it.each([{}, { timeoutMs: Number.POSITIVE_INFINITY }, { timeoutMs: undefined }])(
      'with the options %j ends with the job',
      async (options) => {
        const { queue } = world();
        const { id } = await queue.enqueue({ question: 'Now?', metadata: { sim_think_ms: '200' } });
        expect(await queue.wait(id, options)).toMatchObject({ id, status: 'completed' });
      },
    );
  });

  describe('events', () => {
    it('tell a job from its status to its end, and its deltas add up to the answer', async () => {
      const { queue } = world();
      const metadata = { sim_think_ms: '300', sim_deltas: '8' };
      const { id } = await queue.enqueue({ question: 'Told?', metadata });
      const events = await all(queue.events(id));
      expect(events[0]).toMatchObject({ type: 'status', data: { id } });
      expect(events.at(-1)).toMatchObject({ type: 'done', data: { id, status: 'completed' } });
      const text = events.map((event) => (event.type === 'delta' ? event.data.text : '')).join('');
      expect(await queue.result(id)).toMatchObject({ result: { answer: text } });
    });

    it('go on after the last number that was seen, and after the last event there are none', async () => {
      const { queue } = world();
      const id = await completed();
      const numbered = (await all(queue.events(id))).filter((event) => 'number' in event);
      const [first] = numbered;
      expect(await all(queue.events(id, { after: first?.number ?? 0 }))).toEqual(numbered.slice(1));
      expect(await all(queue.events(id, { after: numbered.at(-1)?.number ?? 0 }))).toEqual([]);
    });

    it('tell of each position that a waiting job moves up to', async () => {
      const { queue, instance } = world();
      const [worker] = instance.workers;
      if (worker === undefined) throw new Error('expected a worker');
      await instance.stopWorker(worker);
      try {
        const ahead = await queue.enqueue({ question: 'Ahead?' });
        const { id } = await queue.enqueue({ question: 'Behind?' });
        const positions: unknown[] = [];
        for await (const { type, data } of queue.events(id)) {
          if (type === 'done') break;
          if (type !== 'status' || data.status !== 'waiting') continue;
          if (data.position !== null) positions.push(data.position);
          if (data.position === 2) await queue.cancel(ahead.id);
          if (data.position === 1) await queue.cancel(id);
        }
        expect(positions).toEqual([2, 1]);
      } finally {
        instance.addWorker();
      }
    });

    it('throw job_not_found for a job that is deleted meanwhile', async () => {
      const { queue } = world();
      const { id } = await queue.enqueue({ question: 'Deleted?', ...LATER });
      const events = queue.events(id);
      expect(await events.next()).toMatchObject({ value: { type: 'status', data: { status: 'delayed' } } });
      await queue.cancel(id);
      await queue.delete(id);
      const rest = all(events).catch((error: unknown) => error);
      // The end may be seen before the deletion is.
      const seen = await rest;
      if (Array.isArray(seen)) expect(seen.at(-1)).toMatchObject({ type: 'done' });
      else expect(seen).toMatchObject({ code: 'job_not_found' });
    });
  });

  describe('cancel', () => {
    it('of a job that has not started answers with the cancelled job, and again', async () => {
      const { queue } = world();
      const { id } = await queue.enqueue({ question: 'Later?', ...LATER });
      expect(await queue.cancel(id)).toMatchObject({ id, status: 'cancelled' });
      expect(await queue.cancel(id)).toMatchObject({ id, status: 'cancelled' });
    });

    it('of an active job answers with the job, which is cancelled soon and stays so', async () => {
      const { queue } = world();
      const id = await active();
      const job = await queue.cancel(id);
      if (job.status !== 'cancelled') expect(job).toMatchObject({ id, status: 'active', cancelling: true });
      expect(await queue.wait(id)).toMatchObject({ id, status: 'cancelled' });
      expect(await queue.cancel(id)).toMatchObject({ id, status: 'cancelled' });
    });

    it('of a completed job is refused', async () => {
      const id = await completed();
      await expect(world().queue.cancel(id)).rejects.toMatchObject({ code: 'job_finished' });
    });
  });

  it('retry of a job that is not failed or cancelled is refused', async () => {
    const { queue } = world();
    await expect(queue.retry(await completed())).rejects.toMatchObject({ code: 'job_finished' });
    const { id } = await queue.enqueue({ question: 'Later?', ...LATER });
    await expect(queue.retry(id)).rejects.toMatchObject({ code: 'job_not_finished' });
  });

  it('delete takes a finished job away, and no other', async () => {
    const { queue } = world();
    const { id } = await queue.enqueue({ question: 'Deleted?', ...LATER });
    await expect(queue.delete(id)).rejects.toMatchObject({ code: 'job_not_finished' });
    await queue.cancel(id);
    expect(await queue.delete(id)).toBeUndefined();
    await expect(queue.get(id)).rejects.toMatchObject({ code: 'job_not_found' });
  });

  describe('list and jobs', () => {
    it('give every job of a search once, newest first, over pages of two', async () => {
      const { queue } = world();
      const word = `pages${Math.random()}`;
      const ids: string[] = [];
      for (let number = 0; number < 5; number += 1) {
        ids.push((await queue.enqueue({ question: `${word} ${number}`, ...LATER })).id);
      }
      const page = await queue.list({ q: word, limit: 2 });
      expect(page).toMatchObject({ jobs: [{ id: ids[4] }, { id: ids[3] }], next_cursor: expect.any(String) });
      const found: JobView[] = [];
      for await (const job of queue.jobs({ q: word, limit: 2, status: 'delayed' })) found.push(job);
      expect(found.map(({ id }) => id)).toEqual(ids.toReversed());
    });

    it('find jobs by the beginning or the end of an id, with or without its job_', async () => {
      const { queue } = world();
      const { id } = await queue.enqueue({ question: 'By a part?', ...LATER });
      const next = await queue.enqueue({ question: 'By another?', ...LATER });
      for (const part of [id, id.slice(0, 30), id.slice(4, 30), id.slice(-10)]) {
        expect((await queue.list({ id: part })).jobs.map((job) => job.id)).toContain(id);
      }
      expect((await queue.list({ id: id.slice(-10) })).jobs.map((job) => job.id)).toEqual([id]);
      expect((await queue.list({ id: id.slice(8, 20) })).jobs).toEqual([]);
      expect((await queue.list({ id: '*' })).jobs).toEqual([]);
      expect((await queue.list({ id: id.slice(-10), status: 'failed' })).jobs).toEqual([]);
      const both = (await queue.list({ id: 'job_', limit: 2, status: 'delayed' })).jobs;
      expect(both).toHaveLength(2);
      expect((await queue.list({ id: next.id })).next_cursor).toBeNull();
    });

    it.each([
      ['a model that is not configured', { model: 'gpt-9' }],
      ['a status that there is not', { status: 'lost' }],
      ['a page of none', { limit: 0 }],
      ['a page of 101', { limit: 101 }],
      ['an id of no characters', { id: '' }],
      ['a cursor of another list beside an id', { id: 'a', cursor: 'WzEsImEiLCJvMyJd' }],
      ['a cursor of no page', { cursor: 'nonsense' }],
      ['a misspelt field', { statsu: 'failed' }],
    ])('refuse %s', async (_what, query) => {
      const { queue } = world();
      await expect(queue.list(query as object)).rejects.toMatchObject({ code: 'invalid_request' });
      await expect(queue.jobs(query as object).next()).rejects.toMatchObject({ code: 'invalid_request' });
    });
  });

  describe('a signal', () => {
    const reason = new Error('changed my mind');
    const aborted = { signal: AbortSignal.abort(reason) };
    const request: JobRequest = { question: 'Never?' };

    it.each<[string, (queue: JobQueue, id: string) => Promise<unknown>]>([
      ['enqueue', (queue) => queue.enqueue(request, aborted)],
      ['enqueueBulk', (queue) => queue.enqueueBulk([request], aborted)],
      ['get', (queue, id) => queue.get(id, aborted)],
      ['result', (queue, id) => queue.result(id, aborted)],
      ['wait', (queue, id) => queue.wait(id, aborted)],
      ['events', (queue, id) => queue.events(id, aborted).next()],
      ['cancel', (queue, id) => queue.cancel(id, aborted)],
      ['retry', (queue, id) => queue.retry(id, aborted)],
      ['delete', (queue, id) => queue.delete(id, aborted)],
      ['list', (queue) => queue.list({}, aborted)],
      ['jobs', (queue) => queue.jobs({}, aborted).next()],
    ])('that has aborted keeps %s from doing anything', async (_method, call) => {
      const { queue } = world();
      const { id } = await queue.enqueue({ question: 'Untouched?', ...LATER });
      await expect(call(queue, id)).rejects.toBe(reason);
      expect(await queue.get(id)).toMatchObject({ status: 'delayed' });
      expect((await queue.list({ q: request.question })).jobs).toEqual([]);
    });

    it('that aborts ends a wait and a stream of events with its reason, and the job goes on', async () => {
      const { queue } = world();
      const id = await active();
      const controller = new AbortController();
      const { signal } = controller;
      const calls = [
        queue.wait(id, { signal }),
        queue.result(id, { signal, timeoutMs: 60_000 }),
        all(queue.events(id, { signal })),
      ];
      const ends = Promise.allSettled(calls);
      controller.abort(reason);
      expect(await ends).toEqual(calls.map(() => ({ status: 'rejected', reason })));
      expect(await queue.get(id)).toMatchObject({ status: 'active', cancelling: false });
      await queue.cancel(id);
    });
  });
}

async function all(events: AsyncIterable<JobEvent>): Promise<JobEvent[]> {
  const read: JobEvent[] = [];
  for await (const event of events) read.push(event);
  return read;
}
