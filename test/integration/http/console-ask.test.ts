import type { ApiKey } from '../../../src/config/api-keys.ts';
import type { JobView } from '../../../src/job/view.ts';
import { type Answer, call } from '../../support/http/http-calls.ts';
import { type Instance, quickModels, startInstance } from '../../support/worlds/instance.ts';

const HOSTILE = `</textarea><script>alert(1)</script>`;
const KEYS: ApiKey[] = [
  { name: 'admin', secret: 'the-key-of-the-administrator' },
  { name: 'alice', secret: 'the-key-of-alice-1234' },
];

describe('the page Ask', () => {
  let instance: Instance;
  beforeAll(async () => {
    instance = await startInstance({
      keys: KEYS,
      models: { ...quickModels(), prices: { o3: { input: 2, output: 8 } } },
    });
  });
  afterAll(() => instance.stop());

  const as = (name: string, method: string, path: string, fields?: Record<string, string>): Promise<Answer> =>
    call(instance.url, method, path, {
      ...(fields !== undefined && { body: new URLSearchParams(fields).toString() }),
      headers: {
        accept: 'text/html',
        authorization: `Bearer ${KEYS.find((key) => key.name === name)?.secret}`,
        ...(fields !== undefined && { 'content-type': 'application/x-www-form-urlencoded' }),
      },
    });
  const ask = (fields: Record<string, string>): Promise<Answer> =>
    as('alice', 'POST', '/console/ask', fields);
  const viewOf = async (name: string, id: string): Promise<JobView> =>
    (await as(name, 'GET', `/jobs/${id}/result?wait=30`)).body as JobView;
  const jobsOfAlice = async (): Promise<number> =>
    ((await as('alice', 'GET', '/jobs')).body as { jobs: JobView[] }).jobs.length;

  it('asks a question once, however often its form is sent, and leads to the page of the job', async () => {
    const { body } = await as('alice', 'GET', '/console/ask');
    const key = /name="idempotency_key" value="([^"]+)"/.exec(String(body))?.[1] ?? '';
    const fields = {
      question: 'Asked by a form?',
      context: 'A form.',
      model: 'o3',
      reasoning_effort: 'low',
      max_output_tokens: '5000',
      give_up_hours: '',
      act: 'ask',
      idempotency_key: key,
    };
    const [first, second] = await Promise.all([ask(fields), ask(fields)]);
    expect(first).toMatchObject({ status: 303 });
    expect(second).toMatchObject({ status: 303, headers: { location: first.headers['location'] } });
    const id = String(first.headers['location']).split('/').pop() ?? '';
    expect(await viewOf('alice', id)).toMatchObject({ response: { reasoning: { effort: 'low' } } });
    expect((await as('alice', 'GET', `/jobs/${id}`)).body).toMatchObject({
      tenant: 'alice',
      model: 'o3',
      question: 'Asked by a form?',
    });
    expect(await jobsOfAlice()).toBe(1);
  });

  it('says what a question may cost at most, by the price list, and stores nothing', async () => {
    const before = await jobsOfAlice();
    const fields = { question: 'x'.repeat(4000), model: 'o3', max_output_tokens: '100000', act: 'quote' };
    const { status, body } = await ask({ ...fields, question: `${fields.question}${HOSTILE}` });
    expect(status).toBe(200);
    // 1,000 tokens at $2, and 100,000 tokens at $8 per million, and a little for the rest of the question.
    expect(body).toMatch(/<h2>About \$0\.0\d+, at most \$0\.80\d+<\/h2>/);
    expect(body).toMatch(/Input<\/dt><dd>about [\d,]+ tokens/);
    expect(body).toMatch(/Waits for<\/dt><dd>[^<]+</);
    expect(body).not.toContain('<script>alert');
    expect(body).toMatch(/<option value="o3" selected/);
    expect(await jobsOfAlice()).toBe(before);
  });

  it('says why a question was refused, and keeps what was written', async () => {
    for (const act of ['ask', 'quote']) {
      const { status, body } = await ask({
        question: 'Kept?',
        context: HOSTILE,
        model: 'o4',
        max_output_tokens: '3',
        act,
      });
      expect(status).toBe(400);
      expect(body).toMatch(/role="alert">[^<]*max_output_tokens/);
      expect(body).toContain('>Kept?</textarea>');
      expect(body).not.toContain('<script>alert');
    }
    expect(await ask({ question: 'Which?', model: 'o4', act: 'quote' })).toMatchObject({
      status: 400,
      body: expect.stringContaining('expected one of o3'),
    });
  });

  it('says when the answer is needed, in UTC without a script, and refuses what is no time', async () => {
    const fields = { question: 'By then?', act: 'ask' };
    const answer = await ask({ ...fields, needed_by: '2099-11-30T08:00' });
    const id = String(answer.headers['location']).split('/').pop() ?? '';
    expect((await as('alice', 'GET', `/jobs/${id}`)).body).toMatchObject({
      needed_by: '2099-11-30T08:00:00.000Z',
    });
    const quoted = await ask({ ...fields, act: 'quote', needed_by: '2099-11-30T08:00:00.000Z' });
    expect(quoted.body).toContain('name="needed_by" value="2099-11-30T08:00:00"');
    expect(await ask({ ...fields, needed_by: HOSTILE })).toMatchObject({
      status: 400,
      body: expect.stringMatching(/role="alert">[^<]*needed_by: expected a time/),
    });
  });

  it('gives a question up when its time has passed', async () => {
    const answer = await ask({ question: 'By when?', give_up_hours: '0.25', act: 'ask' });
    const id = String(answer.headers['location']).split('/').pop() ?? '';
    const stored = await call(instance.url, 'GET', `/board/api/queues/o3/${id}`, {
      headers: { authorization: `Bearer ${KEYS[0]?.secret}` },
    });
    expect(JSON.stringify(stored.body)).toMatch(/deadline/);
  });
});
