import { context, SpanKind, trace } from '@opentelemetry/api';
import type { TraceContext } from '../job/fields/trace-context.ts';
import { serverAttributes } from './chat-attributes.ts';
import { COMMON, O3Q } from './names.ts';
import { linksTo, markFailed, tracerNow } from './span-context.ts';

/** TracedDelivery is what the span of one try of a webhook says of it. */
export interface TracedDelivery {
  /** The id of the finished job. */
  job: string;
  /** The receiver. Only its host and port are told, because the path or the query may be a secret. */
  url: string;
  /** The span of the attempt that ended the job. */
  attempt: TraceContext | undefined;
}

/** TracedSent is the result of a try. */
export interface TracedSent {
  kind: string;
  /** The HTTP status; undefined: the receiver did not answer. */
  status?: number | undefined;
}

/** tracedDelivery runs one try of a webhook in the span `webhook {host}`. */
export async function tracedDelivery<Sent extends TracedSent>(
  { job, url, attempt }: TracedDelivery,
  send: () => Promise<Sent>,
): Promise<Sent> {
  const server = URL.canParse(url) ? serverAttributes(url) : {};
  const span = tracerNow().startSpan(`webhook ${server[COMMON.serverAddress] ?? 'nowhere'}`, {
    kind: SpanKind.CLIENT,
    root: true,
    links: linksTo(attempt),
    attributes: { ...server, [COMMON.method]: 'POST', [O3Q.job]: job },
  });
  let outcome = 'released';
  try {
    const sent = await context.with(trace.setSpan(context.active(), span), send);
    outcome = sent.kind;
    if (sent.status !== undefined) span.setAttribute(COMMON.status, sent.status);
    if (sent.kind !== 'delivered') markFailed(span, String(sent.status ?? 'no_answer'));
    return sent;
  } finally {
    span.setAttribute(O3Q.outcome, outcome);
    span.end();
  }
}
