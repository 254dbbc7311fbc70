import { randomUUID } from 'node:crypto';
import type { UpstreamResponse } from '../../src/responses/response.ts';
import type { RunRecord } from '../../src/run/record.ts';
import { LockLostError, type RunRecordWriter, type Stored } from '../../src/run/writer.ts';
import { PostponedError } from '../reservation/postponed-error.ts';
import { reportOf } from '../reservation/quota-report.ts';
import type { Reservation } from '../reservation/reservation.ts';
import type { Upstream } from '../upstream/client.ts';
import type { LostResponses } from '../upstream/lost-responses.ts';
import { withPurchaseToken } from '../upstream/purchase-token.ts';
import { PurchaseUncertainError } from '../upstream/purchase-uncertain-error.ts';
import type { RunningResponse } from '../upstream/running-response.ts';
import { type ActiveAttempt, Interruption } from './active-attempt.ts';

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
  grant: Reservation;
  /** undefined: the upstream sends no webhooks, so that none could find a response by its token. */
  orphans: LostResponses | undefined;
  onPurchase: (what: PurchaseEvent) => void;
}

/** `adopted`: another attempt has bought it. `uncertain`: a create that nobody will ever know the end of. */
export type PurchaseEvent = 'bought' | 'adopted' | 'uncertain';

/**
 * The one place where money is spent: mark, create, bring the id home. What a crash leaves: before the mark, nothing; between mark and id, a
 * mark without an id, which the next worker calls uncertain; after it, a response that the next worker adopts.
 *
 * @returns what was bought now, or by an earlier create whose id came home late.
 * @throws {PurchaseUncertainError} when nobody knows whether the upstream took the create.
 */
export async function buy(options: BuyOptions): Promise<Purchase> {
  const { active, upstream } = options;
  const giveBack = await upstream.slots.take(active.leaving);
  try {
    active.beforeBuying();
    return await buyInTurn(options);
  } finally {
    giveBack?.();
  }
}

async function buyInTurn(options: BuyOptions): Promise<Purchase> {
  const { record, body, orphans, grant, onPurchase } = options;
  grant.check();
  const token = randomUUID();
  const [submitted] = await Promise.all([record.submit(token), grant.sent()]);
  if (submitted.kind === 'unwanted') throw new Interruption('cancelled');
  const earlier = submitted.kind === 'bought' ? purchaseToAdopt(submitted.record) : undefined;
  if (earlier !== undefined) {
    onPurchase('adopted');
    return earlier;
  }
  if (submitted.kind === 'ok' && submitted.replaced) onPurchase('uncertain');
  const marked = orphans === undefined ? body : withPurchaseToken(body, token);
  const running = await create({ ...options, body: marked });
  const purchase = { running, cursor: undefined, outputCharacters: 0, createdAt: Date.now() };
  await bringHome(purchase, token, options);
  return purchase;
}

/** A refusal in the upstream's own words means that nothing was made, so that the mark goes; one without an end stays. */
async function create({
  body,
  stream,
  upstream,
  record,
  active,
  grant,
}: BuyOptions): Promise<RunningResponse> {
  try {
    // The mark took a round trip, in which somebody may have cancelled.
    active.beforeBuying();
    const running = await upstream.create(body, { stream, signal: active.signal });
    grant.accepted(running.told);
    return running;
  } catch (error: unknown) {
    if (error instanceof PurchaseUncertainError) {
      // Where we have hung up ourselves, that tells nothing of the upstream.
      if (!active.signal.aborted) await grant.report({ what: 'failed' });
      throw error;
    }
    const everybodyWaits = await grant.refused(reportOf(error));
    await record.save({ submitting: undefined });
    throw everybodyWaits ? new PostponedError({ cause: error }) : error;
  }
}

async function bringHome(
  purchase: Purchase,
  token: string,
  { upstream, record, active, onPurchase }: BuyOptions,
): Promise<void> {
  try {
    const stored = await storePurchase(purchase, token, record).finally(() => onPurchase('bought'));
    if (stored === 'unwanted') active.interrupt('cancelled');
    if (stored === 'superseded') throw new Interruption('lock lost');
  } catch (error: unknown) {
    await purchase.running.events?.return(undefined);
    // Where the lock was lost, the successor knows the id and adopts it. Otherwise nobody does, and nobody ever could.
    if (!(error instanceof LockLostError)) await stopSpending(purchase, upstream);
    throw error;
  }
}

export function storePurchase(
  { running, createdAt }: Purchase,
  token: string,
  record: RunRecordWriter,
): Promise<Stored> {
  return record.storePurchase(token, { ...identityOf(running), createdAt });
}

/** What the record must know of a response so that another worker can adopt it. */
export function identityOf({ response, background, streamed }: RunningResponse) {
  return {
    upstreamId: response.id,
    upstreamStatus: response.status ?? 'in_progress',
    background,
    streamed,
  };
}

/** Tells the upstream to stop. @returns the response as it ends; null: it says nothing of it. A foreground response ends with its connection, which the signal has closed. */
export async function stopSpending(
  purchase: Purchase | undefined,
  upstream: Upstream,
): Promise<UpstreamResponse | null> {
  if (purchase === undefined || !purchase.running.background) return null;
  return upstream.cancel(purchase.running.response.id);
}
