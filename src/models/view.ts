/**
 * - `open`: jobs are sent. `rate_limited`: the upstream has asked everybody to wait.
 * - `paused`: its account has no money left; one job probes from time to time. `down`: it is out of reach or overloaded.
 * - `gone`: the upstream has neither the model nor any of its fallbacks.
 */
export const MODEL_STATUSES = ['open', 'rate_limited', 'paused', 'down', 'gone'] as const;
export type ModelStatus = (typeof MODEL_STATUSES)[number];

/** What an admin sees of a configured model. */
export interface ModelView {
  model: string;
  /** As configured: the upstream's own name of it, and of what takes over. */
  upstream: string;
  fallbacks: string[];
  /** The upstream model that jobs are sent to now: the first of these that is not gone. */
  upstream_model: string;
  /** As configured; null: not limited here. */
  limits: {
    requests_per_minute: number | null;
    tokens_per_minute: number | null;
    max_in_flight: number | null;
  };
  /** What the upstream says of its own limits; null: nothing lately. The smaller of the two holds. */
  told_limits: { requests_per_minute: number | null; tokens_per_minute: number | null };
  state: ModelState;
}

export interface ModelState {
  status: ModelStatus;
  /** When one job tries again, ISO 8601; null: it is open. In the past: with the next job. */
  until: string | null;
  /** In words; null: there is nothing to say. */
  reason: string | null;
  /** Jobs in its line. */
  waiting: number;
  /** Of the upstream model, whatever model they were asked for by. */
  in_flight: number;
  requests_last_minute: number;
  tokens_last_minute: number;
  /** The day on which the upstream shuts `upstream_model` down, `YYYY-MM-DD`; null: none is announced, or it publishes no list. */
  shutdown_date: string | null;
}

/** What an end of a model's pause has done. */
export interface ResumedModel {
  model: string;
  upstream_models: string[];
  /** Whether one of them was paused. */
  resumed: boolean;
}
