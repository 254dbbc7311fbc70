import type { EnqueueOptions, JobQueue } from '../../src/job/job-queue.ts';
import type { Instance } from '../support/worlds/instance.ts';

const LATER = { delay_ms: 3_600_000 };

/**
 * describeEnqueue is what every JobQueue promises of the way into the queue.
 * @param world is asked for in each test: it is set up in the caller's `beforeAll`.
 */
export function describeEnqueue(world: () => { queue: JobQueue; instance: Instance }): void {
  describe('enqueue', () => {
    it('answers with the view of the new job', async () => {
      const { queue } = world();
      const job = await queue.enqueue({ question: 'Why is the sky blue?', ...LATER });
      expect(job).toMatchObject({ question: 'Why is the sky blue?', status: 'delayed', attempt: 0 });
      expect(await queue.get(job.id)).toEqual(job);
    });

    it('shows the metadata of both forms of a request in each view, and none where none was given', async () => {
      const { queue } = world();
      const metadata = { agent: 'coder', '"terms":': 'ü'.repeat(512) };
      const mark = { batch: String(Math.random()) };
      for (const request of [
        { question: 'Whose is this?', metadata: { ...metadata, ...mark } },
        { request: { input: 'Whose is this?', metadata: { ...metadata, ...mark } } },
      ]) {
        const job = await queue.enqueue({ ...request, ...LATER });
        expect(job.metadata).toEqual({ ...metadata, ...mark });
        expect(await queue.get(job.id)).toEqual(job);
      }
      const { jobs } = await queue.list({ metadata: mark });
      expect(jobs.map((job) => job.metadata)).toEqual([
        { ...metadata, ...mark },
        { ...metadata, ...mark },
      ]);
      expect((await queue.enqueue({ question: 'Whose is this?', ...LATER })).metadata).toEqual({});
      const none = { request: { input: 'Whose is this?', metadata: null }, ...LATER };
      expect((await queue.enqueue(none)).metadata).toEqual({});
    });

    it('refuses a request with every field that is wrong', async () => {
      const wrong = { question: 'Why?', priority: -1, colour: 'blue' };
      await expect(world().queue.enqueue(wrong)).rejects.toMatchObject({
        code: 'invalid_request',
        flaws: expect.arrayContaining([expect.objectContaining({ path: 'priority' })]),
      });
      await expect(world().queue.enqueue({ question: 'Why?', model: 'gpt-9' })).rejects.toMatchObject({
        code: 'unknown_model',
      });
    });

    it('gives one job for one idempotency key, also to twenty calls at once, and buys one answer', async () => {
      const { queue, instance } = world();
      const request = { question: `Once for this key ${Math.random()}?` };
      const options = { idempotencyKey: `twenty ${Math.random()}` };
      const jobs = await Promise.all(Array.from({ length: 20 }, () => queue.enqueue(request, options)));
      const [id = ''] = new Set(jobs.map((job) => job.id));
      expect(jobs.filter((job) => job.id === id)).toHaveLength(20);
      await queue.wait(id);
      expect(await queue.enqueue(request, options)).toMatchObject({ id, status: 'completed' });
      expect(
        instance.simulator.ledger.entries().filter((one) => one.question === request.question),
      ).toHaveLength(1);
    });

    it('refuses another request under a used idempotency key', async () => {
      const { queue } = world();
      const options = { idempotencyKey: `reused ${Math.random()}` };
      await queue.enqueue({ question: 'One?', ...LATER }, options);
      await expect(queue.enqueue({ question: 'Two?', ...LATER }, options)).rejects.toMatchObject({
        code: 'idempotency_key_reused',
      });
    });

    it.each([
      ['an empty key', { idempotencyKey: '' }],
      ['a key of 256 characters', { idempotencyKey: 'k'.repeat(256) }],
      ['a key with other characters than ASCII', { idempotencyKey: 'schlüssel' }],
      ['a key with a blank at its end', { idempotencyKey: 'key ' }],
      ['a key that is a number', { idempotencyKey: 7 }],
      ['a misspelt option', { idempotency_key: 'key' }],
    ])('refuses %s instead of passing over it', async (_what, options) => {
      const { queue } = world();
      const question = `Refused ${Math.random()}?`;
      const call = queue.enqueue({ question, ...LATER }, options as EnqueueOptions);
      await expect(call).rejects.toMatchObject({ code: 'invalid_request', flaws: [expect.anything()] });
      expect((await queue.list({ q: question })).jobs).toEqual([]);
    });
  });

  describe('enqueueBulk', () => {
    it('has an outcome for each request in order, and a bad request refuses only itself', async () => {
      const { queue } = world();
      const requests = [
        { question: 'One?', ...LATER, idempotency_key: `bulk ${Math.random()}` },
        { question: '' },
        { request: { input: 'Two?' }, ...LATER },
        { question: 'Three?', model: 'gpt-9' },
        { question: 'Four?', idempotency_key: 'schlüssel' },
      ];
      const first = await queue.enqueueBulk(requests);
      expect(first).toMatchObject([
        { ok: true, isNew: true, job: { question: 'One?' } },
        { ok: false, error: { code: 'invalid_request', flaws: [{ path: 'question' }] } },
        { ok: true, isNew: true, job: { question: 'Two?' } },
        { ok: false, error: { code: 'unknown_model' } },
        { ok: false, error: { code: 'invalid_request', flaws: [{ path: 'idempotency_key' }] } },
      ]);
      const [again] = await queue.enqueueBulk(requests.slice(0, 1));
      expect(again).toMatchObject({ ok: true, isNew: false, job: first[0]?.ok === true ? first[0].job : {} });
    });

    it('answers an empty bulk with no outcomes, and refuses more than 1,000 requests as a whole', async () => {
      const { queue } = world();
      expect(await queue.enqueueBulk([])).toEqual([]);
      const tooMany = Array.from({ length: 1001 }, () => ({ question: 'Too many?' }));
      await expect(queue.enqueueBulk(tooMany)).rejects.toMatchObject({ code: 'invalid_request' });
      expect((await queue.list({ q: 'too many' })).jobs).toEqual([]);
    });
  });
}
