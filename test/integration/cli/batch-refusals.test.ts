import { mkdir, readdir, readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { eventually } from '../../support/eventually.ts';
import { type O3qRun, o3q } from '../../support/process/o3q.ts';
import { openTcpProxy } from '../../support/redis/tcp-proxy.ts';
import { thinking, useBatchWorld } from '../../support/worlds/batch-world.ts';

const world = useBatchWorld();

describe('a batch enqueues nothing and refuses', () => {
  const refused = async (running: Promise<O3qRun>, words: RegExp): Promise<void> => {
    expect(await running).toMatchObject({ code: 1, stdout: '', stderr: expect.stringMatching(words) });
    expect(world.purchases()).toBe(0);
  };
  /** As an interruption right at the beginning leaves it. */
  async function begun(): Promise<void> {
    await world.writeLines([thinking('Later?', 60_000)]);
    const first = await world.start();
    await eventually(() => expect(first.stderr()).toMatch(/to ask/));
    first.kill('SIGKILL');
    await first.exited;
    for (const { id } of (await world.cli.client.list({ q: 'later?' })).jobs)
      await world.cli.client.cancel(id).catch(() => {});
    world.cli.instance.simulator.ledger.reset();
  }

  it('another input for an output that was started', async () => {
    await begun();
    await world.writeLines(['Something else?']);
    await refused(world.run(), /belongs to another input/);
  });

  it('another model, or another instance', async () => {
    await begun();
    await refused(world.run('--model', 'o3'), /started without --model/);
    const proxy = await openTcpProxy(world.cli.instance.url);
    const environment = { O3Q_URL: proxy.url };
    await refused(
      o3q(['batch', world.input, '--out', world.output], { environment }),
      /started at http\S+, which holds its jobs/,
    );
    await proxy.close();
  });

  it('an output that another process is writing', async () => {
    await world.writeLines([thinking('Later?', 60_000)]);
    const first = await world.start();
    await eventually(() => expect(first.stderr()).toMatch(/to ask/));
    expect(await world.run()).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/Another process \(pid \d+\)/),
    });
    first.kill('SIGINT');
    expect(await first.exited).toMatchObject({ code: 130 });
    for (const { id } of (await world.cli.client.list({ q: 'later?' })).jobs)
      await world.cli.client.cancel(id).catch(() => {});
  });

  it('an output that holds something else', async () => {
    await world.writeLines(['Why?']);
    await writeFile(world.output, '{"precious":"data"}\n');
    await refused(world.run(), /line 1 is something else: choose another --out/);
    expect(await readFile(world.output, 'utf8')).toBe('{"precious":"data"}\n');
  });

  it('a complete output of another world.input, or one that was shortened', async () => {
    await world.writeLines(['Why?', 'Why not?']);
    expect(await world.run()).toMatchObject({ code: 0 });
    world.cli.instance.simulator.ledger.reset();
    const whole = await readFile(world.output);
    await world.writeLines(['Why?', 'Why so?']);
    await refused(world.run(), /do not match/);
    await world.writeLines(['Why?', 'Why not?']);
    await truncate(world.output, whole.indexOf('\n') + 1);
    await refused(world.run(), /do not match/);
  });

  it('paths that are not files, before it begins', async () => {
    await refused(world.run(), /in\.jsonl cannot be read: ENOENT/);
    await world.writeLines(['Why?']);
    await mkdir(world.output);
    await refused(world.run(), /out\.jsonl was expected to be a file/);
    const nowhere = o3q(['batch', world.input, '--out', join(world.folder, 'no', 'out.jsonl')], {
      environment: { O3Q_URL: world.cli.instance.url },
    });
    await refused(nowhere, /cannot be written: ENOENT/);
    const inFolder = o3q(['batch', world.folder, '--out', join(world.folder, 'other')], {
      environment: { O3Q_URL: world.cli.instance.url },
    });
    await refused(inFolder, /was expected to be a file/);
  });

  it('an instance that does not answer, and leaves no files behind', async () => {
    await world.writeLines(['Why?']);
    const environment = { O3Q_URL: 'http://127.0.0.1:9' };
    await refused(o3q(['batch', world.input, '--out', world.output], { environment }), /No o3-queue answers/);
    expect(await readdir(world.folder)).toEqual(['in.jsonl']);
  });
});
