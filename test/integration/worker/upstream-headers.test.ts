import { eventually } from '../../support/eventually.ts';
import { startWorkerWorld, type WorkerWorld } from '../../support/worlds/worker-world.ts';

/**
 * The headers of a job, at every call about its response. The simulator hides a response from other projects.
 */

const HEADERS = {
  'openai-beta': 'responses_multi_agent=v1',
  'openai-organization': 'org-north',
  'openai-project': 'proj_red',
};
/** Long enough to be cancelled in the middle. */
const LONG = { sim_think_ms: '60000' };

let world: WorkerWorld;
beforeAll(async () => {
  world = await startWorkerWorld();
});
afterAll(() => world.stop());
beforeEach(() => void world.gate.calls.splice(0));

function callsAbout(responses: RegExp) {
  return world.gate.calls
    .filter(({ path }) => responses.test(path))
    .map(({ method, path, headers }) => ({
      call: `${method} ${path.replace(/resp_\w+/, 'ID').replace(/^\/v1/, '')}`,
      sent: Object.fromEntries(Object.entries(headers).filter(([name]) => name.startsWith('openai-'))),
    }));
}

function expectHeadersAtAll(calls: string[]): void {
  const seen = callsAbout(/\/responses/);
  for (const { sent } of seen) expect(sent).toEqual(HEADERS);
  expect([...new Set(seen.map(({ call }) => call))]).toEqual(calls);
}

it('the create and each stream that continues it carry the headers', async () => {
  const { id } = await world.ask('Streamed?', { sim: 'cut', sim_events: '3' }, { upstream_headers: HEADERS });
  expect(await world.finished(id)).toMatchObject({ status: 'completed', attempt: 1 });
  expectHeadersAtAll(['POST /responses', expect.stringMatching(/^GET \/responses\/ID\?stream=true/)]);
  expect(world.bought('Streamed?')).toMatchObject([{ organization: 'org-north', project: 'proj_red' }]);
});

it('the create, each lookup and the cancel carry the headers', async () => {
  const { id } = await world.ask('Polled?', LONG, { stream: false, upstream_headers: HEADERS });
  await world.running(id);
  await eventually(() => expect(callsAbout(/\/resp_\w+$/)).not.toHaveLength(0));
  await world.queue.cancel(id);
  await world.finished(id);
  await eventually(() => expect(world.bought('Polled?')).toMatchObject([{ state: 'cancelled' }]));
  expectHeadersAtAll(['POST /responses', 'GET /responses/ID', 'POST /responses/ID/cancel']);
});

it('a worker that adopts the response of a dead worker sends the headers', async () => {
  const { id } = await world.ask('Adopted?', { sim_think_ms: '3000' }, { upstream_headers: HEADERS });
  await world.running(id);
  const [first] = world.workers;
  if (first === undefined) throw new Error('expected a worker');
  await world.stopWorker(first);
  world.addWorker();
  expect(await world.finished(id)).toMatchObject({ status: 'completed', purchases: 1 });
  for (const { sent } of callsAbout(/\/responses/)) expect(sent).toEqual(HEADERS);
});

it('jobs that run together never send each other’s headers', async () => {
  const projects = ['proj_a', 'proj_b', undefined];
  const asked = Array.from({ length: 30 }, (_, i) => ({
    question: `Whose ${i}?`,
    project: projects[i % projects.length],
  }));
  const jobs = await Promise.all(
    asked.map(({ question, project }) =>
      world.ask(
        question,
        {},
        project === undefined ? {} : { upstream_headers: { 'openai-project': project } },
      ),
    ),
  );
  for (const { id } of jobs) expect(await world.finished(id)).toMatchObject({ status: 'completed' });
  for (const { question, project } of asked) {
    expect(world.bought(question)).toMatchObject([{ organization: null, project: project ?? null }]);
  }
});

it('an organization that the key may not use fails its own job, and stops no other', async () => {
  const { id } = await world.ask('Mine?', { sim: '401_organization' }, { upstream_headers: HEADERS });
  expect(await world.finished(id)).toMatchObject({
    status: 'failed',
    attempt: 1,
    error: { code: 'invalid_request', message: expect.stringContaining('OpenAI-Organization') },
  });
  expect(await world.finished((await world.ask('Next?')).id)).toMatchObject({ status: 'completed' });
});

it('the values are in no log line', () => {
  expect(world.logLines.join('\n')).not.toMatch(/org-north|proj_red|multi_agent/);
});
