import { named, useRefusalWorld } from '../../support/hostile/refusals.ts';
import { call, enqueue, expectProblem, reached } from '../../support/http/http-calls.ts';

const world = useRefusalWorld();

const question = 'Why?';
describe('ids', () => {
  const routes = [
    ['GET', ''],
    ['GET', '/result'],
    ['POST', '/cancel'],
    ['POST', '/retry'],
    ['DELETE', ''],
  ] as const;

  it.each(
    named(
      [
        'job_00000000000000000000000000000000',
        '1',
        'o3:1',
        'nobody:1',
        '__proto__',
        '__proto__:1',
        'constructor',
        '..%2F..%2Fetc%2Fpasswd',
        '%2e%2e',
        '%00',
        'a%00b',
        '%F0%9F%A6%84',
        'x'.repeat(5000),
        '*',
        '%7Bo3%7D',
        '%0d%0aset-cookie:a=b',
        // Keys of BullMQ's own beside the jobs: hashes, lists, sets, streams, texts.
        'meta',
        'wait',
        'active',
        'events',
        'id',
        'marker',
        'completed',
        'failed',
        'delayed',
        'prioritized',
        'stalled',
        'stalled-check',
        'pc',
      ].map((id): [string] => [id]),
    ),
  )('%s is not a job on any route', async (_name, id) => {
    for (const [method, rest] of routes) {
      await world.refused([404, 'job_not_found'], method, `/jobs/${id}${rest}`);
    }
    await world.refused([404, 'job_not_found'], 'GET', `/jobs/${id}/result?wait=1`);
  });

  it('are refused in a path that cannot be decoded', async () => {
    for (const [method, rest] of routes) {
      const said = await world.refused([400, 'invalid_request'], method, `/jobs/%E0%A4%A${rest}`);
      expect(said).toContain("Failed to decode param '%E0%A4%A'");
    }
  });

  it('are not found in a path with ..', async () => {
    await world.refused([404, 'route_not_found'], 'GET', '/jobs/../etc/passwd');
    await world.refused([404, 'route_not_found'], 'GET', '/jobs/a/b/c');
  });
});

