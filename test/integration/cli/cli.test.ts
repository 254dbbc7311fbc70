import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { O3Client } from '../../../src/client/o3-client.ts';
import { eventually } from '../../support/eventually.ts';
import { type O3qOptions, type O3qRun, o3q } from '../../support/process/o3q.ts';
import { useCliWorld } from '../../support/worlds/cli-world.ts';
import { startInstance } from '../../support/worlds/instance.ts';

const world = useCliWorld();

const run = (args: readonly string[], options: O3qOptions = {}): Promise<O3qRun> =>
  o3q(args, { ...options, environment: { O3Q_URL: world.instance.url, ...options.environment } });

/** A job that the simulator treats as asked. */
async function simulated(metadata: Record<string, string>, input = 'Why?'): Promise<string> {
  return (await world.client.enqueue({ request: { input, metadata } })).id;
}
async function finished(metadata: Record<string, string> = {}): Promise<string> {
  const id = await simulated(metadata);
  await world.client.wait(id);
  return id;
}
async function delayed(): Promise<string> {
  return (await world.client.enqueue({ question: 'Why so late?', delay_ms: 3_600_000 })).id;
}

describe('o3q ask', () => {
  it('prints only the id in a pipe', async () => {
    const { code, stdout, stderr } = await run(['ask', 'Why is the sky blue?']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^\S+\n$/);
    expect(await world.client.get(stdout.trim())).toMatchObject({ question: 'Why is the sky blue?' });
  });

  it('prints only the answer with --wait', async () => {
    const { code, stdout, stderr } = await run(['ask', '--wait', 'Why is the sky blue?']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/Why is the sky blue\?/);
  });

  it('sends every option to the instance', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'o3q-ask-'));
    await writeFile(join(folder, 'notes.md'), 'It is noon.');
    const options = ['--context', 'notes.md', '--model', 'o3', '--instructions', 'Be brief.'];
    const numbers = [
      '--max-output-tokens',
      '500',
      '--priority',
      '3',
      '--max-attempts',
      '2',
      '--timeout-ms',
      '9999',
    ];
    const args = ['ask', 'Why?', ...options, ...numbers, '--reasoning-effort', 'low', '--wait', '--json'];
    const { code, stdout } = await run(args, { folder });
    await rm(folder, { recursive: true });
    expect(code).toBe(0);
    const result = JSON.parse(stdout);
    expect(result).toMatchObject({
      model: 'o3',
      response: {
        instructions: 'Be brief.',
        max_output_tokens: 500,
        reasoning: { effort: 'low' },
      },
    });
    expect((await world.client.list({ limit: 1 })).jobs[0]).toMatchObject({ max_attempts: 2 });
    expect(result.answer).toMatch(/It is noon\.[\s\S]*Why\?/);
  });

  it('enqueues a delayed job with --delay-ms', async () => {
    const { stdout } = await run(['ask', 'Why?', '--delay-ms', '3600000', '--json']);
    const job = JSON.parse(stdout);
    expect(job).toMatchObject({ status: 'delayed', question: 'Why?' });
    await world.client.cancel(job.id);
  });

  it('reads the question from stdin, or the context when the question is an argument', async () => {
    const piped = await run(['ask'], { input: 'From a pipe?\n' });
    expect(await world.client.get(piped.stdout.trim())).toMatchObject({ question: 'From a pipe?' });
    const context = await run(['ask', 'Summarise', '-c', '-', '-w'], { input: 'some piped notes' });
    expect(context.stdout).toMatch(/some piped notes/);
  });

  it('exits with 1 and says why the job failed', async () => {
    const refusing = await startInstance();
    refusing.simulator.setWeather({ refuse: '422_detail' });
    const failing = await run(['ask', 'Why?', '--wait'], { environment: { O3Q_URL: refusing.url } });
    await refusing.stop();
    expect(failing).toMatchObject({ code: 1, stdout: '' });
    expect(failing.stderr).toMatch(/❌ failed .*: .*\n +o3q retry \S+/);
  });

  it('exits with 1 and says why there is no answer', async () => {
    for (const [sim, reason] of [
      ['refusal', /No answer: the model refused: .*decline to answer/],
      ['incomplete', /No answer: the upstream stopped before the first word: max_output_tokens/],
    ] as const) {
      const id = await finished({ sim });
      const result = await run(['result', id]);
      expect(result).toMatchObject({ code: 1, stdout: '' });
      expect(result.stderr).toMatch(reason);
      const json = await run(['result', id, '--json']);
      expect(json.code).toBe(1);
      expect(JSON.parse(json.stdout)).toMatchObject({ answer: null });
      expect((await run(['status', id])).stdout).toMatch(/no answer +the (model refused|upstream stopped)/);
    }
  });

  it('exits with 3 when the time is up, and says how to get the answer', async () => {
    const idle = await startInstance({ workers: 0 });
    const { code, stdout, stderr } = await run(['ask', 'Why?', '--wait', '0.2'], {
      environment: { O3Q_URL: idle.url },
    });
    await idle.stop();
    expect({ code, stdout }).toEqual({ code: 3, stdout: '' });
    expect(stderr).toMatch(/⏳ waiting[\s\S]*o3q result \S+ --wait/);
  });

  it('says at Ctrl-C that the job still runs, and exits with 130', async () => {
    const idle = await startInstance({ workers: 0 });
    const asking = await world.processes.start(['ask', 'Why?', '--wait'], { O3Q_URL: idle.url });
    const own = new O3Client({ url: idle.url });
    const id = await eventually(async () => {
      const [job] = (await own.list()).jobs;
      if (job === undefined) throw new Error('expected the job in the list, it is empty');
      return job.id;
    });
    asking.kill('SIGINT');
    const { code, stdout, stderr } = await asking.exited;
    expect({ code, stdout }).toEqual({ code: 130, stdout: '' });
    expect(stderr).toMatch(`the job ${id} still runs`);
    expect(stderr).toMatch(`o3q result ${id} --wait`);
    expect(stderr).toMatch(`o3q cancel ${id}`);
    expect(await own.get(id)).toMatchObject({ status: 'waiting' });
    await idle.stop();
  });
});

