import { createHash, randomBytes } from 'node:crypto';
import { badRequest, type ReplyHeaders } from '../api/errors.ts';
import type { FaultCounts } from '../faults/fault-count.ts';
import { type Faults, NO_FAULTS } from '../faults/faults.ts';
import type { OddReply } from '../faults/odd-replies.ts';
import type { Outages } from '../faults/outage.ts';
import type { LedgerWriter } from '../ledger/ledger.ts';
import type { RateLimits } from '../limits/rate-limits.ts';
import type { Settings } from '../options.ts';
import type { Account } from '../request/account.ts';
import {
  asksForWindow,
  type BackgroundOptions,
  NO_BACKGROUND_OPTIONS,
  readBackgroundOptions,
  WINDOW_MS,
  waitInWindow,
  windowsUnknown,
} from '../request/completion-window.ts';
import { type Conversation, type Earlier, itemsOf, readConversation } from '../request/conversation.ts';
import { type CreateRequest, readCreateRequest } from '../request/create-request.ts';
import { readOffer } from '../request/tools.ts';
import { shorten, simulatedSummary } from '../response/answer.ts';
import { finalOutputOf } from '../response/output-items.ts';
import { createRun, type Run, statusOf } from '../response/run.ts';
import { writeScript } from '../response/script.ts';
import type { Store } from '../response/store.ts';
import { toolCallsOf } from '../response/tool-calls.ts';
import type { Webhooks } from '../webhooks/webhooks.ts';

export type CreateDeps = {
  readonly settings: Settings;
  readonly store: Store;
  readonly ledger: LedgerWriter;
  readonly limits: RateLimits;
  readonly faultCounts: FaultCounts;
  readonly outages: Outages;
  readonly webhooks: Webhooks;
  readonly now: () => number;
};

/** Admission is a create that passed the checks, with the faults it will meet. */
export type Admission = {
  readonly request: CreateRequest;
  readonly conversation: Conversation;
  readonly faults: Faults;
  /**
   * The question's key in the counts of faults. A create that has met its fault is counted under this key,
   * and `sim_times` limits the count. undefined: this create is not counted.
   */
  readonly countKey: string | undefined;
};

export type Purchase = { readonly run: Run; readonly headers: ReplyHeaders };

/** lackReply is the configured refusal of a capability that the server lacks; undefined: none applies. */
export function lackReply(
  { request: { background, stream, body } }: Admission,
  { settings }: CreateDeps,
): OddReply | undefined {
  if (background && typeof settings.background === 'object') return settings.background;
  if (stream && typeof settings.streams === 'object') return settings.streams;
  return typeof settings.windows === 'object' && asksForWindow(body) ? settings.windows : undefined;
}

/** admit checks a create body and decides which faults the create meets. It buys nothing. */
export function admit(
  body: unknown,
  account: Account,
  { settings, store, faultCounts, now }: CreateDeps,
): Admission {
  const asked = readCreateRequest(body, account, settings.models);
  checkStream(asked, settings);
  checkPrevious(asked, store.of(account));
  const earlier = earlierThan(asked, store.of(account), now());
  const conversation = readConversation(earlier, asked.body);
  const known = applyProfile(withTokensOf(earlier, asked), settings);
  checkWebhooks(known, settings);
  const { faults, countKey } = faultsOf(known, faultCounts);
  const backgroundOptions = backgroundOptionsOf(known, faults, settings);
  return { request: { ...known, backgroundOptions }, conversation, faults, countKey };
}

/** A create without a window does not meet the fault `window_refused`. */
function faultsMetBy({ sim: { faults }, body }: CreateRequest): Faults {
  return faults.create === 'window_refused' && !asksForWindow(body)
    ? { ...faults, create: undefined }
    : faults;
}

/** faultsOf returns the faults that are left for this question, and the key under which they are counted. */
function faultsOf(request: CreateRequest, faultCounts: FaultCounts): Pick<Admission, 'faults' | 'countKey'> {
  const { key, numbers } = request.sim;
  const faults = faultsMetBy(request);
  const hasFault = Object.values(faults).some((fault) => fault !== undefined && fault.length > 0);
  if (!hasFault || numbers.sim_times === undefined) return { faults, countKey: undefined };
  const countKey = key ?? questionKey(request);
  if (faultCounts.isLeft(countKey, numbers.sim_times)) return { faults, countKey };
  return { faults: NO_FAULTS, countKey: undefined };
}

/**
 * purchase creates the response, if the limits have room for it. From then on the response runs, even if its
 * reply is lost. The script is written first, because the limits need the number of tokens that the response
 * will use.
 * @throws OpenAI's 429 when a limit is exceeded.
 */
