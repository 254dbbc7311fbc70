import { durationText, numberText } from '../../../src/client/quantity.ts';
import { REASONING_EFFORTS } from '../../../src/job/request.ts';
import type { Quote, QuotedWindow } from '../../../src/usage/quote.ts';
import { formatUsd } from '../../../src/usage/usd.ts';
import type { Document } from '../document.tsx';
import type { Visitor } from '../navigation.tsx';
import { Fact, Form, When } from '../parts.tsx';

/** GIVE_UP_HOURS are the times after which a job may be given up, in hours; '' for never. */
export const GIVE_UP_HOURS = ['', '0.25', '1', '4', '12', '24', '168'] as const;

/** Asked is what the fields of the form hold, as texts. */
export interface Asked {
  readonly question: string;
  readonly context: string;
  readonly model: string;
  readonly reasoning_effort: string;
  readonly max_output_tokens: string;
  readonly give_up_hours: string;
  /** In ISO 8601; '' for no such wish. */
  readonly needed_by: string;
  /** Makes one job of a form that is sent twice. */
  readonly idempotency_key: string;
}

/** AskPage is what the page shows: the fields, and what came of them. */
export interface AskPage {
  readonly asked: Asked;
  /** The configured models. */
  readonly models: readonly string[];
  readonly quote?: Quote | undefined;
  /** Why the request was refused. */
  readonly refusal?: string | undefined;
}

/** askPage makes the form on which a person asks a question, and sees first what the answer may cost. */
export function askPage({ asked, models, quote, refusal }: AskPage, visitor: Visitor): Document {
  return {
    title:
      refusal !== undefined
        ? '✕ refused · Ask'
        : quote !== undefined
          ? `${priceText(quote)} · Ask`
          : 'Ask a question',
    visitor,
    current: '/console/ask',
    main: (
      <>
        <h1>Ask</h1>
        {refusal !== undefined && (
          <p class="reason failed" role="alert">
            {refusal}
          </p>
        )}
        {quote !== undefined && <Offer quote={quote} />}
        <Form class="ask" method="post" to="/console/ask">
          <input type="hidden" name="idempotency_key" value={asked.idempotency_key} />
          <label class="field">
            Question
            <textarea name="question" rows={5} required value={asked.question} />
          </label>
          <label class="field">
            Context, which the model reads first
            <textarea name="context" rows={4} value={asked.context} />
          </label>
          <div class="filters">
            <Choice name="Model" field="model" values={models} chosen={asked.model} />
            <Choice
              name="Effort"
              field="reasoning_effort"
              values={['', ...REASONING_EFFORTS]}
              chosen={asked.reasoning_effort}
              write={(effort) => effort || "the model's default"}
            />
            <label>
              Most output tokens{' '}
              <input
                type="number"
                name="max_output_tokens"
                min={16}
                placeholder="any"
                value={asked.max_output_tokens}
              />
            </label>
            <When name="needed_by" label="Needed by" value={asked.needed_by} />
            <Choice
              name="Give up after"
              field="give_up_hours"
              values={GIVE_UP_HOURS}
              chosen={asked.give_up_hours}
              write={(hours) => (hours === '' ? 'never' : durationText(Number(hours) * 3_600_000))}
            />
          </div>
          <div class="actions">
            <button type="submit" name="act" value="ask">
              Ask
            </button>
            <button type="submit" name="act" value="quote">
              What would it cost?
            </button>
          </div>
        </Form>
      </>
    ),
  };
}

function Choice({
  name,
  field,
  values,
  chosen,
  write = (value) => value,
}: {
  name: string;
  field: keyof Asked;
  values: readonly string[];
  chosen: string;
  write?: (value: string) => string;
}) {
  return (
    <label>
      {name}{' '}
      <select name={field}>
        {values.map((value) => (
          <option key={value} value={value} selected={value === chosen}>
            {write(value)}
          </option>
        ))}
      </select>
    </label>
  );
}

/** Offer says what the question would cost and when it would be answered. */
function Offer({ quote }: { quote: Quote }) {
  const { most_output_tokens: most, eta_ms: eta } = quote;
  return (
    <section class="card" aria-label="What it would cost">
      <div class="head">
        <h2>{priceText(quote)}</h2>
        <span class="quiet">asked of {quote.upstream_model}, at list prices</span>
      </div>
      <dl class="facts">
        <Fact name="Input">
          about {numberText(quote.input_tokens)} tokens, {quote.input_basis}
          {quote.is_long_input && '; more than 272,000, so that all prices are higher'}
        </Fact>
        <Fact name="Output">
          about {numberText(quote.output_tokens)} tokens, {quote.output_basis}
        </Fact>
        <Fact name="Output at most">{most === null ? 'any' : `${numberText(most)} tokens`}</Fact>
        <Fact name="Waits for">{quote.waiting_for}</Fact>
        {quote.position !== null && <Fact name="Position">about {numberText(quote.position)}</Fact>}
        <Fact name="Answer expected">{eta === null ? 'not known' : `in ${durationText(eta)}`}</Fact>
        {quote.windows.slice(1).map((window) => (
          <Fact key={window.completion_window} name={`If it may take ${window.completion_window}`}>
            {windowText(window)}
          </Fact>
        ))}
      </dl>
      {quote.eta_basis !== null && <p class="quiet">{quote.eta_basis}</p>}
    </section>
  );
}

/** windowText writes what a job costs if its `needed_by` leaves time for a completion window. */
function windowText({ expected_usd: expected, saved_usd: saved, discount }: QuotedWindow): string {
  if (expected === null) return `${Math.round(discount * 100)} % less`;
  return `about ${formatUsd(expected)}${saved === null ? '' : `, ${formatUsd(saved)} less`}`;
}

/** priceText writes the two prices of a quote, as far as they are known. */
function priceText({ expected_usd: expected, most_usd: most }: Quote): string {
  if (expected !== null && most !== null) return `About ${formatUsd(expected)}, at most ${formatUsd(most)}`;
  if (expected !== null) return `About ${formatUsd(expected)}`;
  return most === null ? 'The price is not known' : `At most ${formatUsd(most)}`;
}
