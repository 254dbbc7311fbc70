import type { Usage } from '../../src/job/view.ts';
import type { AdvertisedLimits, QuotaReport } from '../../src/quota/quota.ts';

/**
 * PostponedError sends a job back to the fair queue, uncharged. Either nothing may be sent right now, for a
 * reason that the job did not cause, or the lease of the job's reservation has ended.
 */
export class PostponedError extends Error {
  override readonly name = 'PostponedError';
  constructor(options?: ErrorOptions) {
    super('Nothing may be sent right now', options);
  }
}

/** Reservation is what one job has reserved of the quotas. A dispatcher made it before the job started. */
export interface Reservation {
  /**
   * Takes the reservation over from the dispatcher, or from an earlier attempt, and renews its lease.
   * @param running whether the response already runs: then the job can continue without a reservation.
   * @throws {PostponedError} when the lease has ended.
   */
  renew(upstreamModel: string, running: boolean): Promise<void>;
  /**
   * Records that the response runs within a completion window. Call it before `renew`: a response whose lease
   * has ended then gets a place among those.
   * @param ageMs the age of the response, in milliseconds; undefined: it is not bought yet.
   */
  enterWindow(window: string, ageMs: number | undefined): void;
  /** Records that the upstream has refused a completion window, so that all dispatchers choose none. */
  windowRefused(upstreamModel: string): Promise<void>;
  /** Whether the upstream model is not paused, as far as this worker has heard. */
  isOpen(upstreamModel: string): boolean;
  /**
   * Takes the reservation over and records that a create request is about to be sent, in one step.
   * @throws {PostponedError} when the lease has ended, or when an earlier attempt has sent a create request
   * with the reservation.
   */
  takeOverToSend(upstreamModel: string): Promise<void>;
  /** Records that the create request was not sent after all. */
  withheld(): void;
  /** Gives back all that was reserved for the job, as `Reservations.giveBack` does. */
  giveBack(): Promise<void>;
  /**
   * Checks that the reservation may still be used. Call it right before a create request.
   * @throws {PostponedError} when the upstream model was paused since the reservation was made, or when an
   * earlier attempt has sent a create request with it.
   */
  assertUnspent(): void;
  /** Records that a create request is about to be sent. */
  sent(): Promise<void>;
  /** Records that the upstream has accepted the create request. */
  accepted(advertised: AdvertisedLimits | undefined): void;
  /**
   * Records that the upstream has refused the create request, so that the request used no tokens.
   * @returns whether all workers wait now, so that the job may wait too.
   */
  refused(error: unknown): Promise<boolean>;
  /**
   * Records that a response failed after the upstream had accepted its create.
   * @returns the same as `refused`.
   */
  failedInside(error: unknown): Promise<boolean>;
  /**
   * Reports a problem that concerns all workers, whatever the create request's outcome is.
   * @returns whether all workers wait now, so that the job may wait too.
   */
  report(report: QuotaReport): Promise<boolean>;
}

/** OpenReservation is a reservation that a worker holds. The worker renews its lease until `close`. */
export interface OpenReservation extends Reservation {
  /**
   * Replaces the reservation by the job's usage, or gives it back when no create request was accepted. It
   * does not wait for Redis: a reservation that it could not settle ends with its lease.
   * @param usage null: unknown.
   * @param isAnswered whether the response has brought an answer.
   */
  settle(usage: Usage | null, isAnswered?: boolean): void;
  /**
   * Stops renewing. A reservation that was not settled stays available to the job's next worker until its
   * lease ends.
   */
  close(): void;
}

/** QuotaJob is a job that reserves quota. */
export interface QuotaJob {
  id: string;
  tenant: string;
}

export interface Reservations {
  open(job: QuotaJob): OpenReservation;
  /**
   * Gives back everything that any worker, even a dead one, has reserved for a job, for all upstream models.
   */
  giveBack(job: QuotaJob): Promise<void>;
  /** Returns how many jobs of this worker, or of one tenant in it, have not sent their create request. */
  unsent(tenant?: string): number;
  close(): void;
}
