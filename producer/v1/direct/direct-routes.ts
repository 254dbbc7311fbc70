import type { UpstreamAddress } from '../../../src/config/upstream-address.ts';
import { stringifyExact } from '../../../src/job/exact-json.ts';
import { withUpstreamIds } from '../../../src/job/ids/named-responses.ts';
import type { Logger } from '../../../src/process/log.ts';
import type { DirectTarget } from '../../../src/queue/direct-calls.ts';
import type { TenantQueue } from '../../../src/queue/tenant-queue.ts';
import type { UpstreamResponse } from '../../../src/responses/response.ts';
import type { Reply, Route, RouteInput } from '../../http/route.ts';
import * as operations from '../../openapi/operations/direct.ts';
import { OpenAiError } from '../openai-error.ts';
import { bodyFrom, upstreamHeadersOf } from '../responses/create-request.ts';
import { createCallRoom } from './call-room.ts';
import { brokenError, lackError, noUpstream, refusedError, unreadableError } from './direct-errors.ts';
import { baseUrlOf, createUpstreamCall, type DirectOutcome, type UpstreamCall } from './upstream-call.ts';

/** DirectOptions are what the routes need that go to the upstream at once. */
export interface DirectOptions {
  /** undefined: this producer knows no upstream, and refuses such calls. */
  upstream: UpstreamAddress | undefined;
  draining: AbortSignal;
  logger: Logger;
}

interface DirectRoute extends Pick<Route, 'path' | 'operation'> {
  /** The path below the upstream's base URL. */
  upstreamPath: string;
  timeoutMs: number;
  /** Whether the upstream runs a model for it. Such a call counts in the tenant's usage and budget. */
  isBought: boolean;
}

const ROUTES: readonly DirectRoute[] = [
  {
    path: '/v1/responses/input_tokens',
    operation: operations.countInputTokens,
    upstreamPath: '/responses/input_tokens',
    timeoutMs: 30_000,
    isBought: false,
  },
  {
    path: '/v1/responses/compact',
    operation: operations.compactResponse,
    upstreamPath: '/responses/compact',
    // A model reads the whole conversation.
    timeoutMs: 300_000,
    isBought: true,
  },
];
/** How long a route that the upstream lacks is not asked for again, in milliseconds. */
const LACKS_FOR_MS = 600_000;

/**
 * directRoutes are OpenAI's routes that need an answer at once, and so cannot be jobs. The producer hands
 * them to the upstream, with the upstream's names of the model and of earlier responses.
 */
export function directRoutes({ upstream, draining, logger }: DirectOptions): Route[] {
  const call = upstream === undefined ? undefined : createUpstreamCall(upstream, draining);
  const baseUrl = upstream === undefined ? '' : baseUrlOf(upstream);
  const room = createCallRoom();
  return ROUTES.map((route) => {
    /** The refusal of an upstream that lacks this route, and until when it counts. */
    let lack = { until: 0, error: noUpstream() };
    return {
      method: 'post',
      ...{ path: route.path, operation: route.operation },
      async handle(input: RouteInput): Promise<Reply> {
        if (call === undefined) throw noUpstream();
        const { queue, body } = input;
        const asked = bodyFrom(body);
        const target = await queue.direct.target(modelIn(asked));
        const named = withUpstreamIds(asked, await queue.upstreamIds(asked));
        if (route.isBought) await queue.direct.assertWithinBudget();
        if (performance.now() < lack.until) throw lack.error;
        const leave = room.enter(input.caller?.tenant ?? '');
        try {
          const { upstreamModel, outcome } = await askInTurn(call, route, { input, named, target });
          if (route.isBought) await book(queue, { model: target.model, upstreamModel, outcome, logger });
          const said = { baseUrl, path: route.upstreamPath, isBought: route.isBought };
          switch (outcome.kind) {
            case 'answer':
              return { status: 200, json: outcome.json };
            case 'unreadable':
              throw unreadableError(outcome, said);
            case 'broken':
              throw brokenError(outcome, { ...said, timeoutMs: route.timeoutMs });
            case 'refused': {
              const lacks = lackError(outcome, said);
              if (lacks === undefined) throw refusedError(outcome, said);
              lack = { until: performance.now() + LACKS_FOR_MS, error: lacks };
              throw lacks;
            }
            default: {
              const never: never = outcome;
              throw new Error(`unexpected ${JSON.stringify(never)}`);
            }
          }
        } finally {
          leave();
        }
      },
    };
  });
}

function modelIn({ model }: Record<string, unknown>): string | undefined {
  if (model === undefined || model === null) return undefined;
  if (typeof model === 'string') return model;
  throw new OpenAiError(400, {
    message: `Invalid type for 'model': expected a string.`,
    param: 'model',
    code: 'invalid_type',
  });
}

/** Asks for one upstream model after the other, until the upstream has one of them. */
async function askInTurn(
  call: UpstreamCall,
  { upstreamPath: path, timeoutMs, isBought }: DirectRoute,
  { input, named, target }: { input: RouteInput; named: Record<string, unknown>; target: DirectTarget },
): Promise<{ upstreamModel: string; outcome: DirectOutcome }> {
  const headers = upstreamHeadersOf(input.headers) ?? {};
  for (let i = 0; ; i += 1) {
    const upstreamModel = target.upstreamModels[i] ?? target.model;
    const body = stringifyExact({ ...named, model: upstreamModel });
    // A call that is bought goes on without its caller, so that its cost becomes known.
    const signal = isBought ? undefined : input.signal;
    const outcome = await call({ path, body, headers, upstreamModel, timeoutMs, signal });
    const isGone = outcome.kind === 'refused' && outcome.failure.code === 'model_not_found';
    if (!isGone || i + 1 >= target.upstreamModels.length) return { upstreamModel, outcome };
  }
}

/**
 * Books a call that the upstream has answered, or may have answered. What the simulator answers costs
 * nothing. While Redis is away nothing is booked, and the caller gets the paid answer all the same.
 */
async function book(
  queue: TenantQueue,
  options: { model: string; upstreamModel: string; outcome: DirectOutcome; logger: Logger },
): Promise<void> {
  const { model, upstreamModel, outcome, logger } = options;
  const isBought =
    outcome.kind === 'answer' ? !outcome.simulated : outcome.kind === 'broken' && outcome.isSent;
  if (!isBought) return;
  const answer = outcome.kind === 'answer' ? (outcome.answer as unknown as UpstreamResponse) : undefined;
  try {
    await queue.direct.book(model, upstreamModel, answer);
  } catch (error: unknown) {
    const words = error instanceof Error ? error.message : String(error);
    logger.warn({ model, error: words }, 'a call without a job could not be booked');
  }
}
