import type { Usage } from '../src/job.ts';
import type { RunRecord, RunRecordWriter } from '../src/queue/run-record.ts';
import { usageOf } from '../src/response.ts';
import type { ActiveAttempt } from './active-attempt.ts';
import type { RunningResponse, Upstream } from './upstream.ts';

/** A response that is paid for, and where its follower stands. */
export interface Purchase {
  running: RunningResponse;
  cursor: number | undefined;
  outputCharacters: number;
  /** In milliseconds. */
  createdAt: number;
}

/** What an earlier worker bought. Only a background response outlives its worker: a foreground one went down with its connection. */
export function purchaseToAdopt(record: RunRecord): Purchase | undefined {
  if (record.upstreamId === undefined || !record.background) return undefined;
  return {
    running: {
      response: { id: record.upstreamId, status: record.upstreamStatus ?? 'queued' },
      background: true,
      streamed: record.streamed,
    },
    cursor: record.cursor,
    outputCharacters: record.outputCharacters,
    createdAt: record.createdAt ?? Date.now(),
  };
}

export interface BuyOptions {
  body: Record<string, unknown>;
  stream: boolean;
  /** The longest that the attempt may take, in milliseconds. */
  timeoutMs: number;
  upstream: Upstream;
  record: RunRecordWriter;
  active: ActiveAttempt;
}

/** The one place where money is spent. The response's id is written down as soon as it is known. */
export async function buy({
  body,
  stream,
  timeoutMs,
  upstream,
  record,
  active,
}: BuyOptions): Promise<Purchase> {
  active.beforeBuying();
  const running = await upstream.create(body, { stream, timeoutMs, signal: active.signal });
  const { response, background, streamed } = running;
  const createdAt = Date.now();
  const { cancelRequested } = await record.save({
    ...{
      upstreamId: response.id,
      upstreamStatus: response.status ?? 'in_progress',
      background,
      streamed,
      createdAt,
    },
    // What an earlier attempt left behind.
    ...{ cursor: undefined, outputCharacters: undefined, error: undefined },
  });
  if (cancelRequested) active.interrupt('cancelled');
  return { running, cursor: undefined, outputCharacters: 0, createdAt };
}

/** Tells the upstream to stop. A foreground response ends with its connection, which the signal has closed. */
export async function stopSpending(
  purchase: Purchase | undefined,
  upstream: Upstream,
): Promise<Usage | null> {
  if (purchase === undefined || !purchase.running.background) return null;
  const response = await upstream.cancel(purchase.running.response.id);
  return response === null ? null : usageOf(response);
}
