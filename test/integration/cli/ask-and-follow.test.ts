import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type O3qOptions, type O3qRun, o3q } from '../../support/process/o3q.ts';
import { useCliWorld } from '../../support/worlds/cli-world.ts';

const world = useCliWorld();

const run = (args: readonly string[], options: O3qOptions = {}): Promise<O3qRun> =>
  o3q(args, { ...options, environment: { O3Q_URL: world.instance.url } });

const simulated = async (metadata: Record<string, string>) =>
  (await world.client.enqueue({ request: { input: 'Why?', metadata } })).id;

describe('o3q ask', () => {
  it('sends a body of the Responses API with metadata and a deadline, and o3q list finds it by them', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'o3q-ask-'));
    await writeFile(join(folder, 'body.json'), '{"input": "From a file?", "metadata": {"a": "1"}}');
    const options = ['--metadata', 'order=4711', '--metadata', 'from=test', '--deadline', '2h'];
    const asked = await run(['ask', '--request', 'body.json', ...options], { folder });
    await rm(folder, { recursive: true });
    expect(asked).toMatchObject({ code: 0, stderr: '' });
    const id = asked.stdout.trim();
    expect(await world.client.wait(id)).toMatchObject({ status: 'completed', question: 'From a file?' });
    const outcome = await world.client.result(id);
    expect(outcome).toMatchObject({
      result: { response: { metadata: { a: '1', order: '4711', from: 'test' } } },
    });
    const listed = await run(['list', '--metadata', 'order=4711', '--since', '1h', '--json']);
    expect(JSON.parse(listed.stdout).jobs).toMatchObject([{ id }]);
    expect(await run(['list', '--metadata', 'order=0815'])).toMatchObject({ stderr: 'No jobs match.\n' });
  });

  it('says back by when it has understood that the answer is needed', async () => {
    const asked = await run(['ask', 'Why?', '--by', 'tomorrow 8:00', '--on-late', 'buy_again']);
    expect(asked).toMatchObject({
      code: 0,
      stderr: expect.stringMatching(/^needed by \d{4}-\d\d-\d\d 08:00 \S+ \(in \d+[hd] \d+[mh]\)\n$/),
    });
    expect(await run(['ask', 'Why?', '--by', 'yesterday'])).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/Expected a time in the future, got "yesterday", which was .+ ago\)\.\n/),
    });
    expect(await run(['ask', 'Why?', '--on-late', 'wait'])).toMatchObject({
      stderr: expect.stringContaining('--on-late: expected --by beside it'),
    });
  });

  it('names the option that is wrong, before it asks', async () => {
    const wrong = await run(['ask', 'Why?', '--webhook-url', 'ftp://example.com']);
    expect(wrong).toMatchObject({
      code: 2,
      stdout: '',
      stderr: expect.stringMatching(/^o3q: --webhook-url: /),
    });
  });
});

describe('o3q follow', () => {
  it('prints in a pipe the answer when it is complete', async () => {
    const id = await simulated({ sim_think_ms: '300' });
    const { code, stdout } = await run(['follow', id.slice(-12)]);
    const outcome = await world.client.result(id);
    expect({ code, stdout }).toEqual({
      code: 0,
      stdout: `${outcome.status === 'completed' ? outcome.result.answer : 'it should have completed'}\n`,
    });
  });

  it('prints with --json a line for each event, the last one done', async () => {
    const id = await simulated({});
    const { code, stdout } = await run(['follow', id, '--json']);
    const events = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    const text = events.map(({ type, data }) => (type === 'delta' ? data.text : '')).join('');
    expect(code).toBe(0);
    expect(events.at(-1)).toEqual({ type: 'done', data: await world.client.get(id) });
    expect(await world.client.result(id)).toMatchObject({ result: { answer: text } });
  });

  it('exits with 1 and a mark of its own when there is no answer', async () => {
    const id = await simulated({ sim: 'refusal' });
    const followed = await run(['follow', id]);
    expect(followed).toMatchObject({ code: 1, stdout: '' });
    expect(followed.stderr).toMatch(/No answer: the model refused/);
    expect((await run(['list', '--limit', '1'])).stdout).toMatch(`❗ no answer  ${id}`);
  });
});

describe('o3q status', () => {
  it('says what an earlier attempt ended with, and where the page of the job is', async () => {
    const id = await simulated({ sim: 'failed', sim_times: '1' });
    await world.client.wait(id);
    const { code, stdout } = await run(['status', id]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/earlier +response_failed: server_error: .*; then attempt 2 began\n/);
    expect(stdout).toMatch(new RegExp(`\n  ${world.instance.url}/console/jobs/${id}\n$`));
  });
});

describe('o3q open', () => {
  it('prints in a pipe the address of the console, or of the page of a job', async () => {
    const id = await simulated({});
    const page = await run(['open', id.slice(-12)]);
    expect(page).toEqual({ code: 0, stdout: `${world.instance.url}/console/jobs/${id}\n`, stderr: '' });
    expect((await fetch(page.stdout.trim())).status).toBe(200);
    expect((await run(['open'])).stdout).toBe(`${world.instance.url}/\n`);
  });
});
