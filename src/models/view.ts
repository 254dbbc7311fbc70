import type { BoardLimitKind, BoardLimits } from '../fair-queue/board-limits.ts';

/**
 * - `open`: jobs are sent.
 * - `rate_limited`: the upstream has answered 429, and all workers wait.
 * - `paused`: the circuit breaker is open for money, credentials or a wrong address, and one job at a time
 *   probes; or the queue is paused on Bull Board, until a resume; or Redis takes no writes.
 * - `limited`: jobs are sent as a limit that was set on Bull Board allows, until a resume.
 * - `down`: the upstream is unreachable or overloaded.
 * - `gone`: the upstream has neither the model nor any of its fallbacks.
 * - `no_worker`: no worker that takes the model's jobs is running.
 */
export const MODEL_STATUSES = [
  'open',
  'rate_limited',
  'limited',
  'paused',
  'down',
  'gone',
  'no_worker',
] as const;
export type ModelStatus = (typeof MODEL_STATUSES)[number];

/** ModelView is what an admin sees of a configured model. */
export interface ModelView {
  model: string;
  /** The upstream's name of the model, as configured. */
  upstream: string;
  /** Upstream models that take over when the upstream models before them are gone, as configured. */
  fallbacks: string[];
  /** The upstream model that jobs are sent to now: the first one that is not gone. */
  upstream_model: string;
  /** The configured limits; null: no such limit is configured. */
  limits: {
    requests_per_minute: number | null;
    tokens_per_minute: number | null;
    max_in_flight: number | null;
    /** The most responses within a completion window. They take no slot of `max_in_flight`. */
    max_in_flight_windowed: number;
  };
  /**
   * The limits that the upstream advertises; null: it has advertised none lately. The smaller of the
   * configured and the advertised limit applies.
   */
  told_limits: { requests_per_minute: number | null; tokens_per_minute: number | null };
  /** The settings of the model's queue that were made on Bull Board or by another BullMQ client. */
  board: BoardLimits;
  state: ModelState;
}

export interface ModelState {
  status: ModelStatus;
  /**
   * When one job tries again, in ISO 8601; null: the model is open, or the time is unknown. A time in the
   * past means that the next job tries.
   */
  until: string | null;
  /** The status in words; null: nothing is wrong. */
  reason: string | null;
  /** Workers that take the model's jobs: those with a heartbeat in the last six seconds. */
  workers: number;
  /** How many more jobs of the model these workers together can take now. */
  free_slots: number;
  /** How many jobs wait in the fair queue. */
  waiting: number;
  /**
   * Jobs in flight at the upstream model, without those within a completion window. The number includes the
   * jobs of other models that use the same upstream model.
   */
  in_flight: number;
  /** The same for jobs within a completion window. */
  in_flight_windowed: number;
  /**
   * Until when the queue chooses no completion window, because the upstream has refused one; ISO 8601. null:
   * the upstream has not.
   */
  no_windows_until: string | null;
  requests_last_minute: number;
  tokens_last_minute: number;
  /**
   * The day on which the upstream shuts `upstream_model` down, `YYYY-MM-DD`; null: not announced, or unknown.
   */
  shutdown_date: string | null;
}

/** ResumedModel is the answer to a resume by hand. */
export interface ResumedModel {
  model: string;
  upstream_models: string[];
  /**
   * Whether anything was ended: a pause of one of the upstream models, or a setting that was made on Bull
   * Board.
   */
  resumed: boolean;
  /** The kinds of the settings on Bull Board that were removed. */
  ended_on_board: BoardLimitKind[];
}
