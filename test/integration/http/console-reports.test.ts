import { Redis } from 'ioredis';
import { renderToString } from 'preact-render-to-string';
import { failuresPage } from '../../../producer/console/reports/failures-page.tsx';
import type { ApiKey } from '../../../src/config/api-keys.ts';
import type { JobView } from '../../../src/job/view.ts';
import { readFailures } from '../../../src/overview/failures.ts';
import { InstanceQueue } from '../../../src/queue/instance-queue.ts';
import { eventually } from '../../support/eventually.ts';
import { type Answer, call } from '../../support/http/http-calls.ts';
import { type Instance, quickModels, startInstance } from '../../support/worlds/instance.ts';

const HOSTILE = `</script><script>alert(1)</script><img src=x onerror=alert(1)>`;
const KEYS: ApiKey[] = [
  { name: 'admin', secret: 'the-key-of-the-administrator' },
  { name: 'alice', secret: 'the-key-of-alice-1234' },
  { name: 'bob', secret: 'the-key-of-bob-123456' },
];

describe('the pages over many jobs', () => {
  let instance: Instance;
  let failedOfAlice: JobView[];
  beforeAll(async () => {
    const { tenants, ...models } = quickModels();
    instance = await startInstance({
      keys: KEYS,
      models: {
        ...models,
        tenants: {
          ...tenants,
          alice: {
            weight: 3,
            maxInFlight: 7,
            dailyBudgetUsd: 12,
            maxWaiting: 900,
            onBudgetExhausted: 'wait',
          },
        },
      },
    });
    failedOfAlice = [
      await asked('alice', 'The first of Alice', { sim: 'failed', sim_code: 'invalid_prompt' }),
      await asked('alice', `The second of Alice ${HOSTILE}`, { sim: 'failed', sim_code: 'invalid_prompt' }),
      await asked('alice', 'The third of Alice', { sim: '400' }),
    ];
    await asked('alice', 'An answer for Alice', {});
    await asked('bob', 'An answer for Bob', {});
    // The upstream quotes this in the message of its error.
    await asked('bob', 'The only one of Bob', { sim: 'failed', sim_code: HOSTILE });
  });
  afterAll(() => instance.stop());

  const as = (name: string, method: string, path: string, body?: unknown): Promise<Answer> =>
    call(instance.url, method, path, {
      ...(body !== undefined && { body }),
      headers: {
        accept: 'text/html',
        authorization: `Bearer ${KEYS.find((key) => key.name === name)?.secret}`,
      },
    });
  const asked = async (name: string, question: string, metadata: Record<string, string>): Promise<JobView> =>
    (await as(name, 'POST', '/jobs?wait=60', { question, metadata })).body as JobView;
  /** The page without its markup: a space stands for each tag. */
  const textOf = async (name: string, path: string): Promise<string> => {
    const { status, body } = await as(name, 'GET', path);
    expect(status).toBe(200);
    expect(body).not.toMatch(/<script>|<img/);
    const main = /<main.*<\/main>/s.exec(String(body))?.[0] ?? '';
    return main.replaceAll(/<[^>]+>/g, ' ').replaceAll(/\s+/g, ' ');
  };

  it('group failed jobs by code and message, the largest group first, with the newest job', async () => {
    const { body } = await as('alice', 'GET', '/console/failures');
    expect(body).toContain('<title>✕ 3 failed · Failures');
    const text = await textOf('alice', '/console/failures');
    expect(text).toMatch(
      /3 failed jobs, .* response_refused 2 jobs, .* 2 invalid_prompt: .* invalid_request 1 job, /,
    );
    // The newest of the largest group.
    expect(body).toContain(`href="/console/jobs/${failedOfAlice[1]?.id}"`);
    expect(body).not.toContain(`href="/console/jobs/${failedOfAlice[0]?.id}"`);
  });

  it('count the jobs of each code beyond the newest ones, except for a tenant', async () => {
    const queue = new InstanceQueue({ redisUrl: instance.redis.url, ...instance.models });
    await queue.list();
    const redis = new Redis(instance.redis.url);
    const queues = new Map(queue.queues.map((each) => [each.model, each]));
    const failures = await readFailures(redis, queues, undefined, 1);
    expect(failures.back_to).not.toBeNull();
    expect(Object.fromEntries(failures.totals ?? [])).toEqual({ response_refused: 2, invalid_request: 2 });
    expect(await readFailures(redis, queues, 'alice', 1)).toMatchObject({ totals: undefined });
    // The page of an instance with more failed jobs than it looks at.
    const totals = new Map([
      ...(failures.totals ?? []),
      ['timeout', 7000],
      ['response_refused', 9000],
    ] as const);
    const main = failuresPage({ ...failures, totals }, { tenant: 'admin', isAdmin: true });
    const text = renderToString(main.main).replaceAll(/<[^>]+>/g, '');
    expect(main.title).toBe('✕ 16,002 failed · Failures');
    expect(text).toContain('The messages and costs below are those of the newest 4, back to 20');
    expect(text).toMatch(/response_refused 9,000 jobs, \$0\.00 for the newest 2.*Retry these 9,000…/);
    expect(text).toMatch(/timeout 7,000 jobs, all older.*Retry these 7,000…/);
    redis.disconnect();
    await queue.close();
  });

  it('show a tenant its own failed jobs only, and admin all', async () => {
    const [alice, bob, admin] = await Promise.all(
      ['alice', 'bob', 'admin'].map((name) => textOf(name, '/console/failures')),
    );
    expect(alice).toContain('3 failed jobs');
    expect(bob).toContain('1 failed job');
    expect(bob).not.toMatch(/alice|asked for invalid_prompt/i);
    expect(admin).toContain('4 failed jobs');
  });

  it('show what a tenant has spent, and nothing of others', async () => {
    const [alice, bob, admin] = await Promise.all(
      ['alice', 'bob', 'admin'].map((name) => textOf(name, '/console/cost')),
    );
    expect(alice).toMatch(/\$0\.0\d+.* for \d responses.* alice \$0\.0\d+ of \$12\.00 .* By model .* o3 /);
    expect(alice).not.toMatch(/By tenant|bob/);
    expect(bob).not.toMatch(/alice/i);
    expect(admin).toMatch(/By tenant .*alice .*bob /);
    const { body } = await as('alice', 'GET', '/console/cost?from=2020-01-01&to=2020-01-31');
    expect(body).toContain('<title>$0.00 · Cost from 2020-01-01 to 2020-01-31');
    expect(await as('alice', 'GET', '/console/cost?from=tomorrow')).toMatchObject({
      status: 400,
      body: expect.stringContaining('<h1>Bad Request</h1>'),
    });
  });

  it('show a tenant its own limits only, and admin those of all', async () => {
    const [alice, bob, admin] = await Promise.all(
      ['alice', 'bob', 'admin'].map((name) => textOf(name, '/console/tenants')),
    );
    const limits = /0 of 900 .* 0 of 7 .*Weight 3 .* of \$12\.00 .*Budget left \$11\.\d+/;
    expect(alice).toMatch(limits);
    expect(alice).not.toContain('bob');
    expect(bob).toMatch(/Waiting 0 .*Weight 1 /);
    expect(bob).not.toMatch(/alice/i);
    expect(admin).toMatch(limits);
    expect(admin).toContain('bob');
    expect(admin).toMatch(/Tokens today [\d,]+ \(\d+ %\)/);
    expect(alice).toMatch(/Tokens today [1-9][\d,]* Spent/);
  });

  it('say which tenant is held back and why', async () => {
    const questions = Array.from({ length: 8 }, (_, i) => ({
      question: `Held ${i}`,
      metadata: { sim: 'stuck_queued' },
    }));
    await as('alice', 'POST', '/jobs/bulk', { jobs: questions });
    const isHeld = async (): Promise<boolean> =>
      (await textOf('alice', '/console/tenants')).includes('alice is at its limit of 7 jobs in flight');
    await eventually(async () => expect(await isHeld()).toBe(true));
    expect((await as('admin', 'GET', '/console/tenants')).body).toContain('<title>◷ 1 tenant held back');
  });

  it('lead to the jobs of a code, and to the question before they are retried', async () => {
    const { body } = await as('alice', 'GET', '/console/failures');
    const links = [...String(body).matchAll(/href="([^"]+error=invalid_request)"/g)].map(([, link = '']) =>
      link.replaceAll('&amp;', '&'),
    );
    expect(links).toHaveLength(2);
    const [jobs = '', retry = ''] = links;
    expect(await textOf('alice', jobs)).toContain('The third of Alice');
    expect(await textOf('alice', jobs)).not.toMatch(/The (first|second) of Alice|Bob/);
    expect(await textOf('alice', retry)).toContain('Retry 1 job?');
    expect(await textOf('bob', jobs)).not.toContain('Alice');
  });
});
