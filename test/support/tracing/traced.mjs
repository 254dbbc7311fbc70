// Loaded with `node --import`: an SDK that appends each span as a line of JSON to the file O3_TEST_SPANS.
import { appendFileSync } from 'node:fs';
import { context, trace } from '@opentelemetry/api';
import { BasicTracerProvider, BatchSpanProcessor } from '@opentelemetry/sdk-trace-base';
import { AsyncContexts } from './async-contexts.mjs';

const file = process.env.O3_TEST_SPANS;
const exporter = {
  export(spans, done) {
    for (const span of spans) appendFileSync(file, `${JSON.stringify(lineOf(span))}\n`);
    done({ code: 0 });
  },
  shutdown: async () => {},
};

function lineOf(span) {
  const { name, kind, attributes, links, events, status, parentSpanContext } = span;
  const idsOf = ({ traceId, spanId }) => ({ traceId, spanId });
  return {
    ...{ name, kind, attributes, events, status, ...idsOf(span.spanContext()) },
    parentSpanId: parentSpanContext?.spanId,
    links: links.map(({ context: linked }) => idsOf(linked)),
  };
}

// It would not export by itself within the time of a test, so the processes themselves must see to it.
const batches = new BatchSpanProcessor(exporter, { scheduledDelayMillis: 3_600_000 });
trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [batches] }));
context.setGlobalContextManager(new AsyncContexts());
