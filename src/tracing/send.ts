import { context, SpanKind, trace } from '@opentelemetry/api';
import type { TraceContext } from '../job/fields/trace-context.ts';
import { MESSAGING, O3Q, SYSTEM } from './names.ts';
import { contextIn, markFailed, storedContextOf, tracerNow } from './span-context.ts';

/** SendSpan is the span `send {model}`, around the enqueueing of one job. */
export interface SendSpan {
  /** What the job keeps, so that its attempts link to this span; undefined: there is no trace. */
  readonly stored: TraceContext | undefined;
  /** @param refusal the code with which the job was refused; undefined: it is stored. */
  end(refusal: string | undefined): void;
}

/**
 * startSend starts the span of a job that is about to be stored.
 *
 * Its parent is the span that is active here, such as that of the HTTP request, or the caller's. When both are of
 * one trace, the active span stands inside the caller's and is the parent. When they are not, the caller has
 * named its trace in another way than the instrumentation reads it, as in the `_meta` of an MCP call, and that
 * counts. Without an SDK the span is the parent itself, so that the job keeps the caller's own trace context:
 * a worker with an SDK can then link to the caller.
 *
 * @param caller the trace context that came with the request, checked.
 */
export function startSend(model: string, job: string, caller: TraceContext | undefined): SendSpan {
  const span = tracerNow().startSpan(
    `send ${model}`,
    {
      kind: SpanKind.PRODUCER,
      attributes: {
        [MESSAGING.system]: SYSTEM,
        [MESSAGING.operation]: 'send',
        [MESSAGING.operationType]: 'send',
        [MESSAGING.destination]: model,
        [MESSAGING.messageId]: job,
        [O3Q.job]: job,
      },
    },
    parentOf(caller),
  );
  return {
    stored: storedContextOf(span),
    end(refusal) {
      if (refusal !== undefined) markFailed(span, refusal);
      span.end();
    },
  };
}

function parentOf(caller: TraceContext | undefined) {
  const active = context.active();
  if (caller === undefined) return active;
  const called = contextIn(caller);
  const isInside = trace.getSpanContext(active)?.traceId === trace.getSpanContext(called)?.traceId;
  return isInside ? active : called;
}
