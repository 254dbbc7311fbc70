import type { Usage } from '../src/job.ts';
import type { RunRecord, RunRecordWriter } from '../src/queue/run-record.ts';
import { usageOf } from '../src/response.ts';
import type { ActiveAttempt } from './active-attempt.ts';
import type { RunningResponse } from './running-response.ts';
import type { Upstream } from './upstream.ts';

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
      // Whatever it was when it was last seen: only the upstream has its output.
      response: { id: record.upstreamId, status: 'queued' },
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
  upstream: Upstream;
  record: RunRecordWriter;
  active: ActiveAttempt;
}

/** The one place where money is spent. The response's id is written down as soon as it is known. */
export async function buy({ body, stream, upstream, record, active }: BuyOptions): Promise<Purchase> {
  active.beforeBuying();
  const running = await upstream.create(body, { stream, signal: active.signal });
  const purchase = { running, cursor: undefined, outputCharacters: 0, createdAt: Date.now() };
  try {
    if (await writePurchase(purchase, record)) active.interrupt('cancelled');
  } catch (error: unknown) {
    // Nobody else knows its id, so that nobody could ever adopt it.
    await running.events?.return(undefined);
    await stopSpending(purchase, upstream);
    throw error;
  }
  return purchase;
}

/** @returns whether somebody has asked to cancel meanwhile. */
async function writePurchase({ running, createdAt }: Purchase, record: RunRecordWriter): Promise<boolean> {
  const { response, background, streamed } = running;
  const { cancelRequested } = await record.save({
    upstreamId: response.id,
    upstreamStatus: response.status ?? 'in_progress',
    background,
    streamed,
    createdAt,
    // What an earlier attempt left behind.
    cursor: undefined,
    outputCharacters: undefined,
    error: undefined,
  });
  return cancelRequested;
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
