/** Quote is what a job would cost, and when it would be answered, if it were enqueued now. */
export interface Quote {
  model: string;
  /** The upstream model that would be bought from. */
  upstream_model: string;
  input_tokens: number;
  /** Where `input_tokens` come from: the upstream has counted them, or they are estimated. */
  input_basis: string;
  /**
   * Whether the input is longer than 272,000 tokens. OpenAI's current models then charge twice as much for the
   * whole input, and one and a half times as much for the output.
   */
  is_long_input: boolean;
  /** What the job is expected to write, in tokens, reasoning included. */
  output_tokens: number;
  /** Where `output_tokens` come from. */
  output_basis: string;
  /** The largest output that the request allows, in tokens; null: any. */
  most_output_tokens: number | null;
  /**
   * The completion window in which the job would be bought: the longest that `needed_by` leaves time for, or
   * the one that the request itself names.
   */
  completion_window: string;
  /** What the job costs in that window, in US dollars; null: the price is unknown. */
  expected_usd: number | null;
  /** What it costs there with the largest output, in US dollars; null: any output, or the price is unknown. */
  most_usd: number | null;
  /** The completion windows that the model offers for this request, the shortest first. */
  windows: QuotedWindow[];
  /**
   * Until when `windows` has no discounted window, because the upstream has refused one; ISO 8601. null: the
   * upstream has not.
   */
  no_windows_until: string | null;
  waiting_for: string;
  /** The job's position in the fair queue; null: unknown. */
  position: number | null;
  /** Milliseconds until the answer of a job that is bought as `soonest`; null: unknown. */
  eta_ms: number | null;
  /** What `eta_ms` is based on; null: it is unknown. */
  eta_basis: string | null;
}

/** QuotedWindow is what a job would cost in one completion window. */
export interface QuotedWindow {
  /** `soonest`, `2h` or `8h`. */
  completion_window: string;
  /** The discount of the window, from 0 to 1. */
  discount: number;
  expected_usd: number | null;
  most_usd: number | null;
  /** How much less the job is expected to cost than as `soonest`, in US dollars. */
  saved_usd: number | null;
  /** When the answer is expected, at the latest for a window that is kept; ISO 8601. null: unknown. */
  answer_by: string | null;
}
