import { type Stoppable, shutDown } from '../../../src/process/shutdown.ts';

const never = (): Promise<never> => new Promise(() => {});
const calm = new AbortController().signal;

/** A part that writes down what it is told. */
function part(name: string, diary: string[], phases: Partial<Stoppable> = {}): Stoppable {
  return {
    name,
    quiet: () => void diary.push(`${name} quiet`),
    drain: async () => void diary.push(`${name} drain`),
    release: () => void diary.push(`${name} release`),
    close: async () => void diary.push(`${name} close`),
    ...phases,
  };
}

it('shutDown takes all parts through the phases together, and closes them in order', async () => {
  const diary: string[] = [];
  expect(
    await shutDown([part('producer', diary), part('redis', diary)], { deadlineMs: 60_000, hurry: calm }),
  ).toBe(true);
  expect(diary).toEqual([
    'producer quiet',
    'redis quiet',
    'producer drain',
    'redis drain',
    'producer release',
    'redis release',
    'producer close',
    'redis close',
  ]);
});

it('shutDown waits for all draining parts before it releases any part', async () => {
  const diary: string[] = [];
  const slow = part('slow', diary, {
    drain: async () => {
      await new Promise(setImmediate);
      diary.push('drained');
    },
  });
  await shutDown([slow], { deadlineMs: 60_000, hurry: calm });
  expect(diary).toEqual(['slow quiet', 'drained', 'slow release', 'slow close']);
});

it('shutDown skips the phases that a part does not have', async () => {
  const diary: string[] = [];
  const plain: Stoppable = { name: 'plain', close: async () => void diary.push('closed') };
  expect(await shutDown([plain], { deadlineMs: 60_000, hurry: calm })).toBe(true);
  expect(diary).toEqual(['closed']);
});

it('shutDown releases and closes the remaining parts when the time for draining is up', async () => {
  const diary: string[] = [];
  expect(await shutDown([part('stuck', diary, { drain: never })], { deadlineMs: 100, hurry: calm })).toBe(
    true,
  );
  expect(diary).toEqual(['stuck quiet', 'stuck release', 'stuck close']);
});

it('shutDown stops draining at a second signal', async () => {
  const diary: string[] = [];
  const hurry = new AbortController();
  const stuck = part('stuck', diary, {
    drain: () => {
      hurry.abort();
      return never();
    },
  });
  expect(await shutDown([stuck], { deadlineMs: 600_000, hurry: hurry.signal })).toBe(true);
  expect(diary).toEqual(['stuck quiet', 'stuck release', 'stuck close']);
});

it('shutDown does not drain when the second signal came before', async () => {
  const diary: string[] = [];
  await shutDown([part('stuck', diary, { drain: never })], {
    deadlineMs: 600_000,
    hurry: AbortSignal.abort(),
  });
  expect(diary).toEqual(['stuck quiet', 'stuck release', 'stuck close']);
});

it('shutDown abandons a part that has not closed at the deadline, and says so', async () => {
  const diary: string[] = [];
  const parts = [part('stuck', diary, { close: never }), part('redis', diary)];
  expect(await shutDown(parts, { deadlineMs: 100, hurry: calm })).toBe(false);
  expect(diary).not.toContain('redis close');
});

it.each(['quiet', 'drain', 'release', 'close'] as const)(
  'a part that fails to %s keeps no other from it',
  async (phase) => {
    const diary: string[] = [];
    const broken = part('broken', diary, {
      [phase]: () => {
        throw new Error('broken');
      },
    });
    expect(await shutDown([broken, part('redis', diary)], { deadlineMs: 60_000, hurry: calm })).toBe(true);
    expect(diary.filter((line) => line.startsWith('redis'))).toEqual([
      'redis quiet',
      'redis drain',
      'redis release',
      'redis close',
    ]);
  },
);
