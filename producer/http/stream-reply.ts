import { once } from 'node:events';
import type { Response } from 'express';
import type { ReplyStream } from './route.ts';

/**
 * The time between two keep-alives, in milliseconds. It is shorter than the minute after which many proxies
 * close a silent connection.
 */
const KEEP_ALIVE_MS = 15_000;
/**
 * How long a reader may take nothing of what is ready for it, in milliseconds. A stalled reader costs the
 * producer a connection and what it has not read: an answer, or the whole event log of a job.
 */
const STALLED_MS = 60_000;

/**
 * sendStream sends a stream as fast as its reader takes it, and resolves at its end. When the chunks fail, it
 * breaks the connection: a reader would take a stream that just ends for a complete one.
 */
export async function sendStream(
  { contentType, chunks, keepAlive }: ReplyStream,
  response: Response,
  keepAliveMs = KEEP_ALIVE_MS,
  stalledMs = STALLED_MS,
): Promise<void> {
  response.set({
    'content-type': contentType,
    'cache-control': 'no-store, no-transform',
    // Without this header nginx would buffer the stream.
    'x-accel-buffering': 'no',
  });
  response.flushHeaders();
  const beat = setInterval(() => {
    // A client that does not read gets no keep-alives, which would fill the buffer.
    if (!response.writableNeedDrain) response.write(keepAlive);
  }, keepAliveMs);
  const gone = new AbortController();
  response.once('close', () => gone.abort());
  try {
    for await (const chunk of chunks) {
      if (gone.signal.aborted) return;
      beat.refresh();
      if (!response.write(chunk)) {
        cutWhenStalled(response, stalledMs);
        await once(response, 'drain', { signal: gone.signal }).catch(() => {});
        response.socket?.setTimeout(0);
      }
    }
    response.end();
  } catch (error: unknown) {
    response.destroy();
    throw error;
  } finally {
    clearInterval(beat);
  }
}

/**
 * cutWhenStalled closes the connection when the reader takes nothing for some time. Call it while something
 * waits to be sent: the timeout of a socket starts anew whenever the system has taken a part of that. Node
 * closes a connection whose timeout has no listener, and ends the timeout itself after a whole answer.
 */
export function cutWhenStalled(response: Response, stalledMs = STALLED_MS): void {
  response.socket?.setTimeout(stalledMs);
}
