import { eventually } from '../../support/eventually.ts';
import { type O3qRun, o3q } from '../../support/process/o3q.ts';
import { useCliWorld } from '../../support/worlds/cli-world.ts';

const world = useCliWorld();

const run = (...args: string[]): Promise<O3qRun> =>
  o3q(args, { environment: { O3Q_URL: world.instance.url } });

/** Enqueues jobs that wait for an hour, with a pair of metadata. */
async function enqueueLater(count: number, batch: string): Promise<void> {
  const request = { question: 'Why so late?', delay_ms: 3_600_000, metadata: { batch } };
  for (let left = count; left > 0; left -= 1000) {
    await world.client.enqueueBulk(Array.from({ length: Math.min(1000, left) }, () => request));
  }
}

it('cancels, retries and deletes the jobs of a selection, and says how many', async () => {
  await enqueueLater(3, 'small');
  const selection = ['--metadata', 'batch=small'];
  expect((await run('cancel', ...selection, '--dry-run')).stdout).toMatch(
    /^Cancel (more than )?\d jobs, for which /,
  );
  expect(await run('cancel', ...selection)).toMatchObject({ code: 2, stdout: '' });
  expect(await run('cancel', ...selection, '--yes')).toMatchObject({
    code: 0,
    stdout: '🚫 3 jobs are cancelled\n',
  });
  expect(await run('cancel', ...selection, '--yes')).toMatchObject({ code: 0 });

  const retried = await run('retry', ...selection, '--status', 'cancelled', '--yes', '--json');
  expect(JSON.parse(retried.stdout)).toMatchObject({ kind: 'retry', status: 'done', done: 3, failed: {} });
  await eventually(async () => {
    const { jobs } = await world.client.list({ metadata: { batch: 'small' }, status: 'completed' });
    expect(jobs).toHaveLength(3);
  }, 20_000);
  expect(await run('delete', ...selection, '--status', 'completed', '--yes')).toMatchObject({
    code: 0,
    stdout: '🗑️ 3 jobs are deleted\n',
  });
  expect((await world.client.list({ metadata: { batch: 'small' } })).jobs).toEqual([]);
});

it('leaves the action running at Ctrl-C, and says how to watch and stop it', async () => {
  await enqueueLater(2000, 'large');
  const args = ['cancel', '--metadata', 'batch=large', '--yes'];
  const cancelling = await world.processes.start(args, { O3Q_URL: world.instance.url });
  await eventually(() => expect(cancelling.stderr()).toMatch(/has started/), 20_000);
  cancelling.kill('SIGINT');
  const { code, stdout, stderr } = await cancelling.exited;
  const [, id = ''] = /The action (\S+) has started/.exec(stderr) ?? [];
  // The action of two thousand jobs takes four seconds, unless this machine has stood still for so long.
  if (code === 130) {
    expect(stdout).toBe('');
    expect(stderr).toMatch(`The action ${id} goes on.`);
    expect(stderr).toMatch(`o3q actions ${id} --stop`);
  }
  const watched = await run('actions', id.slice(-8));
  expect(watched).toMatchObject({ code: 0, stdout: '🚫 2,000 jobs are cancelled\n' });
  expect((await run('actions')).stdout).toMatch(new RegExp(`done +${id} +cancel .* 2,000 `));
});
