import { eventually } from '../../support/eventually.ts';
import { type O3qRun, o3q } from '../../support/process/o3q.ts';
import { useCliWorld } from '../../support/worlds/cli-world.ts';

const world = useCliWorld();

const run = (args: readonly string[]): Promise<O3qRun> =>
  o3q(args, { environment: { O3Q_URL: world.instance.url } });

async function finished(): Promise<string> {
  const { id } = await world.client.enqueue({ question: 'Why?' });
  await world.client.wait(id);
  return id;
}
async function delayed(): Promise<string> {
  return (await world.client.enqueue({ question: 'Why so late?', delay_ms: 3_600_000 })).id;
}

describe('o3q delete', () => {
  it('deletes each job once with --yes, and names those that it could not delete', async () => {
    const [first, second, unfinished] = [await finished(), await finished(), await delayed()];
    const { code, stdout, stderr } = await run(['delete', first, unfinished, second, first, '--yes']);
    expect({ code, stdout }).toEqual({
      code: 1,
      stdout: `🗑️ ${first} is deleted\n🗑️ ${second} is deleted\n`,
    });
    expect(stderr).toMatch(new RegExp(`^o3q: .*${unfinished}.*\n$`));
    await expect(world.client.get(first)).rejects.toMatchObject({ code: 'job_not_found' });
    expect(await world.client.get(unfinished)).toMatchObject({ status: 'delayed' });
  });

  it('deletes nothing without --yes where there is no terminal to ask on', async () => {
    const id = await finished();
    expect(await run(['delete', id])).toMatchObject({
      code: 2,
      stdout: '',
      stderr: expect.stringContaining('--yes'),
    });
    expect(await world.client.get(id)).toMatchObject({ status: 'completed' });
  });
});

describe('o3q cancel and o3q retry', () => {
  it('stop a job and run it again', async () => {
    const id = await delayed();
    expect(await run(['cancel', id])).toMatchObject({ code: 0, stdout: `🚫 ${id} is cancelled\n` });
    expect(await world.client.get(id)).toMatchObject({ status: 'cancelled' });
    const retried = await run(['retry', id]);
    expect(retried).toMatchObject({ code: 0, stderr: '' });
    expect(await world.client.wait(id)).toMatchObject({ status: 'completed' });
  });

  it('stop an active job', async () => {
    const metadata = { sim_think_ms: '60000' };
    const { id } = await world.client.enqueue({ question: 'Why?', metadata });
    await eventually(async () => expect(await world.client.get(id)).toMatchObject({ status: 'active' }));
    const { code, stdout } = await run(['cancel', id, '--json']);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ id });
    expect(await world.client.wait(id)).toMatchObject({ status: 'cancelled' });
  });

  it.each(['cancel', 'retry'])(
    'exit with 1 when they are refused: %s of a completed job',
    async (command) => {
      const id = await finished();
      const { code, stdout, stderr } = await run([command, id]);
      expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
      expect(stderr).toMatch(new RegExp(`^o3q: .*${id}`));
    },
  );
});
