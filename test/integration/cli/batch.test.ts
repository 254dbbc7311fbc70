import { spawn } from 'node:child_process';
import { appendFile, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { eventually } from '../../support/eventually.ts';
import { openTcpProxy } from '../../support/redis/tcp-proxy.ts';
import { PROCESS_LIMIT_MS, thinking, useBatchWorld } from '../../support/worlds/batch-world.ts';

const world = useBatchWorld();

const PROGRAM = join(__dirname, '../../../dist/cli/main.js');
const openAi = (customId: string, body: unknown, url = '/v1/responses') => ({
  custom_id: customId,
  method: 'POST',
  url,
  body,
});

it('a batch answers each line in the format of the line, and says what is wrong with invalid lines', async () => {
  const lines = [
    '\ufeff"Why is the sky blue?"',
    '',
    JSON.stringify({ question: 'And at night?', custom_id: 'night', metadata: { owner: 'anna' } }),
    JSON.stringify({ request: { input: 'On Mars?' } }),
    JSON.stringify(openAi('venus', { model: 'o3', input: 'On Venus?' })),
    JSON.stringify(openAi('chat', { model: 'o3', messages: [] }, '/v1/chat/completions')),
    JSON.stringify(openAi('model', { model: 'gpt-9', input: 'Who?' })),
    JSON.stringify(openAi('refused', { model: 'o3', input: 'No?', metadata: { sim: '400' } })),
    'nonsense',
    '   ',
    `"${'x'.repeat(53_000_000)}"`,
    '"The last, without an end of its line?"',
  ];
  await writeFile(world.input, lines.join('\r\n'));
  const { code, stdout, stderr } = await world.run();
  expect({ code, stdout }).toEqual({
    code: 1,
    stdout: expect.stringMatching(/^Done in .*: 10 lines, 5 without an answer in \S+out\.jsonl\n$/),
  });
  expect(stderr).toMatch(/^10 lines to ask/);
  const written = await world.answers();
  const ours = (line: number) => written.find((answer) => answer.line === line);
  const openAis = (id: string) => written.find((answer) => answer.custom_id === id);
  expect(written).toHaveLength(10);
  expect(ours(1)).toMatchObject({
    id: expect.stringMatching(/^job_/),
    status: 'completed',
    answer: expect.stringContaining('Why is the sky blue?'),
    usage: { total_tokens: expect.any(Number) },
    error: null,
  });
  expect(ours(3)).toMatchObject({ custom_id: 'night', metadata: { owner: 'anna' }, status: 'completed' });
  expect(ours(4)).toMatchObject({ answer: expect.stringContaining('On Mars?') });
  expect(openAis('venus')).toMatchObject({
    id: expect.stringMatching(/^batch_req_/),
    response: { status_code: 200, request_id: expect.stringMatching(/^job_/), body: { object: 'response' } },
    error: null,
  });
  expect(JSON.stringify(openAis('venus'))).toContain('On Venus?');
  expect(openAis('chat')).toMatchObject({ response: null, error: { code: 'unsupported_url' } });
  expect(openAis('model')).toMatchObject({ response: null, error: { code: 'unknown_model' } });
  expect(openAis('refused')).toMatchObject({ response: null, error: { code: 'invalid_request' } });
  expect(ours(9)).toMatchObject({ id: null, status: 'refused', error: { code: 'malformed_json' } });
  expect(ours(11)).toMatchObject({ status: 'refused', error: { code: 'line_too_long' } });
  expect(ours(12)).toMatchObject({ status: 'completed' });
  expect(world.purchases()).toBe(5);
  expect(await readdir(world.folder)).toEqual(['in.jsonl', 'out.jsonl']);
});

it('a batch that is complete is not run again', async () => {
  await world.writeLines(['Once?', 'Only once?']);
  expect(await world.run('--json')).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/"answered": 2,/),
  });
  const before = await readFile(world.output, 'utf8');
  expect(await world.run()).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/^Nothing to do: .* is complete, with 2 lines/),
  });
  expect(await readFile(world.output, 'utf8')).toBe(before);
  expect(world.purchases()).toBe(2);
});