describe('queries', () => {
  const seconds = 'wait: expected one number of seconds from 0 to 300, got';
  it.each([
    ['wait=-1', `${seconds} "-1"`],
    ['wait=abc', `${seconds} "abc"`],
    ['wait=301', `${seconds} 301`],
    ['wait=300.5', `${seconds} 300.5`],
    ['wait=', `${seconds} ""`],
    ['wait=%20', `${seconds} " "`],
    ['wait=0x10', `${seconds} "0x10"`],
    ['wait=1e2', `${seconds} "1e2"`],
    ['wait=Infinity', `${seconds} "Infinity"`],
    ['wait=1&wait=2', `${seconds} an array`],
    ['wait[]=1', 'expected only wait, got "wait[]"'],
    ['Wait=1', 'expected only wait, got "Wait"'],
    ['__proto__=1', 'expected only wait, got "__proto__"'],
  ])('?%s is refused on routes that wait', async (query, said) => {
    const body = { question };
    expect(await world.refused([400, 'invalid_request'], 'POST', `/jobs?${query}`, { body })).toContain(
      said.replace('only wait,', 'only wait, quote,'),
    );
    expect(await world.refused([400, 'invalid_request'], 'GET', `/jobs/some/result?${query}`)).toContain(
      said,
    );
  });

  it.each(
    named<[query: string, said: string]>([
      ['limit=0', 'limit: expected one whole number from 1 to 100, got 0'],
      ['limit=101', 'limit: expected one whole number from 1 to 100, got 101'],
      ['limit=1.5', 'limit: expected one whole number from 1 to 100, got "1.5"'],
      ['limit=', 'limit: expected one whole number from 1 to 100, got ""'],
      ['limit=ten', 'limit: expected one whole number from 1 to 100, got "ten"'],
      ['limit=1&limit=2', 'limit: expected one whole number from 1 to 100, got an array'],
      [
        'status=foo',
        'status: expected one of "waiting"|"delayed"|"active"|"completed"|"failed"|"cancelled", got "foo"',
      ],
      ['status=failed&status=cancelled', 'got an array'],
      ['model=gpt-9', 'model: expected one of o3, got "gpt-9"'],
      ['model=__proto__', 'model: expected one of o3, got "__proto__"'],
      [`q=${'x'.repeat(101)}`, 'q: expected string to have <=100 characters'],
      ['tenant=', "tenant: expected a tenant's name"],
      ['tenant=..%2Fadmin', "tenant: expected a tenant's name"],
      ['tenant=a&tenant=b', 'tenant: expected string, got an array'],
      ['q=a&q=b', 'q: expected string, got an array'],
      ['cursor=zzz', 'cursor was expected to be the next_cursor of an earlier page'],
      ['cursor=', 'cursor was expected to be the next_cursor of an earlier page'],
      [`cursor=${Buffer.from('[1, 2, 3]').toString('base64url')}`, 'cursor was expected'],
      [`cursor=${Buffer.from('[null, "a", "o3"]').toString('base64url')}`, 'cursor was expected'],
      [`cursor=${Buffer.from('{"length": 3}').toString('base64url')}`, 'cursor was expected'],
      [`cursor=${'x'.repeat(1001)}`, 'cursor: expected string to have <=1000 characters'],
      [
        'page=2',
        'expected only status, model, tenant, q, error, since, until, metadata[KEY], id, limit, cursor, got "page"',
      ],
    ]),
  )('?%s is refused by the list', async (_name, query, said) => {
    expect(await world.refused([400, 'invalid_request'], 'GET', `/jobs?${query}`)).toContain(said);
  });

  it.each([
    ['GET', '/jobs/some'],
    ['POST', '/jobs/some/cancel'],
    ['POST', '/jobs/some/retry'],
    ['DELETE', '/jobs/some'],
  ])('%s %s accepts no query', async (method, path) => {
    const said = await world.refused([400, 'invalid_request'], method, `${path}?force=1`);
    expect(said).toBe('The query was refused: expected nothing, got "force"');
  });
});

describe('routes', () => {
  it.each([
    ['PUT', '/jobs', 'POST, GET, HEAD'],
    ['DELETE', '/jobs', 'POST, GET, HEAD'],
    ['OPTIONS', '/jobs', 'POST, GET, HEAD'],
    ['PATCH', '/jobs/some', 'GET, DELETE, HEAD'],
    ['POST', '/jobs/some', 'GET, DELETE, HEAD'],
    ['POST', '/jobs/some/result', 'GET, HEAD'],
    ['GET', '/jobs/some/cancel', 'POST'],
    ['DELETE', '/jobs/some/retry', 'POST'],
    ['POST', '/livez', 'GET, HEAD'],
    ['DELETE', '/readyz', 'GET, HEAD'],
  ])('%s %s is refused with the allowed methods', async (method, path, allow) => {
    const answer = await call(world.instance.url, method, path);
    expectProblem(answer, 405, 'method_not_allowed');
    expect(answer.headers['allow']).toBe(allow);
  });

  it.each([
    ['GET', '/nope'],
    ['POST', '/v2/jobs'],
    ['GET', '/livez/x'],
  ])('%s %s is not a route', async (method, path) => {
    expect(await world.refused([404, 'route_not_found'], method, path)).toContain(
      `There is no route ${method} /`,
    );
  });
});

it('after all these refusals a valid job is answered', async () => {
  const { id } = await enqueue(world.instance.url, { question: 'Still alive?' });
  await reached(world.instance.url, id, 'completed');
  expect(world.instance.simulator.ledger.totals()).toMatchObject({ purchases: 1, completed: 1 });
  world.instance.simulator.ledger.reset();
});
