import { isJsonObject } from '../exact-json.ts';

/**
 * TraceContext names a span of a distributed trace, in the form of the headers of W3C Trace Context
 * (https://www.w3.org/TR/trace-context/). Any span can link to it.
 */
export interface TraceContext {
  traceparent: string;
  tracestate?: string;
}

/** Version, trace, span and flags. Neither id is all zeros, and the version `ff` is forbidden. */
const TRACEPARENT = /^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/;
/** The specification wants at least 512 characters passed on. It may not be cut, so a longer one is dropped. */
const TRACESTATE = /^[\t\x20-\x7e]{1,512}$/;

/**
 * traceContextIn returns the trace context among the headers of a request, or in another object with these two
 * names; undefined: it has no valid `traceparent`. A `tracestate` that is not valid is left out.
 */
export function traceContextIn(carrier: unknown): TraceContext | undefined {
  if (!isJsonObject(carrier)) return undefined;
  const { traceparent, tracestate } = carrier;
  if (typeof traceparent !== 'string' || !TRACEPARENT.test(traceparent)) return undefined;
  const isState = typeof tracestate === 'string' && TRACESTATE.test(tracestate);
  return isState ? { traceparent, tracestate } : { traceparent };
}
