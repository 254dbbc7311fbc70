import { parseJobRequest } from '../../../src/job/request.ts';
import { CALLERS_SECRET, type CallersWorld, openCallersWorld } from '../../support/worlds/callers-world.ts';
import { startWorkerWorld, type WorkerWorld } from '../../support/worlds/worker-world.ts';

let here: CallersWorld;
beforeAll(async () => {
  here = await openCallersWorld();
});
afterAll(() => here.close());
afterEach(() => here.clear());

describe('webhook URLs that lead to private addresses', () => {
  const guarded = (resolve: (hostname: string) => Promise<string[]>) =>
    startWorkerWorld({
      redis: here.world.redis,
      models: { allowPrivateWebhooks: false },
      webhooksOut: { secret: CALLERS_SECRET, retryDelaysMs: [5, 5], answerMs: 300, resolve },
    });

  it.each<[string, string[][]]>([
    ['resolves to this machine', [['127.0.0.1']]],
    // The first address is unassigned.
    ['resolves to this machine at its second look', [['3ffe:831f::1'], ['127.0.0.1'], ['::1']]],
    ['resolves to public and private addresses', [['3ffe:831f::1', '127.0.0.1']]],
    ['resolves to this machine in other words', [['::ffff:127.0.0.1'], ['64:ff9b::7f00:1'], ['0.0.0.0']]],
    ['resolves to nothing', [[]]],
  ])('a webhook host is not reached when it %s', async (_what, answers) => {
    const { url, ...inside } = await here.receiver();
    let asked = 0;
    const inner = await guarded(async () => answers[Math.min(asked++, answers.length - 1)] ?? []);
    try {
      await cancelledIn(inner, url.replace('127.0.0.1', 'hook.example.com'));
      expect(await here.settled()).toEqual({ completed: 0, failed: 1 });
      expect(asked).toBe(3);
      expect(inside.connections).toBe(0);
    } finally {
      await inner.stop();
    }
  });

  it('a private address is not reached when a client stored it without the check', async () => {
    const { url, ...inside } = await here.receiver();
    const inner = await guarded(async () => ['127.0.0.1']);
    try {
      for (const target of [
        url,
        url.replace('127.0.0.1', '[::ffff:127.0.0.1]'),
        url.replace('127.0.0.1', 'localhost'),
      ]) {
        const body = JSON.stringify({ type: 'job.completed' });
        await here.deliveries.add('by hand', { url: target, body, job: 'mine' });
      }
      await here.deliveries.add('by hand', { nothing: true } as never);
      expect(await here.settled()).toEqual({ completed: 0, failed: 4 });
      expect(inside.connections).toBe(0);
    } finally {
      await inner.stop();
    }
  });

  it('only DNS is asked where only public hosts may be reached', async () => {
    const inner = await startWorkerWorld({
      redis: here.world.redis,
      models: { allowPrivateWebhooks: false },
      webhooksOut: { secret: CALLERS_SECRET, retryDelaysMs: [] },
    });
    try {
      await cancelledIn(inner, 'http://nothing.invalid/');
      expect(await here.settled()).toEqual({ completed: 0, failed: 1 });
      const [given] = await here.deliveries.getFailed();
      expect(given?.failedReason).toMatch(/^http:\/\/nothing\.invalid: .*queryA /);
    } finally {
      await inner.stop();
    }
  });

  it('enqueueing refuses a URL that is known to be private, and every webhook URL while there is no secret', async () => {
    const inner = await guarded(async () => []);
    try {
      const refused = (url: string) =>
        expect(inner.queue.enqueue(parseJobRequest({ question: 'Why?', webhook_url: url }))).rejects;
      for (const url of ['http://127.0.0.1/', 'http://0x7f.1/', 'https://a.localhost/', 'http://[::1]/']) {
        await refused(url).toMatchObject({ code: 'invalid_request', flaws: [{ path: 'webhook_url' }] });
      }
      await refused('http://[fd00::1]/').toThrow('expected a public address, got fd00::1 (uniqueLocal)');
      expect(await inner.client.keys('o3q:{o3}:job_*')).toEqual([]);
    } finally {
      await inner.stop();
    }
    const without = await startWorkerWorld({ redis: here.world.redis, workers: 0 });
    try {
      const asked = without.queue.enqueue(
        parseJobRequest({ question: 'Why?', webhook_url: 'https://example.com/' }),
      );
      await expect(asked).rejects.toThrow('O3Q_SIGNING_SECRET');
    } finally {
      await without.stop();
    }
  });

  it('this machine may be reached where that is allowed, at the one address that was checked', async () => {
    const { url, received } = await here.receiver();
    let asked = 0;
    here.world.addWorker({
      webhooksOut: {
        secret: CALLERS_SECRET,
        retryDelaysMs: [],
        resolve: async () => {
          asked += 1;
          return [asked === 1 ? '127.0.0.1' : '169.254.169.254'];
        },
      },
    });
    await here.cancelledJob(url.replace('127.0.0.1', 'hook.test'));
    expect(await here.settled()).toEqual({ completed: 1, failed: 0 });
    expect(asked).toBe(1);
    expect(received[0]?.headers.host).toBe(new URL(url).host.replace('127.0.0.1', 'hook.test'));
    await here.cancelledJob(url.replace('127.0.0.1', 'hook.test'));
    expect(await here.settled()).toEqual({ completed: 1, failed: 1 });
    const [given] = await here.deliveries.getFailed();
    expect(given?.failedReason).toContain('hook.test is 169.254.169.254, which is not public (linkLocal)');
  });
});

async function cancelledIn(inner: WorkerWorld, url: string): Promise<void> {
  const { id } = await inner.ask('Never?', {}, { delay_ms: 3_600_000, webhook_url: url });
  await inner.queue.cancel(id);
}