it(
  'a batch that is killed and interrupted continues: each line is enqueued once and answered once',
  async () => {
    const lines = Array.from({ length: 300 }, (_, i) =>
      openAi(`line-${i}`, { model: 'o3', input: `Number ${i}?` }),
    );
    await world.writeLines(lines);
    const first = await world.start(world.cli.instance.url, '--concurrency', '20');
    await world.hasAnswers(60);
    first.kill('SIGKILL');
    await first.exited;
    // As if it had been in the middle of a line; and in the middle of its record.
    await appendFile(world.output, '{"id":"batch_req_0123');
    await appendFile(`${world.output}.o3q`, '{"jobs":[[29');

    const second = await world.start(world.cli.instance.url, '--concurrency', '20');
    await world.hasAnswers(160);
    second.kill('SIGINT');
    const interrupted = await second.exited;
    expect(interrupted.code).toBe(130);
    expect(interrupted.stderr).toMatch(/^Continuing: \d+ of 300 lines done( \(\d+ failed\))?\n/);
    expect(interrupted.stderr).toMatch(
      /Stopped: \d+ of 300 lines done.*\. Jobs that are already enqueued still run\./,
    );
    expect(interrupted.stderr).toContain(`o3q batch ${world.input} --out ${world.output}`);

    expect(await world.run()).toMatchObject({ code: 0 });
    const written = await world.answers();
    expect(written.map(({ custom_id }) => custom_id).toSorted()).toEqual(
      lines.map(({ custom_id }) => custom_id).toSorted(),
    );
    for (const line of written) {
      const question = `Number ${String(line.custom_id).slice(5)}?`;
      expect(line).toMatchObject({ error: null });
      expect(JSON.stringify(line.response)).toContain(question);
    }
    expect(world.purchases()).toBe(300);
    expect(await readdir(world.folder)).toEqual(['in.jsonl', 'out.jsonl']);
  },
  PROCESS_LIMIT_MS,
);

it('a job that the instance no longer has is reported, and is not enqueued again', async () => {
  await world.writeLines([thinking('Quick?', 1), thinking('Slow?', 2500)]);
  const first = await world.start();
  await world.hasAnswers(1);
  first.kill('SIGINT');
  await first.exited;
  const slow = world.cli.instance.simulator.ledger.entries().find(({ question }) => question === 'Slow?');
  expect(slow).toMatchObject({ state: expect.stringMatching(/queued|in_progress/) });
  const [job] = (await world.cli.client.list({ q: 'slow?' })).jobs;
  if (job === undefined) throw new Error('expected the job of the second line');
  await world.cli.client.wait(job.id);
  await world.cli.client.delete(job.id);
  expect(await world.run()).toMatchObject({ code: 1 });
  const error = { code: 'job_not_found', message: expect.stringMatching(/no longer has job/) };
  expect(await world.answers()).toMatchObject([
    { line: 1, status: 'completed' },
    { line: 2, status: 'gone', id: job.id, error },
  ]);
  expect(world.purchases()).toBe(2);
});

it(
  'broken connections and an unavailable Redis cost a batch nothing but time',
  async () => {
    const proxy = await openTcpProxy(world.cli.instance.url);
    await world.writeLines(Array.from({ length: 200 }, (_, i) => `Through trouble ${i}?`));
    const batch = await world.start(proxy.url, '--concurrency', '20');
    await world.hasAnswers(20);
    proxy.reset();
    await world.hasAnswers(60);
    proxy.reset();
    await world.hasAnswers(100);
    await world.cli.instance.redis.kill('SIGSTOP');
    // The batch has noticed the outage.
    await eventually(() => expect(batch.stderr()).toMatch(/trying again/), 20_000);
    await world.cli.instance.redis.kill('SIGCONT');
    const { code, stderr } = await batch.exited;
    await proxy.close();
    expect({ code, stderr }).toMatchObject({ code: 0, stderr: expect.stringMatching(/answers again/) });
    expect(new Set((await world.answers()).map(({ line }) => line)).size).toBe(200);
    expect(await world.answers()).toHaveLength(200);
    expect(world.purchases()).toBe(200);
  },
  PROCESS_LIMIT_MS,
);

it('an output that cannot grow ends the batch with the reason, and the batch can continue later', async () => {
  await world.writeLines(
    Array.from({ length: 100 }, (_, i) => openAi(`${i}`, { model: 'o3', input: `Room for ${i}?` })),
  );
  // Blocks of 512 bytes: what is beside the output stays below it.
  const batch = `'${process.execPath}' '${PROGRAM}' batch '${world.input}' --out '${world.output}'`;
  const command = `ulimit -f 64 && exec ${batch}`;
  const child = spawn('sh', ['-c', command], {
    env: { PATH: process.env['PATH'], O3Q_URL: world.cli.instance.url },
  });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  const code = await new Promise((resolve) => child.once('close', resolve));
  expect({ code, said }).toMatchObject({
    code: 1,
    said: expect.stringMatching(/out\.jsonl cannot be written: EFBIG/),
  });
  expect(said).toMatch(/continues where it stopped/);
  expect(await world.run()).toMatchObject({ code: 0 });
  expect(await world.answers()).toHaveLength(100);
  expect(world.purchases()).toBe(100);
});