describe('o3q status', () => {
  it('shows a job in every status and exits with 0', async () => {
    const id = await finished({ sim: '400' });
    const { code, stdout } = await run(['status', id]);
    expect(code).toBe(0);
    expect(stdout).toMatch(`❌ failed  ${id}\n`);
    expect(stdout).toMatch(/question +Why\?/);
    expect(stdout).toMatch(/error +\S+/);
  });

  it("prints the API's JSON", async () => {
    const id = await finished();
    const { stdout } = await run(['status', id, '--json']);
    expect(JSON.parse(stdout)).toEqual(await world.client.get(id));
  });
});

describe('a part of an id', () => {
  it('is taken by every command that names a job', async () => {
    const id = await delayed();
    const end = id.slice(-12);
    expect((await run(['status', end])).stdout).toMatch(`⏳ delayed  ${id}\n`);
    expect((await run(['result', id.slice(0, 30)])).stderr).toMatch(`⏳ delayed  ${id}`);
    expect((await run(['cancel', end])).stdout).toBe(`🚫 ${id} is cancelled\n`);
    expect((await run(['watch', end])).stdout).toMatch(`🚫 cancelled  ${id}`);
    expect((await run(['retry', end])).stdout).toMatch(id);
    await world.client.wait(id);
    expect((await run(['delete', end, '--yes'])).stdout).toBe(`🗑️ ${id} is deleted\n`);
  });

  it('exits with 2 and lists the candidates when it fits several jobs', async () => {
    const ids = [await finished(), await finished()];
    const { code, stdout, stderr } = await run(['delete', 'job_', '--yes']);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(/^o3q: "job_" fits several jobs; write more of the id:\n {2}job_\w{32} {2}/);
    for (const id of ids) expect(await world.client.get(id)).toMatchObject({ status: 'completed' });
  });

  it('exits with 1 when there is no such job', async () => {
    expect(await run(['status', 'nonsense'])).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^o3q: There is no job nonsense: /),
    });
  });
});

