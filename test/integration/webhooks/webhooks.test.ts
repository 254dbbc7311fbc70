import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { Queue } from 'bullmq';
import { drainOutbox, outboxEntries } from '../../../src/webhooks/outbox.ts';
import { RECEIVER_LIMITS } from '../../../worker/webhooks/receivers.ts';
import { eventually } from '../../support/eventually.ts';
import { call, expectProblem } from '../../support/http/http-calls.ts';
import {
  CALLERS_SECRET,
  type CallersWorld,
  eventIn,
  openCallersWorld,
  RECOVERED_MS,
  RETRY_DELAYS_MS,
} from '../../support/worlds/callers-world.ts';
import { startInstance } from '../../support/worlds/instance.ts';

/** How often workers sweep the outboxes, in milliseconds. */
const SWEEP_MS = 5000;
/** Webhooks to a receiver that never answers. */
const SILENT = 400;

interface ShownJob {
  id: string;
  name: string;
  failedReason: string;
}

let here: CallersWorld;
beforeAll(async () => {
  here = await openCallersWorld();
});
afterAll(() => here.close());
afterEach(() => here.clear());

describe('the webhook of a finished job', () => {
  it('a webhook is sent once, signed, with the job view, whether the job completed, failed or was cancelled', async () => {
    const { url, received } = await here.receiver();
    here.world.addWorker();
    const completed = await here.world.ask('Why?', {}, { webhook_url: url });
    const failed = await here.world.ask('Bad?', { sim: '400' }, { webhook_url: url });
    const active = await here.world.ask('Long?', { sim: 'stuck_queued' }, { webhook_url: url });
    const silent = await here.world.ask('Who cares?');
    await here.world.running(active.id);
    await here.world.queue.cancel(active.id);
    const waiting = await here.cancelledJob(url);
    await Promise.all([completed, failed, active, silent].map(({ id }) => here.world.finished(id)));
    await eventually(() => expect(received).toHaveLength(4));
    expect(await here.settled()).toEqual({ completed: 4, failed: 0 });

    const events = new Map(received.map((webhook) => [eventIn(webhook).data.id, eventIn(webhook)]));
    const types = [completed.id, failed.id, active.id, waiting].map((id) => events.get(id)?.type);
    expect(types).toEqual(['job.completed', 'job.failed', 'job.cancelled', 'job.cancelled']);
    for (const [id, event] of events) {
      expect(event.data).toEqual(await here.world.queue.get(id));
      expect(event.timestamp).toBe(event.data.finished_at);
    }
    expect(received[0]?.headers).toMatchObject({
      'content-type': 'application/json',
      'user-agent': 'o3-queue',
      'webhook-id': expect.stringMatching(/^msg_[0-9a-f]{32}$/),
    });
    expect(new Set(received.map(({ headers }) => headers['webhook-id'])).size).toBe(4);
  });

  it('a webhook links to the page of its job where the public address is configured', async () => {
    const { url, received } = await here.receiver();
    here.world.addWorker({ publicUrl: 'https://ask.example.com/o3q' });
    const { id } = await here.world.ask('Bad?', { sim: '400' }, { webhook_url: url });
    await here.world.finished(id);
    await eventually(() => expect(received.map(eventIn)).toMatchObject([{ type: 'job.failed' }]));
    expect(received.map(eventIn)).toMatchObject([
      { console_url: `https://ask.example.com/o3q/console/jobs/${id}` },
    ]);
    expect(await here.settled()).toEqual({ completed: 1, failed: 0 });
    expect(here.world.logLines.filter((line) => line.includes('"failed"') && line.includes(id))).toEqual([
      expect.stringContaining(`"console_url":"https://ask.example.com/o3q/console/jobs/${id}"`),
    ]);
  });

  it('a webhook is sent at once, without a sweep', async () => {
    const { url, received } = await here.receiver();
    const start = globalThis.setInterval;
    const intervals = jest
      .spyOn(globalThis, 'setInterval')
      .mockImplementation((work, ms) => start(ms === SWEEP_MS ? () => {} : work, ms));
    here.world.addWorker();
    expect(intervals).toHaveBeenCalledWith(expect.anything(), SWEEP_MS);
    intervals.mockRestore();
    const first = await here.world.ask('Is anybody there?', {}, { webhook_url: url });
    await here.world.finished(first.id);
    await eventually(() => expect(received).toHaveLength(1));
    await here.cancelledJob(url);
    await eventually(() => expect(received).toHaveLength(2));
  });

  it('a webhook is sent again under another id when the job is retried by hand and ends again', async () => {
    const { url, received } = await here.receiver();
    here.world.addWorker();
    const id = await here.cancelledJob(url);
    await eventually(() => expect(received).toHaveLength(1));
    await here.world.queue.retry(id);
    await here.world.finished(id);
    await eventually(() => expect(received).toHaveLength(2));
    expect(received.map((webhook) => eventIn(webhook).type)).toEqual(['job.cancelled', 'job.completed']);
    expect(received[1]?.headers['webhook-id']).not.toBe(received[0]?.headers['webhook-id']);
  });

  it('a webhook is sent for a job that a BullMQ client enqueued, and for one that BullMQ itself failed', async () => {
    const { url, received } = await here.receiver();
    const queue = new Queue(here.world.keys.queueName, { connection: here.world.client, prefix: 'o3q' });
    const options = { jobId: 'mine', webhook: url };
    await queue.add('Why?', { question: 'Why?' }, options);
    const stalled = await here.world.ask('Why not?', {}, { webhook_url: url });
    // As if ten workers had died while they delivered it.
    await here.world.client.hset(
      here.world.keys.job(stalled.id),
      'defa',
      'job stalled more than allowable limit',
    );
    here.world.addWorker();
    await eventually(() => expect(received).toHaveLength(2));
    const events = received.map(eventIn).map(({ type, data }) => [data.id, type]);
    expect(Object.fromEntries(events)).toEqual({ mine: 'job.completed', [stalled.id]: 'job.failed' });
    await queue.close();
  });

  it('no webhook is sent while no worker has the secret, and the jobs run', async () => {
    const { url, received } = await here.receiver();
    const worker = here.world.addWorker({ webhooksOut: undefined });
    const { id } = await here.world.ask('Why?', {}, { webhook_url: url });
    expect(await here.world.finished(id)).toMatchObject({ status: 'completed' });
    await here.world.stopWorker(worker);
    expect(await outboxEntries(here.world.client, here.world.model(), 10)).toMatchObject([{ id }]);
    expect(received).toEqual([]);
  });
});

