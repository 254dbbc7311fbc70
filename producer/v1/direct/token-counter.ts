import type { UpstreamAddress } from '../../../src/config/upstream-address.ts';
import { stringifyExact } from '../../../src/job/exact-json.ts';
import { withUpstreamIds } from '../../../src/job/ids/named-responses.ts';
import { jobDataFrom, type ParsedRequest, responsesBodyFrom } from '../../../src/job/request.ts';
import type { TenantQueue } from '../../../src/queue/tenant-queue.ts';
import type { TokenCounter } from '../../http/route.ts';
import { createUpstreamCall } from './upstream-call.ts';

/** What the upstream's route takes. It refuses other fields. */
const FIELDS = [
  ...['model', 'input', 'instructions', 'conversation', 'previous_response_id', 'parallel_tool_calls'],
  ...['personality', 'reasoning', 'text', 'tool_choice', 'tools', 'truncation'],
];
/** A quote does not wait longer for the count, in milliseconds. */
const TIMEOUT_MS = 3000;
/** How long an upstream without this route is not asked again, in milliseconds. */
const LACKS_FOR_MS = 600_000;
const LACKS: readonly number[] = [404, 405, 501];
/** How many counts may be under way at once. */
const MOST = 16;

/**
 * createTokenCounter makes a TokenCounter that asks the upstream's `POST /responses/input_tokens`, which runs
 * no model and costs nothing. A count that fails, or takes too long, is undefined.
 *
 * @param upstream undefined: this producer knows no upstream, and every count is undefined.
 * @param draining aborts when the producer is about to stop.
 */
export function createTokenCounter(
  upstream: UpstreamAddress | undefined,
  draining: AbortSignal,
): TokenCounter {
  if (upstream === undefined) return async () => undefined;
  const call = createUpstreamCall(upstream, draining);
  let lackedUntil = 0;
  let underWay = 0;
  return async (queue, request) => {
    if (performance.now() < lackedUntil || underWay >= MOST) return undefined;
    underWay += 1;
    try {
      const { upstreamModel, body } = await bodyOf(queue, request);
      const outcome = await call({
        ...{ path: '/responses/input_tokens', body, upstreamModel, timeoutMs: TIMEOUT_MS },
        headers: request.upstream_headers ?? {},
      });
      if (outcome.kind === 'refused' && LACKS.includes(outcome.status) && !isGone(outcome))
        lackedUntil = performance.now() + LACKS_FOR_MS;
      const tokens = outcome.kind === 'answer' ? outcome.answer['input_tokens'] : undefined;
      return typeof tokens === 'number' && Number.isSafeInteger(tokens) && tokens >= 0 ? tokens : undefined;
    } finally {
      underWay -= 1;
    }
  };
}

/** A 404 may also be about the model. */
function isGone({ failure }: { failure: { code: string } }): boolean {
  return failure.code !== 'wrong_address';
}

async function bodyOf(
  queue: TenantQueue,
  request: ParsedRequest,
): Promise<{ upstreamModel: string; body: string }> {
  const asked = 'request' in request ? request.request : undefined;
  const model = asked === undefined ? request.model : (request.model ?? asked.model);
  const target = await queue.direct.target(model ?? undefined);
  const [upstreamModel = target.model] = target.upstreamModels;
  const body = responsesBodyFrom(jobDataFrom(request, false), upstreamModel);
  const named = asked === undefined ? body : withUpstreamIds(body, await queue.upstreamIds(asked));
  const picked = Object.fromEntries(Object.entries(named).filter(([field]) => FIELDS.includes(field)));
  return { upstreamModel, body: stringifyExact(picked) };
}