export function purchase({ request, conversation, faults, countKey }: Admission, deps: CreateDeps): Purchase {
  const { settings, store, ledger, limits, faultCounts, webhooks, now } = deps;
  const createdAtMs = now();
  const thinkMs = request.sim.numbers.sim_think_ms ?? settings.nextThinkMs();
  const waitMs = waitOf(request, faults, thinkMs, settings);
  const { question: text, toolOutputs } = conversation;
  const question = { model: request.model.id, text, toolOutputs, thinkMs, body: request.body };
  const script = writeScript(request, {
    id: `resp_${randomBytes(24).toString('hex')}`,
    createdAtMs,
    waitMs,
    thinkMs,
    keepaliveMs: settings.keepaliveMs,
    faults,
    question: text,
    answer: settings.answer(question),
    calls: toolCallsOf(readOffer(request.body), conversation, request.body['parallel_tool_calls'] !== false),
    summary: simulatedSummary(shorten(text)),
  });
  const headers = limits.take(request.model.id, script.tokens);
  if (countKey !== undefined) faultCounts.add(countKey);
  const run = createRun(script, faults);
  store.add(run);
  ledger.open(run);
  webhooks.follow(run);
  return { run, headers };
}

function applyProfile(request: CreateRequest, { background }: Settings): CreateRequest {
  if (!request.background || typeof background === 'object') return request;
  switch (background) {
    case 'supported':
      return request;
    case 'ignored':
    case 'late':
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

/**
 * Returns what the server grants of `background_options`. A server without background mode of its own does
 * not know the field.
 */
function backgroundOptionsOf(
  request: CreateRequest,
  faults: Faults,
  { windows, background, windowModels }: Settings,
): BackgroundOptions {
  const isUnknown = windows === 'ignored' || typeof windows === 'object' || background !== 'supported';
  if (isUnknown || faults.window === 'window_ignored') return NO_BACKGROUND_OPTIONS;
  if (windows === 'rejected' && asksForWindow(request.body)) throw windowsUnknown();
  return readBackgroundOptions(request, windowModels);
}

/** `sim_think_ms` says when the answer comes, and therefore leaves no wait. */
function waitOf(
  { backgroundOptions, sim }: CreateRequest,
  { window: fault }: Faults,
  thinkMs: number,
  { windowScale, nextPlaceInWindow }: Settings,
): number {
  const windowMs = WINDOW_MS[backgroundOptions.completionWindow];
  if (windowMs === undefined) return 0;
  if (sim.numbers.sim_think_ms !== undefined && fault !== 'window_missed') return 0;
  return waitInWindow(windowMs / windowScale, { thinkMs, place: nextPlaceInWindow(), fault });
}

function checkStream({ stream }: CreateRequest, { streams }: Settings): void {
  if (!stream || streams !== 'rejected') return;
  throw badRequest('Streaming is not currently supported.', { param: 'stream', code: 'unsupported_value' });
}

function checkPrevious({ previousResponseId: id }: CreateRequest, store: Store): void {
  if (id === undefined || store.has(id)) return;
  throw badRequest(`Previous response with id '${id}' not found.`, {
    param: 'previous_response_id',
    code: 'previous_response_not_found',
  });
}

/** earlierThan returns what the responses hold that a request continues, the oldest first. */
function earlierThan({ previousResponseId }: CreateRequest, store: Store, nowMs: number): Earlier {
  const chain: Run[] = [];
  let id = previousResponseId;
  while (id !== undefined && store.has(id)) {
    const run = store.find(id);
    chain.unshift(run);
    id = run.script.request.previousResponseId;
  }
  return {
    items: chain.flatMap((run) => [
      ...itemsOf(run.script.request.body['input']),
      ...(statusOf(run, nowMs) === 'completed' ? finalOutputOf(run.script) : []),
    ]),
    isWhole: id === undefined,
    tokens: chain.at(-1)?.script.contextTokens ?? 0,
  };
}

/** OpenAI bills what earlier responses hold as input again. */
function withTokensOf({ tokens }: Earlier, request: CreateRequest): CreateRequest {
  if (request.sim.numbers.sim_input_tokens !== undefined) return request;
  const { inputTokens } = request;
  return { ...request, inputTokens: { ...inputTokens, total: inputTokens.total + tokens } };
}

/**
 * A webhook fault is refused when the simulator sends no webhooks. If it were ignored, a test could pass for
 * the wrong reason.
 */
function checkWebhooks({ sim }: CreateRequest, { webhook }: Settings): void {
  const fault = sim.faults.webhook;
  if (fault === undefined || webhook !== undefined) return;
  throw badRequest(
    `Invalid 'metadata.sim': '${fault}' needs a simulator that sends webhooks; start it with webhookUrl and webhookSecret.`,
    { param: 'metadata.sim', code: 'invalid_value' },
  );
}

function questionKey({ model, body, sim }: CreateRequest): string {
  const identity = JSON.stringify([model.id, body['input'] ?? null, sim.faults]);
  return createHash('sha256').update(identity).digest('base64');
}