describe('the receiver of a webhook', () => {
  it('a failing receiver gets the same bytes under the same id until it accepts them', async () => {
    const { url, received } = await here.receiver((n) => (n < 2 ? 500 : 204));
    const worker = here.world.addWorker();
    await here.cancelledJob(url);
    expect(await here.settled()).toEqual({ completed: 1, failed: 0 });
    expect(received).toHaveLength(3);
    expect(new Set(received.map(({ body }) => body)).size).toBe(1);
    expect(new Set(received.map(({ headers }) => headers['webhook-id'])).size).toBe(1);
    for (const webhook of received) eventIn(webhook);
    expect(await worker.metrics.text()).toContain('o3q_webhook_deliveries_total{result="failed"} 2');
    expect(await worker.metrics.text()).toContain('o3q_webhook_deliveries_total{result="delivered"} 1');
  });

  it('a receiver that never accepts is given up with its answer, and the webhook can be sent again by hand', async () => {
    let isUp = false;
    const { url, received } = await here.receiver(() => (isUp ? 200 : 503));
    here.world.addWorker();
    await here.cancelledJob(url);
    expect(await here.settled()).toEqual({ completed: 0, failed: 1 });
    expect(received).toHaveLength(1 + RETRY_DELAYS_MS.length);
    const [given] = await here.deliveries.getFailed();
    expect(given?.failedReason).toBe(`${new URL(url).origin} answered 503: said 503`);
    isUp = true;
    await given?.retry('failed');
    expect(await here.settled()).toEqual({ completed: 1, failed: 0 });
    expect(received.at(-1)?.body).toBe(received[0]?.body);
    expect(received.at(-1)?.headers['webhook-id']).toBe(received[0]?.headers['webhook-id']);
  });

  it('a redirect is not followed, and a receiver that answers 410 is asked only once', async () => {
    const moved = await here.receiver(() => 307);
    const gone = await here.receiver(() => 410);
    here.world.addWorker();
    await here.cancelledJob(moved.url);
    await here.cancelledJob(gone.url);
    expect(await here.settled()).toEqual({ completed: 0, failed: 2 });
    expect(moved.received).toHaveLength(1 + RETRY_DELAYS_MS.length);
    expect(gone.received).toHaveLength(1);
    const reasons = (await here.deliveries.getFailed()).map(({ failedReason }) => failedReason).join();
    expect(reasons).toContain('answered 307 (redirects are not followed)');
  });

  it('a silent receiver delays neither jobs nor other receivers beyond its time limit', async () => {
    const slow = await here.receiver(() => 0);
    const quick = await here.receiver();
    here.world.addWorker({ webhooksOut: { secret: CALLERS_SECRET, retryDelaysMs: [], answerMs: 300 } });
    for (let i = 0; i < 60; i += 1) await here.cancelledJob(slow.url);
    const { id } = await here.world.ask('Why?', {}, { webhook_url: quick.url });
    await here.world.finished(id);
    await eventually(() => expect(quick.received).toHaveLength(1));
    expect(await here.settled()).toMatchObject({ completed: 1 });
    const [given] = await here.deliveries.getFailed(0, 0);
    expect(given?.failedReason).toContain('no answer within 0.3 s');
  });

  it('400 webhooks to a receiver that never answers do not delay one to another receiver', async () => {
    const silent = await here.receiver(() => 0);
    const good = await here.receiver();
    // Longer than this test waits for the other receiver.
    here.world.addWorker({ webhooksOut: { secret: CALLERS_SECRET, answerMs: 600_000 } });
    for (let i = 0; i < SILENT; i += 1) await here.cancelledJob(silent.url);
    await eventually(async () => expect(await here.world.client.zcard(here.world.keys.outbox)).toBe(0));
    await here.cancelledJob(good.url);
    await eventually(() => expect(good.received).toHaveLength(1));
    expect(silent.connections).toBeLessThanOrEqual(RECEIVER_LIMITS.perReceiver);
  });

  it('a webhook of one tenant is sent before the many that another tenant has waiting', async () => {
    const [many, one] = [await here.receiver(), await here.receiver()];
    for (let i = 0; i < 100; i += 1) await here.cancelledJob(many.url, 'ann');
    const drain = { redis: here.world.client, deliveries: here.deliveries, maxAttempts: 1 };
    await drainOutbox({ ...drain, queue: here.world.model() });
    await here.cancelledJob(one.url, 'ben');
    await drainOutbox({ ...drain, queue: here.world.model() });
    const waiting = [...(await here.deliveries.getWaiting()), ...(await here.deliveries.getPrioritized())];
    const place = waiting.findIndex(({ data }) => data.tenant === 'ben');
    expect({ place, waiting: waiting.length }).toEqual({ place: 2, waiting: 101 });
  });
});

