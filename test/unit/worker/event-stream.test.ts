import { Response } from 'undici';
import { createYieldWhenBusy, inWholeLines } from '../../../worker/upstream/event-stream.ts';

/** What comes out of pieces as they arrive, piece by piece. */
async function through(pieces: readonly Uint8Array[]): Promise<Buffer[]> {
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      for (const piece of pieces) controller.enqueue(piece);
      controller.close();
    },
  });
  const reply = inWholeLines(new Response(body, { status: 201, headers: { 'x-kept': 'yes' } }));
  expect([reply.status, reply.headers.get('x-kept')]).toEqual([201, 'yes']);
  const out: Buffer[] = [];
  for await (const piece of reply.body ?? []) out.push(Buffer.from(piece as Uint8Array));
  return out;
}

const events = Buffer.from('data: {"größe":"🚀"}\n\ndata: two\r\rdata: three\r\n\r\ndata: cut off');

describe('inWholeLines', () => {
  it.each([1, 2, 3, 7, 1000])(
    'passes every byte on in order when the body comes in pieces of %d',
    async (length) => {
      const pieces: Buffer[] = [];
      for (let i = 0; i < events.length; i += length) pieces.push(events.subarray(i, i + length));
      expect(Buffer.concat(await through(pieces)).equals(events)).toBe(true);
    },
  );

  it('passes an event of many pieces on in one when its line has ended', async () => {
    const pieces = ['data: ', ...Array.from({ length: 1000 }, () => 'x'.repeat(100)), '\n', '\n'];
    const out = await through(pieces.map((piece) => Buffer.from(piece)));
    expect(out.map(({ length }) => length)).toEqual([100_007, 1]);
  });

  it('does not hold up a small event for the beginning of the next one', async () => {
    const out = await through([Buffer.from('data: 1\n\nda'), Buffer.from('ta: 2\n\n')]);
    expect(out.map(String)).toEqual(['data: 1\n\nda', 'ta: 2\n\n']);
  });
});

describe('yieldWhenBusy', () => {
  it('lets a timer fire between readers that never wait', async () => {
    const yieldWhenBusy = createYieldWhenBusy(5);
    let rang = false;
    const timer = setTimeout(() => {
      rang = true;
    }, 1);
    let read = 0;
    const reader = async (): Promise<void> => {
      while (!rang && read < 5_000_000) {
        read += 1;
        await (yieldWhenBusy() ?? Promise.resolve());
      }
    };
    await Promise.all([reader(), reader(), reader()]);
    clearTimeout(timer);
    expect(rang).toBe(true);
  });

  it('does not pause a process that is not busy', () => {
    const yieldWhenBusy = createYieldWhenBusy(60_000);
    expect(yieldWhenBusy()).toBeUndefined();
  });
});
