import { createModels, DEFAULT_MODELS } from '../../../simulator/models/models.ts';
import { accountOf } from '../../../simulator/request/account.ts';
import { readCreateRequest } from '../../../simulator/request/create-request.ts';
import { type Script, writeScript } from '../../../simulator/response/script.ts';
import { phaseAt, statusAt, timeline } from '../../../simulator/response/timeline.ts';

const THINK_MS = 1000;
const KEEPALIVE_MS = 30_000;

function scriptOf(metadata: Record<string, string> = {}, body: Record<string, unknown> = {}): Script {
  const models = createModels(DEFAULT_MODELS);
  const whole = { model: 'o3', input: 'x', background: true, metadata, ...body };
  const request = readCreateRequest(whole, accountOf({}), models);
  return writeScript(request, {
    id: `resp_${'0'.repeat(48)}`,
    createdAtMs: 1_795_392_000_000,
    waitMs: 0,
    thinkMs: request.sim.numbers.sim_think_ms ?? THINK_MS,
    keepaliveMs: KEEPALIVE_MS,
    faults: request.sim.faults,
    question: 'Why?',
    calls: [],
    answer: 'One two three four five.',
    summary: 'Weighed.',
  });
}

function events(script: Script, cancelledAtMs?: number) {
  return [...timeline(script, cancelledAtMs)];
}

describe('the timeline of a response', () => {
  it('the timeline of a script is the same each time', () => {
    const script = scriptOf({}, { reasoning: { summary: 'auto' } });
    expect(events(script)).toEqual(events(script));
    expect(events(script, 700)).toEqual(events(script, 700));
  });

  it('the events are spread over the think time and never go backwards', () => {
    const times = events(scriptOf()).map(({ atMs }) => atMs);
    expect(times).toEqual([...times].sort((left, right) => left - right));
    expect(times[0]).toBe(0);
    expect(times.at(-1)).toBe(THINK_MS);
  });

  it('the timeline agrees with the status at every moment', () => {
    const script = scriptOf();
    expect([0, 99, 100, 999, 1000].map((elapsedMs) => statusAt(script, elapsedMs, undefined))).toEqual([
      'queued',
      'queued',
      'in_progress',
      'in_progress',
      'completed',
    ]);
    expect(phaseAt(script, 1000, undefined).status).toBe('ended');
  });

  it('a cancel does not change past events', () => {
    const script = scriptOf();
    const cancelled = events(script, 800);
    expect(cancelled.slice(0, -1)).toEqual(events(script).slice(0, cancelled.length - 1));
    expect(cancelled.at(-1)).toMatchObject({
      atMs: 800,
      event: { type: 'response.failed', sequence_number: cancelled.length - 1 },
    });
  });

  it('silence is filled with numbered keepalives', () => {
    const script = scriptOf({ sim_think_ms: '200000' }, { reasoning: { effort: 'high' } });
    const all = events(script);
    const quiet = all.filter(({ event }) => event.type === 'keepalive');
    expect(quiet.map(({ atMs }) => atMs)).toEqual([50_000, 80_000]);
    expect(all.map(({ event }) => event.sequence_number)).toEqual(all.map((_, index) => index));
  });

  it('the timeline of a response stuck in queued goes on with keepalives without end', () => {
    const endless = timeline(scriptOf({ sim: 'stuck_queued' }), undefined);
    const first = Array.from({ length: 4 }, () => endless.next().value?.event.type);
    expect(first).toEqual(['response.created', 'response.queued', 'keepalive', 'keepalive']);
  });

  it('the timeline of a stalled response has no terminal event', () => {
    const types = events(scriptOf({ sim: 'stall', sim_events: '1000' })).map(({ event }) => event.type);
    expect(types).toContain('response.output_text.done');
    expect(types.filter((type) => /completed|failed|incomplete/.test(type))).toEqual([]);
  });

  it('a failing response breaks off in the middle of its answer', () => {
    const types = events(scriptOf({ sim: 'failed' })).map(({ event }) => event.type);
    expect(types.filter((type) => type === 'response.output_text.delta')).toHaveLength(3);
    expect(types.at(-1)).toBe('response.failed');
  });

  it('the answer has the requested number of deltas and tokens', () => {
    const script = scriptOf({ sim_output_tokens: '100', sim_deltas: '7', sim_reasoning_tokens: '50' });
    const deltas = events(script).filter(({ event }) => event.type === 'response.output_text.delta');
    expect(deltas).toHaveLength(7);
    expect(script.usage).toMatchObject({
      output_tokens: 150,
      output_tokens_details: { reasoning_tokens: 50 },
    });
  });
});
