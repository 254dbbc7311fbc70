import { Response } from 'undici';
import { inWholeLines } from '../../../worker/upstream/sse-line-buffer.ts';

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

it.each([1, 2, 3, 7, 1000])('every byte comes out in its order, cut into pieces of %d', async (length) => {
  const pieces: Buffer[] = [];
  for (let i = 0; i < events.length; i += length) pieces.push(events.subarray(i, i + length));
  expect(Buffer.concat(await through(pieces)).equals(events)).toBe(true);
});

it('an event of many pieces comes out in one, when its line has ended', async () => {
  const pieces = ['data: ', ...Array.from({ length: 1000 }, () => 'x'.repeat(100)), '\n', '\n'];
  const out = await through(pieces.map((piece) => Buffer.from(piece)));
  expect(out.map(({ length }) => length)).toEqual([100_007, 1]);
});

it('a small event is not held up by what follows it', async () => {
  const out = await through([Buffer.from('data: 1\n\nda'), Buffer.from('ta: 2\n\n')]);
  expect(out.map(String)).toEqual(['data: 1\n\nda', 'ta: 2\n\n']);
});
