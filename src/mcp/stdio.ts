import type { Readable, Writable } from 'node:stream';
import { StdioServerTransport, serveStdio } from '@modelcontextprotocol/server/stdio';
import type { JobQueue } from '../job/job-queue.ts';
import { createMcpServer } from './server.ts';

/** StdioOptions say for whom the tools are served, and on which queue. */
export interface StdioOptions {
  queue: JobQueue;
  /** What the client writes: one JSON message a line. */
  input: Readable;
  /** What the client reads. Nothing else may be written there. */
  output: Writable;
  /** Ends the connection. */
  stop: AbortSignal;
  /** Is told the errors that no caller can mend, and messages that are no JSON-RPC. */
  onError: (error: unknown) => void;
}

/**
 * serveMcpStdio serves one client over two streams, until its input ends or `stop` aborts. Calls that wait at
 * that time are given up unanswered, because their client has gone. Their jobs go on.
 */
export async function serveMcpStdio({ queue, input, output, stop, onError }: StdioOptions): Promise<void> {
  const ended = new Promise<void>((resolve) => {
    input.once('end', resolve).once('close', resolve);
    if (stop.aborted) resolve();
    stop.addEventListener('abort', () => resolve(), { once: true });
  });
  const connection = serveStdio(({ era }) => createMcpServer({ queue, era, onUnexpected: onError }), {
    transport: new StdioServerTransport(input, output),
    onerror: onError,
  });
  await ended;
  await connection.close();
}