describe('o3q result', () => {
  it('prints the answer unchanged', async () => {
    const id = await finished();
    const outcome = await world.client.result(id);
    const { code, stdout, stderr } = await run(['result', id]);
    const answer = outcome.status === 'completed' ? outcome.result.answer : 'it should have completed';
    expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: `${answer}\n`, stderr: '' });
  });

  it("prints the API's JSON", async () => {
    const id = await finished();
    const { stdout } = await run(['result', id, '--json']);
    expect(await world.client.result(id)).toEqual({ status: 'completed', result: JSON.parse(stdout) });
  });

  it('waits with --wait before or after the id', async () => {
    for (const args of [(id: string) => ['--wait', id], (id: string) => [id, '--wait', '20']]) {
      const id = await simulated({ sim_think_ms: '500' });
      expect(await run(['result', ...args(id)])).toMatchObject({
        code: 0,
        stdout: expect.stringMatching(/\S/),
      });
    }
  });

  it('exits with 3 and says that there is no answer yet', async () => {
    const id = await delayed();
    const { code, stdout, stderr } = await run(['result', id]);
    expect({ code, stdout }).toEqual({ code: 3, stdout: '' });
    expect(stderr).toMatch(`⏳ delayed  ${id}`);
    await world.client.cancel(id);
  });

  it('exits with 1 for a failed job, and prints the job with --json', async () => {
    const id = await finished({ sim: '400' });
    const { code, stdout } = await run(['result', id, '--json']);
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toEqual(await world.client.get(id));
  });

  it('says that an answer is incomplete', async () => {
    const limits = ['--max-output-tokens', '20', '--reasoning-effort', 'none'];
    const { code, stdout, stderr } = await run(['ask', 'Why?', ...limits, '--wait']);
    expect(code).toBe(0);
    expect(stdout).not.toBe('');
    expect(stderr).toMatch('The answer is incomplete');
  });
});

describe('o3q list', () => {
  it('prints a table, newest first', async () => {
    const ids = [await finished({ sim: '400' }), await finished()];
    const { code, stdout } = await run(['list', '--limit', '2']);
    expect(code).toBe(0);
    expect(stdout.split('\n').map((line) => line.split(/\s{2,}/).slice(0, 2))).toEqual([
      ['STATUS', 'ID'],
      ['✅ completed', ids[1]],
      ['❌ failed', ids[0]],
      [''],
    ]);
  });

  it('prints the JSON of the API, and continues at a cursor', async () => {
    for (let number = 0; number < 3; number += 1) await finished();
    const whole = JSON.parse((await run(['list', '--status', 'completed', '--limit', '3', '--json'])).stdout);
    const first = JSON.parse((await run(['list', '-s', 'completed', '-n', '2', '--json'])).stdout);
    const next = ['list', '-s', 'completed', '-n', '1', '--json', '--cursor', first.next_cursor];
    const second = JSON.parse((await run(next)).stdout);
    expect([...first.jobs, ...second.jobs]).toEqual(whole.jobs);
  });

  it('finds jobs by their question, over several pages', async () => {
    const word = `needle${Date.now()}`;
    const { id } = await world.client.enqueue({ question: `the ${word} in the stack` });
    for (let number = 0; number < 5; number += 1) await world.client.enqueue({ question: 'hay' });
    const { jobs } = JSON.parse((await run(['list', '--query', word, '--json'])).stdout);
    expect(jobs.map((job: { id: string }) => job.id)).toEqual([id]);
  });

  it('says that no jobs match', async () => {
    const { code, stdout, stderr } = await run(['list', '--query', 'no such question at all']);
    expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: '', stderr: 'No jobs match.\n' });
  });
});
