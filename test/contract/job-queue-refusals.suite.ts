import type { JobQueue } from '../../src/job/job-queue.ts';

const LATER = { delay_ms: 3_600_000 };

/**
 * describeRefusals is what every JobQueue refuses: ids of no job, and options and arguments that are wrong.
 * @param world is asked for in each test: it is set up in the caller's `beforeAll`.
 */
export function describeRefusals(world: () => { queue: JobQueue }): void {
  it.each(['get', 'result', 'wait', 'cancel', 'retry', 'delete'] as const)(
    '%s of a job that does not exist is job_not_found',
    async (method) => {
      await expect(world().queue[method]('no-such-job')).rejects.toMatchObject({
        code: 'job_not_found',
        message: expect.stringContaining('no-such-job'),
        flaws: [],
      });
    },
  );

  it.each([
    ['nothing', undefined],
    ['null', null],
    ['a number', 7],
    ['an object', {}],
    ['an empty text', ''],
    ['a dot', '.'],
    ['two dots', '..'],
    ['half of a character', '\ud800'],
  ])('%s instead of an id is job_not_found for every method', async (_what, given) => {
    const { queue } = world();
    const id = given as string;
    const refusal = {
      code: 'job_not_found',
      message: expect.stringMatching(/^Expected the id of a job, got /),
    };
    for (const method of ['get', 'result', 'wait', 'cancel', 'retry', 'delete'] as const) {
      await expect(queue[method](id)).rejects.toMatchObject(refusal);
    }
    await expect(queue.events(id).next()).rejects.toMatchObject(refusal);
  });

  describe('options', () => {
    const METHODS: Record<string, (queue: JobQueue, id: string, options: object) => Promise<unknown>> = {
      enqueue: (queue, _id, options) => queue.enqueue({ question: 'Refused?', ...LATER }, options),
      enqueueBulk: (queue, _id, options) => queue.enqueueBulk([{ question: 'Refused?', ...LATER }], options),
      get: (queue, id, options) => queue.get(id, options),
      result: (queue, id, options) => queue.result(id, options),
      wait: (queue, id, options) => queue.wait(id, options),
      events: (queue, id, options) => queue.events(id, options).next(),
      cancel: (queue, id, options) => queue.cancel(id, options),
      retry: (queue, id, options) => queue.retry(id, options),
      delete: (queue, id, options) => queue.delete(id, options),
      list: (queue, _id, options) => queue.list({}, options),
      jobs: (queue, _id, options) => queue.jobs({}, options).next(),
    };
    const WRONG: [what: string, options: unknown, path: string][] = [
      ['a misspelt name', { timeout: 1 }, 'timeout'],
      ['a number instead of an object', 1, ''],
      ['null instead of an object', null, ''],
      ['a signal instead of an object', new AbortController().signal, ''],
      ['a controller as the signal', { signal: new AbortController() }, 'signal'],
    ];

    it.each(Object.keys(METHODS).flatMap((method) => WRONG.map((wrong) => [method, ...wrong] as const)))(
      'of %s that have %s are refused, and nothing is done',
      async (method, _what, options, path) => {
        const { queue } = world();
        const { id } = await queue.enqueue({ question: 'Untouched?', ...LATER });
        const call = METHODS[method]?.(queue, id, options as object);
        await expect(call).rejects.toMatchObject({
          code: 'invalid_request',
          message: expect.stringMatching(/^The options were refused: /),
          flaws: [{ path, message: expect.stringMatching(/^expected /) }],
        });
        expect(await queue.get(id)).toMatchObject({ status: 'delayed' });
        expect((await queue.list({ q: 'Refused?' })).jobs).toEqual([]);
      },
    );

    it.each([
      ['wait', { timeoutMs: '1' }, 'timeoutMs'],
      ['wait', { timeoutMs: null }, 'timeoutMs'],
      ['result', { timeoutMs: '1' }, 'timeoutMs'],
      ['events', { after: 'x' }, 'after'],
      ['events', { after: -1 }, 'after'],
      ['events', { after: 0.5 }, 'after'],
      ['events', { after: Number.NaN }, 'after'],
    ])('of %s with the value %j are refused', async (method, options, path) => {
      const { queue } = world();
      const { id } = await queue.enqueue({ question: 'Later?', ...LATER });
      const call = METHODS[method]?.(queue, id, options);
      await expect(call).rejects.toMatchObject({ code: 'invalid_request', flaws: [{ path }] });
    });
  });

  it.each([undefined, null, {}, 'text'])('enqueueBulk of %j is refused as a whole', async (requests) => {
    await expect(world().queue.enqueueBulk(requests as never)).rejects.toMatchObject({
      code: 'invalid_request',
      message: expect.stringMatching(/^The requests were refused: expected an array of requests, got /),
    });
  });

  it('events of a job that does not exist are job_not_found', async () => {
    await expect(world().queue.events('no-such-job').next()).rejects.toMatchObject({ code: 'job_not_found' });
  });
}
