import { createHash, randomBytes } from 'node:crypto';
import type { Turns } from '../faults/fault-count.ts';
import { GOOD_BEHAVIOUR, type Misbehaviour } from '../faults/faults.ts';
import type { Weather } from '../faults/outage.ts';
import { badRequest } from '../http/errors.ts';
import type { ReplyHeaders } from '../http/reply.ts';
import type { LedgerBook } from '../ledger/ledger.ts';
import type { RateLimits } from '../limits/rate-limits.ts';
import type { Settings } from '../options.ts';
import { shorten, simulatedSummary } from '../response/answer.ts';
import { createRun, type Run } from '../response/run.ts';
import { writeScript } from '../response/script.ts';
import type { Store } from '../response/store.ts';
import type { Webhooks } from '../webhooks/webhooks.ts';
import { type CreateRequest, readCreateRequest } from './create-request.ts';
import { questionText } from './question.ts';

export type CreateDeps = {
  readonly settings: Settings;
  readonly store: Store;
  readonly ledger: LedgerBook;
  readonly limits: RateLimits;
  readonly turns: Turns;
  readonly weather: Weather;
  readonly webhooks: Webhooks;
  readonly now: () => number;
  readonly nextThinkMs: () => number;
};

export type Admission = {
  readonly request: CreateRequest;
  readonly misbehaviour: Misbehaviour;
  /** The question whose turn to misbehave this is, where turns are counted. Used up only when the create does misbehave. */
  readonly turn: string | undefined;
};

export type Purchase = { readonly run: Run; readonly headers: ReplyHeaders };

/** Checks a create body and decides whether this one misbehaves. Nothing is bought yet. */
export function admit(body: unknown, { settings, store, turns }: CreateDeps): Admission {
  const asked = readCreateRequest(body, settings.models);
  const request = applyProfile(asked, settings);
  checkPrevious(request, store);
  checkWebhooks(request, settings);
  const { key, misbehaviour, numbers } = request.wishes;
  const isQuiet = Object.values(misbehaviour).every((fault) => fault === undefined);
  if (isQuiet || numbers.sim_times === undefined) return { request, misbehaviour, turn: undefined };
  const turn = key ?? questionKey(request);
  if (turns.isLeft(turn, numbers.sim_times)) return { request, misbehaviour, turn };
  return { request, misbehaviour: GOOD_BEHAVIOUR, turn: undefined };
}

/**
 * The purchase, if the limits let it through: from then on the response exists and runs, whatever becomes of the
 * reply. The whole script is written before, because what it will use is what the limits must have room for.
 */
export function purchase({ request, misbehaviour, turn }: Admission, deps: CreateDeps): Purchase {
  const { settings, store, ledger, limits, turns, webhooks, now, nextThinkMs } = deps;
  const createdAtMs = now();
  const thinkMs = request.wishes.numbers.sim_think_ms ?? nextThinkMs();
  const text = questionText(request.body['input']);
  const question = { model: request.model.id, text, thinkMs, body: request.body };
  const script = writeScript(request, {
    id: `resp_${randomBytes(24).toString('hex')}`,
    createdAtMs,
    thinkMs,
    keepaliveMs: settings.keepaliveMs,
    misbehaviour,
    answer: settings.answer(question),
    summary: simulatedSummary(shorten(text)),
  });
  const headers = limits.take(request.model.id, script.tokens);
  if (turn !== undefined) turns.use(turn);
  const run = createRun(script, misbehaviour);
  store.add(run);
  ledger.open(run);
  webhooks.follow(run);
  return { run, headers };
}

function applyProfile(request: CreateRequest, { background }: Settings): CreateRequest {
  if (!request.background) return request;
  switch (background) {
    case 'supported':
      return request;
    case 'ignored':
      return { ...request, background: false };
    case 'rejected':
      throw badRequest("Unsupported parameter: 'background' is not supported by this server.", {
        param: 'background',
        code: 'unsupported_parameter',
      });
    default: {
      const never: never = background;
      return never;
    }
  }
}

function checkPrevious({ previousResponseId: id }: CreateRequest, store: Store): void {
  if (id === undefined || store.has(id)) return;
  throw badRequest(`Previous response with id '${id}' not found.`, {
    param: 'previous_response_id',
    code: 'previous_response_not_found',
  });
}

/** As with a misspelt fault: one that could do nothing would make a test pass for nothing. */
function checkWebhooks({ wishes }: CreateRequest, { webhook }: Settings): void {
  const fault = wishes.misbehaviour.webhook;
  if (fault === undefined || webhook !== undefined) return;
  throw badRequest(
    `Invalid 'metadata.sim': '${fault}' needs a simulator that sends webhooks; start it with webhookUrl and webhookSecret.`,
    { param: 'metadata.sim', code: 'invalid_value' },
  );
}

function questionKey({ model, body, wishes }: CreateRequest): string {
  const identity = JSON.stringify([model.id, body['input'] ?? null, wishes.misbehaviour]);
  return createHash('sha256').update(identity).digest('base64');
}
