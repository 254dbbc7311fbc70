import { RUN_FIELDS } from '../../../cli/commands/inspect.ts';
import { O3Client } from '../../../src/client/o3-client.ts';
import type { JobInspection } from '../../../src/job-store/inspection.ts';
import { SCRIPTS } from '../../../src/lua/scripts.ts';
import { keysOf } from '../../../src/redis/keys.ts';
import { eventually } from '../../support/eventually.ts';
import { type O3qRun, o3q } from '../../support/process/o3q.ts';
import { type Instance, startInstance } from '../../support/worlds/instance.ts';

const QUESTION = `Why is the sky blue? ${'Please explain it at length. '.repeat(100)}`;
const keys = keysOf('o3q', 'o3');

describe('o3q inspect', () => {
  let instance: Instance;
  let client: O3Client;
  beforeAll(async () => {
    instance = await startInstance({ workers: 0 });
    client = new O3Client({ url: instance.url });
  });
  afterAll(() => instance.stop());

  const run = (...args: string[]): Promise<O3qRun> =>
    o3q(['inspect', ...args], { environment: { REDIS_URL: instance.redis.url } });
  const inspected = async (id: string, ...args: string[]): Promise<JobInspection> =>
    JSON.parse((await run(id, '--json', ...args)).stdout);

  it('shows where a waiting job stands, then the lock and reservation of an active job, then how it ended', async () => {
    const first = await client.enqueue({ question: 'Who is first?', metadata: { sim_think_ms: '60000' } });
    const { id } = await client.enqueue({ question: QUESTION, metadata: { sim_think_ms: '60000' } });

    const waiting = await inspected(id.slice(-12));
    expect(waiting).toMatchObject({
      id,
      model: 'o3',
      view: { status: 'waiting', position: 2 },
      place: {
        bullmq_sets: ['delayed (parked in the fair queue)'],
        due_at: null,
        tenant_position: 2,
        tenant_queue_length: 2,
        tenant_paused: null,
      },
      lock: null,
      reservations: [],
    });
    expect(waiting.keys).toContainEqual({ key: keys.job(id), type: 'hash', ttl_ms: null });

    const worker = instance.addWorker();
    await eventually(async () =>
      expect(
        (await client.get(id)).status === 'active' && (await inspected(id)).run['upstream_id'],
      ).toBeTruthy(),
    );
    const active = await inspected(id);
    expect(active).toMatchObject({
      view: { status: 'active' },
      run: { attempt: '1', purchases: '1' },
      place: { bullmq_sets: ['active'], tenant_position: null, tenant_queue_length: 0 },
      lock: { token: expect.stringMatching(/./), expires_in_ms: expect.any(Number) },
      reservations: [
        {
          of: 'upstream model o3',
          lease_ends_at: expect.any(String),
          value: expect.stringMatching(/^\d+:\d+:/),
        },
      ],
    });

    await Promise.all([client.cancel(first.id), client.cancel(id)]);
    await eventually(async () => expect((await client.get(id)).status).toBe('cancelled'));
    await instance.stopWorker(worker);
    const finished = await inspected(id);
    expect(finished).toMatchObject({
      view: { status: 'cancelled' },
      run: { status: 'cancelled' },
      place: { bullmq_sets: ['failed'] },
      lock: null,
      reservations: [],
    });
    expect(finished.keys.find(({ key }) => key === keys.run(id))?.ttl_ms).toBeGreaterThan(0);
  });

  it('shows the end of the event log, and long texts whole only with --full', async () => {
    const worker = instance.addWorker();
    const { id } = await client.enqueue({
      question: QUESTION,
      stream: true,
      metadata: { sim_think_ms: '1000' },
    });
    // The worker writes the log as the events come while a caller reads it.
    for await (const event of client.events(id)) if (event.type === 'done') break;
    await client.wait(id, { timeoutMs: 60_000 });
    await instance.stopWorker(worker);

    const { event_log: log } = await inspected(id);
    expect(log.entries).toBeGreaterThan(0);
    expect(log.last.at(-1)).toMatchObject({ at: expect.any(String), fields: { a: '1', p: '1' } });
    const { stdout } = await run(id);
    expect(stdout).toContain('completed');
    expect(stdout).toMatch(/Why is the sky blue\?.*… \[[\d,]+ more characters; see --full\]/);
    expect(stdout).not.toContain(QUESTION.trim());
    expect((await run(id, '--full')).stdout).toContain(QUESTION.trim());
  });

  it('explains in --help each field of the run that it shows', async () => {
    const worker = instance.addWorker();
    const { id } = await client.enqueue({
      question: QUESTION,
      stream: true,
      metadata: { sim: 'failed', sim_times: '1' },
    });
    await client.wait(id, { timeoutMs: 60_000 });
    await instance.stopWorker(worker);

    const explained = new Set(RUN_FIELDS.flatMap(([names]) => names));
    const { run: fields } = await inspected(id);
    expect(Object.keys(fields).filter((name) => !explained.has(name))).toEqual([]);
    const help = (await run('--help')).stdout;
    for (const name of explained) expect(help).toContain(name);
  });

  it('exits with 1 for a job that does not exist', async () => {
    expect(await run('job_nothing')).toEqual({
      code: 1,
      stdout: '',
      stderr: expect.stringMatching(/^o3q: There is no job job_nothing/),
    });
  });

  it('exits with 2 and says what to set without REDIS_URL', async () => {
    const { code, stderr } = await o3q(['inspect', 'job_1']);
    expect({ code, stderr }).toEqual({
      code: 2,
      stderr: expect.stringMatching(/expected REDIS_URL, got none/),
    });
  });

  it('exits with 1 when Redis does not answer', async () => {
    const environment = { REDIS_URL: 'redis://127.0.0.1:1' };
    const { code, stderr } = await o3q(['inspect', 'job_1'], { environment });
    expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringMatching(/127\.0\.0\.1:1/) });
  });

  it('names each script by its sha, without Redis', async () => {
    const { code, stdout } = await o3q(['inspect', '--scripts']);
    expect(code).toBe(0);
    expect(stdout.trim().split('\n')).toEqual(SCRIPTS.map(({ name, sha }) => `${sha}  ${name}`));
  });
});
