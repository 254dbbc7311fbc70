import { O3Client } from '../../../src/client/o3-client.ts';
import { eventually } from '../../support/eventually.ts';
import { startTestRedis } from '../../support/redis/redis-server.ts';
import { useCliWorld } from '../../support/worlds/cli-world.ts';
import { startInstance } from '../../support/worlds/instance.ts';

const world = useCliWorld();

const watch = (...args: string[]) =>
  world.processes.start(['watch', ...args], { O3Q_URL: world.instance.url });
const thinking = (ms: number) => ({ request: { input: 'Why?', metadata: { sim_think_ms: String(ms) } } });

describe('o3q watch ID', () => {
  it('prints a line for each change in a pipe, and ends when the job ends', async () => {
    const { id } = await world.client.enqueue(thinking(2500));
    const { code, stdout, stderr } = await (await watch(id)).exited;
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const lines = stdout.trimEnd().split('\n');
    expect(lines.at(-1)).toMatch(
      new RegExp(`^\\d{4}-\\S+Z  ✅ completed  ${id}  o3  attempt 1/\\d+  .* - Why\\?$`),
    );
    expect(lines.length).toBeLessThanOrEqual(3);
    expect(lines[0]).toMatch(/🔄 active|⏳ waiting/);
  });

  it('exits with 1 when the job failed, and prints JSON Lines with --json', async () => {
    const { id } = await world.client.enqueue({ request: { input: 'Why?', metadata: { sim: '400' } } });
    await world.client.wait(id);
    const { code, stdout } = await (await watch(id, '--json')).exited;
    expect(code).toBe(1);
    expect(
      stdout
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line)),
    ).toEqual([await world.client.get(id)]);
  });

  it('says at Ctrl-C that the job still runs', async () => {
    const { id } = await world.client.enqueue(thinking(60_000));
    const watching = await watch(id);
    await watching.says(/active/);
    watching.kill('SIGINT');
    const { code, stderr } = await watching.exited;
    expect(code).toBe(130);
    expect(stderr).toMatch(`the job ${id} still runs`);
    await world.client.cancel(id);
  });

  it('exits with 1 for a job that does not exist', async () => {
    const { code, stderr } = await (await watch('no-such-job')).exited;
    expect(code).toBe(1);
    expect(stderr).toMatch(/^o3q: .*no-such-job/);
  });
});

describe('o3q watch', () => {
  it('prints the changes of all jobs until Ctrl-C, and then exits with 0', async () => {
    const before = await world.client.enqueue({ question: 'history' });
    await world.client.wait(before.id);
    const running = await world.client.enqueue(thinking(60_000));
    const watching = await watch();
    await watching.says(new RegExp(`active  ${running.id}`));
    const { id } = await world.client.enqueue({ question: 'one\nmore' });
    await watching.says(new RegExp(`completed  ${id} .* - one more`));
    await world.client.cancel(running.id);
    await watching.says(new RegExp(`🚫 cancelled  ${running.id}`));
    watching.kill('SIGINT');
    const { code, stdout, stderr } = await watching.exited;
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).not.toMatch(before.id);
  });

  it('continues after the producer was restarted, and says so once', async () => {
    const redis = await startTestRedis();
    const startProducer = async (port: string) => {
      const producer = await world.processes.start(['producer'], { REDIS_URL: redis.url, PORT: port });
      return { producer, url: await producer.says(/ready on (\S+)/) };
    };
    try {
      const { producer, url } = await startProducer('0');
      const client = new O3Client({ url, readPatienceMs: 20_000 });
      const watching = await world.processes.start(['watch'], { O3Q_URL: url });
      const { id } = await client.enqueue({ question: 'before' });
      await watching.says(new RegExp(`waiting  ${id}`));
      producer.kill('SIGTERM');
      await producer.exited;
      await eventually(() => expect(watching.stderr()).toMatch(/; trying again\n/), 15_000);
      await startProducer(new URL(url).port);
      await client.list();
      const next = await client.enqueue({ question: 'after' });
      await watching.says(new RegExp(`waiting  ${next.id}`));
      expect(watching.stderr().match(/trying again/g)).toHaveLength(1);
    } finally {
      await world.processes.end();
      await redis.stop();
    }
  });

  it('continues after Redis was unavailable, and says so once', async () => {
    const redis = await startTestRedis({ appendOnly: true });
    const own = await startInstance({ redis, workers: 0 });
    try {
      const ownClient = new O3Client({ url: own.url, readPatienceMs: 20_000 });
      const first = await ownClient.enqueue({ question: 'before' });
      const watching = await world.processes.start(['watch'], { O3Q_URL: own.url });
      await watching.says(new RegExp(`waiting  ${first.id}`));
      await redis.kill('SIGKILL');
      await eventually(() => expect(watching.stderr()).toMatch(/; trying again\n/), 15_000);
      await redis.restart();
      await ownClient.list();
      const second = await ownClient.enqueue({ question: 'after' });
      await watching.says(new RegExp(`waiting  ${second.id}`));
      watching.kill('SIGINT');
      const { code, stderr } = await watching.exited;
      expect(code).toBe(0);
      expect(stderr.match(/trying again/g)).toHaveLength(1);
    } finally {
      await own.stop();
      await redis.stop();
    }
  });
});
