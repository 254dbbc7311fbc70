import { once } from 'node:events';
import type { Response } from 'express';
import type { ReplyStream } from './route.ts';

/** Shorter than the minute after which many proxies cut a silent connection. */
const KEEP_ALIVE_MS = 15_000;

/** Sends a stream as fast as its reader takes it, and ends with it. */
export async function sendStream(
  { contentType, chunks, keepAlive }: ReplyStream,
  response: Response,
): Promise<void> {
  response.set({
    'content-type': contentType,
    'cache-control': 'no-store, no-transform',
    // nginx would collect it.
    'x-accel-buffering': 'no',
  });
  response.flushHeaders();
  const beat = setInterval(() => {
    // Whoever does not read gets no more of them.
    if (!response.writableNeedDrain) response.write(keepAlive);
  }, KEEP_ALIVE_MS);
  const gone = new AbortController();
  response.once('close', () => gone.abort());
  try {
    for await (const chunk of chunks) {
      if (gone.signal.aborted) return;
      beat.refresh();
      if (!response.write(chunk)) {
        await once(response, 'drain', { signal: gone.signal }).catch(() => {});
      }
    }
  } finally {
    clearInterval(beat);
    response.end();
  }
}