it('a receiver that checks signatures as docs/operating/WEBHOOKS.md says accepts our webhooks and no others', async () => {
  const [, section = ''] = readFileSync('docs/operating/WEBHOOKS.md', 'utf8').split('\n## Webhooks to you\n');
  const [, code = ''] = /```js\n(.*?)```/s.exec(section) ?? [];
  const anywhere = code.replace(
    '.listen(8080)',
    '.listen(0, function () { console.log(this.address().port); })',
  );
  const child = spawn(process.execPath, ['--input-type=module', '--eval', anywhere], {
    env: { ...process.env, O3Q_SIGNING_SECRET: CALLERS_SECRET },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines: string[] = [];
  createInterface(child.stdout).on('line', (line) => lines.push(line));
  try {
    await eventually(() => expect(lines).toHaveLength(1), RECOVERED_MS);
    const url = `http://127.0.0.1:${lines[0]}/`;
    here.world.addWorker();
    const id = await here.cancelledJob(url);
    expect(await here.settled()).toEqual({ completed: 1, failed: 0 });
    await eventually(() => expect(lines[1]).toMatch(new RegExp(`^msg_[0-9a-f]{32} job.cancelled ${id}$`)));
    const headers = { 'webhook-id': 'msg_1', 'webhook-timestamp': '0', 'webhook-signature': 'v1,none' };
    expect((await fetch(url, { method: 'POST', headers, body: '{}' })).status).toBe(400);
  } finally {
    child.kill('SIGKILL');
  }
});

describe('webhooks of an instance', () => {
  it('an instance accepts a webhook_url over HTTP, and its board shows failed webhooks and sends them again', async () => {
    let isUp = false;
    const { url, received } = await here.receiver(() => (isUp ? 200 : 500));
    const webhooksOut = { secret: CALLERS_SECRET, retryDelaysMs: [] };
    const instance = await startInstance({ redis: here.world.redis, webhooksOut });
    try {
      const board = `${instance.url}/board/api/queues`;
      const inward = { question: 'Why?', webhook_url: 'http://169.254.169.254/' };
      expectProblem(await call(instance.url, 'POST', '/jobs', { body: inward }), 400, 'invalid_request');
      const body = { request: { input: 'Why?' }, webhook_url: url };
      const { body: job } = await call(instance.url, 'POST', '/jobs?wait=10', { body });
      expect(job).toMatchObject({ status: 'completed' });
      expect(JSON.stringify(job)).not.toContain(url);
      expect(await here.settled()).toEqual({ completed: 0, failed: 1 });

      const list = await fetch(`${board}?activeQueue=_webhooks&status=failed&page=1&jobsPerPage=10`);
      const { queues } = (await list.json()) as {
        queues: { name: string; displayName: string; jobs: ShownJob[] }[];
      };
      const shown = queues.find(({ name }) => name === '_webhooks');
      const { id } = job as { id: string };
      expect(shown).toMatchObject({ jobs: [{ name: `job.completed · ${id}` }] });
      expect(shown?.jobs[0]?.failedReason).toContain('answered 500');
      isUp = true;
      const headers = { 'content-type': 'application/json' };
      const retry = `${board}/_webhooks/${shown?.jobs[0]?.id}/retry`;
      expect((await fetch(retry, { method: 'PUT', headers })).status).toBe(204);
      expect(await here.settled()).toEqual({ completed: 1, failed: 0 });
      expect(received.map(({ headers: sent }) => sent['webhook-id'])).toEqual([
        shown?.jobs[0]?.id,
        shown?.jobs[0]?.id,
      ]);
    } finally {
      await instance.stop();
    }
  });
});
