import {
  askO3,
  askO3Async,
  cancelO3,
  checkO3Status,
  getO3Result,
  listO3Tasks,
  showO3Progress,
} from '../../../src/client/ask-o3.ts';
import { O3Client } from '../../../src/client/o3-client.ts';
import { eventually } from '../../support/eventually.ts';
import { type Instance, startInstance } from '../../support/worlds/instance.ts';

let instance: Instance;
let client: O3Client;
const before = process.env['O3Q_URL'];

beforeAll(async () => {
  instance = await startInstance();
  client = new O3Client({ url: instance.url });
  process.env['O3Q_URL'] = instance.url;
});
afterAll(async () => {
  if (before === undefined) delete process.env['O3Q_URL'];
  else process.env['O3Q_URL'] = before;
  await instance.stop();
});

/** A task that the simulator treats as asked; the plan's functions have no option for that. */
async function simulated(metadata: Record<string, string>): Promise<string> {
  return (await client.enqueue({ request: { input: 'Why?', metadata } })).id;
}

async function running(): Promise<string> {
  const id = await simulated({ sim_think_ms: '60000' });
  return eventually(async () => {
    expect(await checkO3Status(id)).toMatchObject({ data: { status: 'running' } });
    return id;
  });
}

async function started(question: string, context?: string): Promise<string> {
  const answer = await askO3Async(question, context);
  if (!answer.ok) throw new Error(answer.error);
  expect(answer.status).toBe('started');
  return answer.data;
}

describe('a task', () => {
  it('is started, checked, and its answer read later', async () => {
    const id = await started('Why is the sky blue?', 'It is noon.');
    await client.wait(id);
    expect(await checkO3Status(id)).toEqual({
      ok: true,
      data: { id, status: 'completed', question: 'Why is the sky blue?', duration: expect.any(Number) },
    });
    expect(await getO3Result(id)).toMatchObject({
      ok: true,
      status: 'completed',
      data: {
        answer: expect.stringContaining('Why is the sky blue?'),
        usage: { total_tokens: expect.any(Number) },
        model: 'o3',
      },
    });
  });

  it('has a duration in seconds', async () => {
    const id = await running();
    const view = await client.get(id);
    const status = await checkO3Status(id);
    const shown = view.status === 'active' ? view.duration_ms / 1000 : Number.NaN;
    expect(status.ok && status.data.duration).toBeGreaterThanOrEqual(shown);
    expect(status.ok && status.data.duration).toBeLessThan(shown + 10);
    await cancelO3(id);
  });

  it('has a duration of 0 before it runs', async () => {
    const { id } = await client.enqueue({ question: 'Why?', delay_ms: 3_600_000 });
    expect(await checkO3Status(id)).toMatchObject({ data: { status: 'pending', duration: 0 } });
    expect(await getO3Result(id)).toEqual({ ok: true, data: null, status: 'pending' });
    await cancelO3(id);
  });

  it('has no result while it runs', async () => {
    const id = await running();
    expect(await getO3Result(id)).toEqual({ ok: true, data: null, status: 'running' });
    await cancelO3(id);
  });

  it('that failed answers with its reason as an err', async () => {
    const id = await simulated({ sim: '400' });
    const job = await client.wait(id);
    const reason = job.status === 'failed' ? job.error.message : 'it should have failed';
    expect(await checkO3Status(id)).toMatchObject({ data: { status: 'error' } });
    expect(await getO3Result(id)).toEqual({ ok: false, error: reason });
  });

  it.each([checkO3Status, getO3Result, cancelO3])('that does not exist is not found', async (call) => {
    expect(await call('no-such-task')).toEqual({ ok: false, error: 'Task no-such-task not found' });
  });

  it('shows the first 100 characters of its question', async () => {
    const id = await started('q'.repeat(101));
    expect(await checkO3Status(id)).toMatchObject({ data: { question: `${'q'.repeat(100)}...` } });
  });

  it('with an empty question is refused', async () => {
    expect(await askO3Async('')).toEqual({
      ok: false,
      error: expect.stringContaining('expected a question'),
    });
  });
});

describe('asking and waiting', () => {
  it('answers with the result', async () => {
    expect(await askO3('Why is the sky blue?')).toMatchObject({
      ok: true,
      status: 'completed',
      data: { answer: expect.stringContaining('Why is the sky blue?') },
    });
  });

  it('answers with an err and the id of the task when the time is over, and the task goes on', async () => {
    const slow = await startInstance({ workers: 0 });
    process.env['O3Q_URL'] = slow.url;
    try {
      const answer = await askO3('Why?', undefined, { timeout: 0.2 });
      expect(answer).toEqual({ ok: false, error: 'Timeout after 0.2s', id: expect.any(String) });
      const id = answer.ok ? '' : (answer.id ?? '');
      slow.addWorker();
      await eventually(async () => {
        expect(await getO3Result(id)).toMatchObject({ ok: true, status: 'completed' });
      });
      expect(await listO3Tasks()).toMatchObject({ data: [{ id, status: 'completed', question: 'Why?' }] });
    } finally {
      process.env['O3Q_URL'] = instance.url;
      await slow.stop();
    }
  });
});

describe('the tasks', () => {
  it('are listed newest first, with 50 characters of their questions', async () => {
    const first = await started('a short one');
    const second = await started('q'.repeat(51));
    const tasks = await listO3Tasks();
    expect(tasks.ok && tasks.data.slice(0, 2)).toEqual([
      { id: second, status: expect.any(String), question: `${'q'.repeat(50)}...` },
      { id: first, status: expect.any(String), question: 'a short one' },
    ]);
  });

  it('are printed one a line', async () => {
    const ids = [await started('line one\nline two'), await simulated({ sim: '400' })];
    for (const id of ids) await client.wait(id);
    const written = jest.spyOn(process.stdout, 'write').mockReturnValue(true);
    const lines = await showO3Progress();
    const printed = written.mock.calls.map(([text]) => String(text)).join('');
    written.mockRestore();
    expect(lines.ok && printed === `${lines.data.join('\n')}\n`).toBe(true);
    expect(printed).toMatch(`✅ [${ids[0]}] completed - line one line two\n`);
    expect(printed).toMatch(`❌ [${ids[1]}] error - Why?\n`);
  });
});

describe('cancelling', () => {
  it('cancels a waiting and a running task, and may be repeated', async () => {
    const delayed = await client.enqueue({ question: 'Why?', delay_ms: 3_600_000 });
    for (const id of [delayed.id, await running()]) {
      expect(await cancelO3(id)).toEqual({ ok: true, data: id, status: 'cancelled' });
      expect(await cancelO3(id)).toEqual({ ok: true, data: id, status: 'cancelled' });
      expect(await checkO3Status(id)).toMatchObject({ data: { status: 'cancelled' } });
      expect(await getO3Result(id)).toEqual({ ok: false, error: `Task ${id} was cancelled` });
    }
  });

  it('is refused for a finished task', async () => {
    const id = await started('Why?');
    await client.wait(id);
    expect(await cancelO3(id)).toEqual({ ok: false, error: expect.stringContaining('finished') });
  });
});
