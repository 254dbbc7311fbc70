import { createBodyMemory } from '../../../producer/http/body-memory.ts';

const MB = 1024 ** 2;

function opened() {
  const memory = createBodyMemory(40 * MB);
  const got: string[] = [];
  const releases: (() => void)[] = [];
  const acquire = async (owner: string, megabytes: number, signal = new AbortController().signal) => {
    const room = await memory.acquire(owner, megabytes * MB, signal);
    if (room === undefined) return;
    got.push(`${owner} ${megabytes}`);
    releases.push(() => room.release());
  };
  return { got, releases, acquire };
}

describe('the memory for bodies', () => {
  it('is given up to its size, and one owner gets half of it', async () => {
    const { got, releases, acquire } = opened();
    await Promise.all([acquire('alice', 10), acquire('alice', 10)]);
    const third = acquire('alice', 1);
    await Promise.all([acquire('bob', 10), acquire('bob', 10)]);
    expect(got).toEqual(['alice 10', 'alice 10', 'bob 10', 'bob 10']);
    releases[0]?.();
    await third;
    expect(got.at(-1)).toBe('alice 1');
  });

  it('is given to a large body before smaller ones that came later', async () => {
    const { got, releases, acquire } = opened();
    await Promise.all([acquire('a', 15), acquire('b', 15), acquire('c', 5)]);
    const waiting = [acquire('d', 10), acquire('e', 5)];
    releases[2]?.();
    await Promise.all(waiting.slice(0, 1));
    expect(got.slice(3)).toEqual(['d 10']);
    releases[0]?.();
    await Promise.all(waiting);
    expect(got.at(-1)).toBe('e 5');
  });

  it('is not given to a body whose sender has gone', async () => {
    const { got, releases, acquire } = opened();
    await Promise.all([acquire('a', 20), acquire('b', 20)]);
    const gone = new AbortController();
    const waiting = [acquire('c', 1, gone.signal), acquire('d', 1)];
    gone.abort();
    releases[0]?.();
    await Promise.all(waiting);
    expect(got.slice(2)).toEqual(['d 1']);
  });
});
