import { context, type Link, ROOT_CONTEXT, SpanStatusCode, trace } from '@opentelemetry/api';
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base';
import { traceContextIn } from '../../../src/job/fields/trace-context.ts';
import { optionsFrom } from '../../../src/job/stored-options.ts';
import { AttemptTrace, type TracedOutcome } from '../../../src/tracing/attempt-trace.ts';
import { requestAttributes } from '../../../src/tracing/chat-attributes.ts';
import { tracedDelivery } from '../../../src/tracing/delivery-span.ts';
import { startSend } from '../../../src/tracing/send.ts';
import { flushSpans, outsideTraces } from '../../../src/tracing/span-context.ts';
import { AsyncContexts } from '../../support/tracing/async-contexts.mjs';

const CALLER = { traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01', tracestate: 'v=1' };
const OTHER = { traceparent: '00-11111111111111111111111111111111-2222222222222222-00' };
const TRACE_ID = '0af7651916cd43dd8448eb211c80319c';

describe('a trace context that any program may have written', () => {
  test.each([
    ['none', undefined],
    ['no object', '00-…'],
    ['headers without it', { tracestate: 'v=1' }],
    ['ids of zeros', { traceparent: `00-${'0'.repeat(32)}-b7ad6b7169203331-01` }],
    ['the forbidden version', { traceparent: CALLER.traceparent.replace('00-', 'ff-') }],
    ['two headers that Node has joined', { traceparent: `${CALLER.traceparent}, ${OTHER.traceparent}` }],
    ['words', { traceparent: 'What is the secret of the moon, and who has seen it, please?' }],
    ['a number', { traceparent: 7 }],
  ])('is not %s', (_name, carrier) => {
    expect(traceContextIn(carrier)).toBeUndefined();
  });

  it('keeps its tracestate if that is valid and not too long', () => {
    expect(traceContextIn({ ...CALLER, baggage: 'user=anna' })).toEqual(CALLER);
    for (const tracestate of ['', 'v='.padEnd(600, 'x'), 'v=\n', ['v=1']])
      expect(traceContextIn({ ...CALLER, tracestate })).toEqual({ traceparent: CALLER.traceparent });
  });

  it('is read from the options of a job, and left out when it is broken', () => {
    expect(optionsFrom({ trace: CALLER, priority: 2 })).toMatchObject({ trace: CALLER, priority: 2 });
    expect(optionsFrom({ trace: 'x', priority: 2 })).toEqual({ priority: 2, trace: undefined });
  });
});

describe('without an SDK', () => {
  it('a job keeps the trace context of its caller, and nothing without one', () => {
    expect(startSend('o3', 'job_1', CALLER).stored).toEqual(CALLER);
    expect(startSend('o3', 'job_1', undefined).stored).toBeUndefined();
  });

  it('an attempt has nothing to store, and runs what it is given', async () => {
    const attempt = new AttemptTrace({ id: 'job_1', model: 'o3', tenant: 'a', waitMs: 5, sent: CALLER });
    attempt.begun(1, OTHER);
    attempt.buying(REQUEST);
    expect([attempt.attempt, attempt.purchase, attempt.isAdopting]).toEqual([undefined, undefined, false]);
    expect(attempt.inChat(() => 7)).toBe(7);
    expect(await attempt.until(async () => ({ kind: 'completed' }))).toEqual({ kind: 'completed' });
    await flushSpans(1000);
  });
});

const QUESTION = 'Which secret does the moon keep?';
const REQUEST = {
  body: {
    ...{ input: QUESTION, instructions: QUESTION, metadata: { project: QUESTION }, max_output_tokens: 50 },
    ...{ reasoning: { effort: QUESTION }, service_tier: QUESTION, previous_response_id: QUESTION },
    ...{ conversation: { id: 'conv_1' }, text: { format: { type: 'json_schema', name: QUESTION } } },
  },
  ...{
    upstreamModel: 'o3',
    stream: true,
    address: 'https://user:pass@api.example.com/v1?key=1',
    window: '8h',
  },
};

test('what stands where a name is expected, and is none, is not told', () => {
  expect(requestAttributes(REQUEST)).toEqual({
    'gen_ai.operation.name': 'chat',
    'gen_ai.provider.name': 'openai',
    'openai.api.type': 'responses',
    'gen_ai.request.model': 'o3',
    'gen_ai.request.max_tokens': 50,
    'gen_ai.request.stream': true,
    'gen_ai.conversation.id': 'conv_1',
    'gen_ai.output.type': 'json',
    'o3q.window': '8h',
    'server.address': 'api.example.com',
    'server.port': 443,
  });
});

describe('with an SDK', () => {
  const exporter = new InMemorySpanExporter();
  beforeAll(() => {
    trace.setGlobalTracerProvider(
      new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }),
    );
    context.setGlobalContextManager(new AsyncContexts());
  });
  afterAll(() => {
    trace.disable();
    context.disable();
  });
  beforeEach(() => exporter.reset());

  /** Export waits for the attributes of the resource, so the spans are there a moment later. */
  const exported = async (): Promise<ReadableSpan[]> => {
    await flushSpans(5000);
    return exporter.getFinishedSpans();
  };
  const linked = ({ links }: ReadableSpan): string[] => links.map(({ context: to }: Link) => to.spanId);
  const job = { id: 'job_1', model: 'o3', tenant: undefined, waitMs: 5, sent: CALLER };

  it.each([
    ['the caller', CALLER, undefined, 'b7ad6b7169203331'],
    ['the active span, which stands inside the trace of the caller', CALLER, CALLER, 'active'],
    ['the caller, when the active span is of another trace', CALLER, OTHER, 'b7ad6b7169203331'],
    ['the active span, when the caller names none', undefined, OTHER, 'active'],
  ])('the parent of a sent job is %s', async (_name, caller, above, parent) => {
    const parentContext =
      above === undefined ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, idsOf(above));
    const active = trace.getTracer('test').startSpan('POST /jobs', {}, parentContext);
    const here = above === undefined ? ROOT_CONTEXT : trace.setSpan(ROOT_CONTEXT, active);
    const send = context.with(here, () => startSend('o3', 'job_1', caller));
    send.end(undefined);
    const [span] = await exported();
    const expected = parent === 'active' ? active.spanContext().spanId : parent;
    expect(span?.parentSpanContext?.spanId).toBe(expected);
    expect(send.stored?.traceparent).toContain(span?.spanContext().spanId);
  });

  it.each<[string, TracedOutcome | undefined, SpanStatusCode, string | undefined]>([
    ['completed', { kind: 'completed' }, SpanStatusCode.UNSET, undefined],
    ['cancelled', { kind: 'cancelled' }, SpanStatusCode.UNSET, undefined],
    ['released', { kind: 'released' }, SpanStatusCode.UNSET, undefined],
    ['postponed', { kind: 'postponed' }, SpanStatusCode.UNSET, undefined],
    ['failed', { kind: 'failed', code: 'timeout' }, SpanStatusCode.ERROR, 'timeout'],
    ['retry', { kind: 'retry', failure: { code: 'rate_limited' } }, SpanStatusCode.ERROR, 'rate_limited'],
    ['broken', undefined, SpanStatusCode.ERROR, 'internal_error'],
  ])('an attempt that is %s says so', async (kind, outcome, code, error) => {
    const attempt = new AttemptTrace(job);
    attempt.buying(REQUEST);
    const fail = async (): Promise<TracedOutcome> => {
      if (outcome === undefined) throw new Error(QUESTION);
      return outcome;
    };
    await attempt.until(fail).catch(() => {});
    const spans = await exported();
    expect(spans.map(({ name }) => name)).toEqual(['chat o3', 'process o3']);
    for (const { status, attributes, events } of spans) {
      expect({ status, events }).toEqual({ status: { code }, events: [] });
      expect([attributes['o3q.outcome'], attributes['error.type']]).toEqual([kind, error]);
    }
  });

  it('an attempt that retries is a root, with links to its job and to the attempt that failed', async () => {
    const attempt = new AttemptTrace(job);
    attempt.begun(2, OTHER);
    await attempt.until(async () => ({ kind: 'completed' }));
    const [span] = await exported();
    expect(span?.parentSpanContext).toBeUndefined();
    expect(span && linked(span)).toEqual(['b7ad6b7169203331', '2222222222222222']);
    expect(span?.attributes).toMatchObject({ 'o3q.attempt': 2, 'o3q.wait_ms': 5 });
  });

  it('an adopted response links to its purchase, and only the first lookup has a span', async () => {
    const attempt = new AttemptTrace(job);
    attempt.adopting(REQUEST, OTHER);
    await attempt.until(async () => {
      expect(attempt.isAdopting).toBe(true);
      await attempt.lookup(async () => 1);
      await attempt.lookup(async () => 2);
      return { kind: 'completed' };
    });
    const [look, chat] = await exported();
    expect(look).toMatchObject({ name: 'fetch_response o3', parentSpanContext: chat?.spanContext() });
    expect(chat && linked(chat)).toEqual(['2222222222222222']);
    expect(await exported()).toHaveLength(3);
  });

  it('usage stands on a span only if the attempt still had the job when it stored the end', async () => {
    const response = { id: 'resp_1', status: 'completed', usage: { input_tokens: 3, output_tokens: 4 } };
    for (const kind of ['lost', 'completed']) {
      const attempt = new AttemptTrace(job);
      attempt.buying(REQUEST);
      attempt.heard();
      attempt.sawEnd(response, 0.25);
      await attempt.until(async () => ({ kind }));
    }
    const [lost, , completed] = await exported();
    expect(lost?.attributes).not.toHaveProperty(['gen_ai.usage.output_tokens']);
    expect(completed?.attributes).toMatchObject({
      'gen_ai.response.id': 'resp_1',
      'gen_ai.response.finish_reasons': ['stop'],
      'gen_ai.response.time_to_first_chunk': expect.any(Number),
      'gen_ai.usage.input_tokens': 3,
      'gen_ai.usage.output_tokens': 4,
      'o3q.cost_usd': 0.25,
    });
  });

  it.each([
    ['delivered', { kind: 'delivered', status: 204 }, undefined],
    ['refused', { kind: 'refused', status: 410 }, '410'],
    ['failed', { kind: 'failed' }, 'no_answer'],
    ['released', undefined, undefined],
  ])('a webhook that is %s says so, and nothing of its path', async (outcome, sent, error) => {
    const delivery = { job: 'job_1', url: 'https://hooks.example.com/T0/secret?token=1', attempt: OTHER };
    const send = async (): Promise<{ kind: string; status?: number }> => {
      if (sent === undefined) throw new Error('aborted');
      return sent;
    };
    await tracedDelivery(delivery, send).catch(() => {});
    const [span] = await exported();
    expect(span?.name).toBe('webhook hooks.example.com');
    expect(span?.attributes).toMatchObject({ 'o3q.outcome': outcome, 'server.address': 'hooks.example.com' });
    expect(span?.attributes['error.type']).toBe(error);
    expect(JSON.stringify(span?.attributes)).not.toMatch(/secret|token/);
  });

  it('what is started outside of traces stays outside of them', async () => {
    const active = trace.setSpanContext(ROOT_CONTEXT, idsOf(CALLER));
    const within = (): string | undefined => trace.getSpanContext(context.active())?.traceId;
    const soon = (): Promise<string | undefined> =>
      new Promise((resolve) => setTimeout(() => resolve(within()), 1));
    expect(await context.with(active, soon)).toBe(TRACE_ID);
    expect(await context.with(active, () => outsideTraces(soon))).toBeUndefined();
  });
});

function idsOf({ traceparent }: { traceparent: string }) {
  const [, traceId = '', spanId = ''] = traceparent.split('-');
  return { traceId, spanId, traceFlags: 1 };
}
