import {
  type Context,
  context,
  createTraceState,
  isSpanContextValid,
  type Link,
  ROOT_CONTEXT,
  type Span,
  type SpanContext,
  SpanStatusCode,
  type Tracer,
  trace,
} from '@opentelemetry/api';
import { withTimeout } from '../async/with-timeout.ts';
import type { TraceContext } from '../job/fields/trace-context.ts';
import { COMMON, TRACER } from './names.ts';

/** tracerNow returns the tracer of the SDK that is registered now; without one, spans record nothing. */
export function tracerNow(): Tracer {
  return trace.getTracer(TRACER);
}

/**
 * storedContextOf returns a span in the form in which jobs and records keep it; undefined: there is no SDK, and
 * the span continues no trace of a caller.
 *
 * It does not use `propagation.inject`: with `OTEL_PROPAGATORS=b3` that writes other fields, and with baggage
 * it writes whatever a caller has put there.
 */
export function storedContextOf(span: Span): TraceContext | undefined {
  const spanContext = span.spanContext();
  if (!isSpanContextValid(spanContext)) return undefined;
  const { traceId, spanId, traceFlags, traceState } = spanContext;
  const tracestate = traceState?.serialize();
  const flags = traceFlags.toString(16).padStart(2, '0');
  return { traceparent: `00-${traceId}-${spanId}-${flags}`, ...(tracestate && { tracestate }) };
}

/** contextIn returns a context in which a stored span is the parent; undefined: in which no span is. */
export function contextIn(stored: TraceContext | undefined): Context {
  return stored === undefined ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, spanContextOf(stored));
}

/** linksTo returns a link to each stored span that is known. */
export function linksTo(...stored: (TraceContext | undefined)[]): Link[] {
  return stored.flatMap((one) => (one === undefined ? [] : [{ context: spanContextOf(one) }]));
}

function spanContextOf({ traceparent, tracestate }: TraceContext): SpanContext {
  const [, traceId = '', spanId = '', flags = '00'] = traceparent.split('-');
  return {
    traceId,
    spanId,
    // Of the flags only `sampled` is known; a newer version may have set others.
    traceFlags: Number.parseInt(flags, 16) & 1,
    isRemote: true,
    ...(tracestate !== undefined && { traceState: createTraceState(tracestate) }),
  };
}

/**
 * markFailed gives a span the status ERROR. It records no exception and no message, because those of an
 * upstream or a receiver may quote a question.
 * @param code a code of docs/ERRORS.md, or an HTTP status.
 */
export function markFailed(span: Span, code: string): void {
  span.setAttribute(COMMON.error, code);
  span.setStatus({ code: SpanStatusCode.ERROR });
}

/**
 * outsideTraces runs `work` outside of every trace. Use it to start what goes on after the current call, such as
 * a timer or a connection: otherwise everything that it ever does would belong to the trace of that call
 * (taskforcesh/bullmq#4731 is such a case).
 */
export function outsideTraces<Result>(work: () => Result): Result {
  return context.with(ROOT_CONTEXT, work);
}

/**
 * flushSpans has the SDK, if there is one, send the spans that have ended. Call it before `process.exit`, which
 * would lose those of the last seconds.
 * @param limitMs how long it waits at most, in milliseconds, for a collector that does not answer.
 */
export async function flushSpans(limitMs: number): Promise<void> {
  const registered: object = trace.getTracerProvider();
  const sdk = hasDelegate(registered) ? registered.getDelegate() : registered;
  if (canFlush(sdk)) await withTimeout(sdk.forceFlush(), undefined, limitMs);
}

/** Not `instanceof`: an SDK outside of this package brings its own copy of the API, which shares its state. */
function hasDelegate(provider: object): provider is { getDelegate(): object } {
  return 'getDelegate' in provider && typeof provider.getDelegate === 'function';
}

/** The API does not have this method, and every SDK for Node does. */
function canFlush(sdk: object): sdk is { forceFlush(): Promise<void> } {
  return 'forceFlush' in sdk && typeof sdk.forceFlush === 'function';
}
