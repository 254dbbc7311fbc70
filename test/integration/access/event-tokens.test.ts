import { O3Client } from '../../../src/client/o3-client.ts';
import type { EventsToken } from '../../../src/job/event.ts';
import { type Answer, call, expectProblem } from '../../support/http/http-calls.ts';
import { type Instance, startInstance } from '../../support/worlds/instance.ts';

const ALICE = { name: 'alice', secret: 'the-key-of-alice-1234' };
const BOB = { name: 'bob', secret: 'the-key-of-bob-123456' };
const APP = 'https://app.example.com';

let instance: Instance;
let other: Instance;
let keyless: Instance;
let alice: O3Client;
beforeAll(async () => {
  const keys = [ALICE, BOB];
  instance = await startInstance({ keys, http: { corsOrigins: [APP] } });
  const { redis } = instance;
  other = await startInstance({ keys, workers: 0, redis });
  keyless = await startInstance({ workers: 0, redis });
  alice = new O3Client({ url: instance.url, apiKey: ALICE.secret });
});
afterAll(async () => {
  await keyless.stop();
  await other.stop();
  await instance.stop();
});

/** Opens a URL as a browser's EventSource does: without a key. */
function get(url: string, headers: Record<string, string> = {}): Promise<Answer> {
  const { origin, pathname, search } = new URL(url);
  return call(origin, 'GET', `${pathname}${search}`, { headers });
}

describe("a token of a job's events", () => {
  it('opens them up to their end, at each producer, for a page of an allowed origin too', async () => {
    const { id } = await alice.enqueue({ question: 'What does the page show?' });
    const { token, expires_at: end, events_url: url } = await alice.eventsToken(id);
    expect(url).toBe(`${instance.url}/jobs/${id}/events?token=${token}`);
    expect(Date.parse(end ?? '')).toBeGreaterThan(Date.now());
    for (const address of [url, url.replace(instance.url, other.url)]) {
      const answer = await get(address, { origin: APP });
      expect(answer).toMatchObject({ status: 200, body: expect.stringContaining('event: done\n') });
      expect(answer.headers['access-control-allow-origin']).toBe(address === url ? APP : undefined);
    }
  });

  it('opens nothing else', async () => {
    const { id } = await alice.enqueue({ question: 'Mine?' });
    const { id: another } = await alice.enqueue({ question: 'Mine as well?' });
    const { token } = await alice.eventsToken(id);
    for (const [method, path] of [
      ['GET', `/jobs/${another}/events`],
      ['GET', `/jobs/${id}`],
      ['GET', `/jobs/${id}/result`],
      ['POST', `/jobs/${id}/events/token`],
      ['POST', `/jobs/${id}/cancel`],
      ['DELETE', `/jobs/${id}`],
      ['GET', '/jobs'],
      ['GET', '/v1/models'],
      ['GET', '/usage'],
    ] as const) {
      expect(await call(instance.url, method, `${path}?token=${token}`)).toMatchObject({ status: 401 });
      const headers = { authorization: `Bearer ${token}` };
      expect(await call(instance.url, method, path, { headers })).toMatchObject({ status: 401 });
    }
    expect(await call(instance.url, 'HEAD', `/jobs/${id}/events?token=${token}`)).toMatchObject({
      status: 401,
    });
  });

  it("is not given for another tenant's job, nor without a key", async () => {
    const { id } = await alice.enqueue({ question: 'Only mine?' });
    const bob = new O3Client({ url: instance.url, apiKey: BOB.secret });
    await expect(bob.eventsToken(id)).rejects.toMatchObject({ code: 'job_not_found' });
    expectProblem(await call(instance.url, 'POST', `/jobs/${id}/events/token`), 401, 'unauthorized');
    // The token of one tenant with the name of another.
    const { token } = await alice.eventsToken(id);
    const [header = '', ...rest] = (token ?? '').split('.');
    const named = Buffer.from(header, 'base64url').toString().replace('alice', 'bob');
    const forged = [Buffer.from(named).toString('base64url'), ...rest].join('.');
    expectProblem(await get(`${instance.url}/jobs/${id}/events?token=${forged}`), 401, 'unauthorized');
  });

  it('stands in no line of the log', async () => {
    const { id } = await alice.enqueue({ question: 'Who reads the log?' });
    const { token, events_url: url } = await alice.eventsToken(id);
    await get(url);
    await get(url.replace('/events?', '/result?'));
    await get(`${url}x`);
    await get(`${url}&token=again`);
    const [, , signature = ''] = (token ?? '').split('.');
    const log = [...instance.logLines, ...other.logLines].join('\n');
    expect(log).toContain('a wrong key was sent');
    expect(signature.length).toBeGreaterThan(20);
    expect(log).not.toContain(signature);
  });

  it('is not needed without keys', async () => {
    const { body } = await call(keyless.url, 'POST', '/jobs', {
      body: { question: 'Open?', delay_ms: 60_000 },
    });
    const { id } = body as { id: string };
    const answer = await call(keyless.url, 'POST', `/jobs/${id}/events/token`);
    const { token, expires_at: end, events_url: url } = answer.body as EventsToken;
    expect({ token, end, url }).toEqual({ token: null, end: null, url: `${keyless.url}/jobs/${id}/events` });
    await call(keyless.url, 'POST', `/jobs/${id}/cancel`);
    expect(await get(url)).toMatchObject({ status: 200 });
  });
});
