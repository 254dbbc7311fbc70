import { isObject } from '../../../simulator/api/json.ts';
import { itemsOf } from '../../../simulator/request/conversation.ts';
import { type Question, simulatedAnswer } from '../../../simulator/response/answer.ts';
import { sampleOf } from '../../../simulator/sample/schema-sample.ts';
import { type CuttingProxy, openCuttingProxy } from '../../support/http/cutting-proxy.ts';
import { type Case, CLIENTS, cutsOf } from '../../support/openai/client-cases.ts';
import { describeWithOpenAiClients } from '../../support/openai/clients.ts';
import { type Instance, startInstance } from '../../support/worlds/instance.ts';

/**
 * Other people's clients, unmodified but for their base URL, in three ways: straight to the simulator,
 * through the queue, and through the queue with connections that break.
 */

/** Long enough for a connection to break while the model thinks. */
const THINK_MS = 1500;
/** How many programs run at once: they mostly wait for the model. */
const AT_ONCE = 4;
const LIMIT_MS = 300_000;

/** What a case of test/support/openai-clients/run.mjs returned. */
interface Told {
  text?: string;
  tokens?: number;
  deltas?: string[];
  called?: unknown[];
  error?: { message: string; status?: number };
}

const CITIES = 'call weather with {"city": "Bern"} and call weather with {"city": "Rome"}';
const OUTPUTS = ['Bern', 'Rome'].map((city) => ({ tool: 'weather', text: `sunny in ${city}` }));
const answerTo = (text: string, toolOutputs: typeof OUTPUTS = []): string =>
  simulatedAnswer({ model: 'o3', text, toolOutputs, thinkMs: THINK_MS, body: {} });

describeWithOpenAiClients('an unmodified client', (run) => {
  let instance: Instance;
  let proxy: CuttingProxy;
  const results = new Map<string, Promise<Record<string, Told>>>();
  beforeAll(async () => {
    instance = await startInstance({
      simulator: {
        thinkMs: THINK_MS,
        answer: (question) => {
          // The response has been bought: now a connection without its answer breaks.
          if (question.text.includes('is cut in its text')) setImmediate(() => proxy.cut(question.text));
          const schema = schemaInWords(question.body);
          return schema === undefined ? simulatedAnswer(question) : JSON.stringify(sampleOf(schema));
        },
      },
    });
    proxy = await openCuttingProxy({
      target: instance.url,
      isCut: (path, body) => body.includes('is cut in its') || path.endsWith('/events'),
      // A stream of /v1 breaks at its first event: after its last one it would be a delivered answer.
      cutAt: (path) => (path.endsWith('/events') ? 'nothing' : 'data:'),
    });
    const queue = [...CLIENTS];
    const turn = async (): Promise<void> => {
      for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
        const { program, api } = next;
        const direct = api === 'responses' ? { direct: instance.upstreamUrl } : {};
        const urls = { ...direct, queue: `${instance.url}/v1`, cut: `${proxy.url}/v1` };
        const result = run(program, api, urls) as Promise<Record<string, Told>>;
        results.set(`${program} ${api}`, result);
        await result.catch(() => undefined);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, turn));
  }, LIMIT_MS);
  afterAll(async () => {
    await proxy?.close();
    await instance.stop();
  });

  const bought = (question: string): number =>
    instance.simulator.ledger.entries().filter((entry) => entry.question.startsWith(question)).length;

  describe.each(CLIENTS)('$program, which speaks $api,', (client) => {
    const { program, api, cases } = client;
    const name = (way: string): string => `${program} ${api} ${way}`;
    const ways = api === 'responses' ? ['direct', 'queue'] : ['queue'];
    const has = (kinds: readonly Case[]): readonly (readonly [way: string, kind: Case])[] =>
      ways.flatMap((way) => kinds.filter((kind) => cases.includes(kind)).map((kind) => [way, kind] as const));
    const each = (kinds: readonly Case[], title: string, test: (way: string, kind: Case) => void): void => {
      for (const [way, kind] of has(kinds)) it(`${title} (${way}, ${kind})`, () => test(way, kind));
    };
    let seen: Record<string, Told>;
    beforeAll(async () => {
      seen = await (results.get(`${program} ${api}`) ?? Promise.reject(new Error('it did not run')));
    }, LIMIT_MS);

    each(['text', 'stream'], 'gets an answer', (way, kind) => {
      const question = `${name(way)} ${kind === 'text' ? 'answers whole' : 'streams'}?`;
      const told = seen[`${way} ${kind}`];
      expect(told).toMatchObject({ text: answerTo(question) });
      if (program !== 'llamaindex') expect(told?.tokens).toBeGreaterThan(0);
      if (kind === 'stream') expectParts(told);
      expect(bought(question)).toBe(1);
    });

    each(['loop', 'streamedLoop'], 'runs two tools, and gets an answer with what they said', (way, kind) => {
      const words = kind === 'loop' ? 'loops' : 'loops and streams';
      expect(seen[`${way} ${kind}`]).toMatchObject({
        text: answerTo(`${name(way)} ${words}: ${CITIES}.`, OUTPUTS),
        called: [{ city: 'Bern' }, { city: 'Rome' }],
      });
      expect(bought(`${name(way)} ${words}:`)).toBe(2);
    });

    each(
      ['structured', 'structuredInParts', 'jsonMode', 'jsonModeInParts'],
      'gets an answer in its schema',
      (way, kind) => {
        expect(seen[`${way} ${kind}`]).toEqual({
          title: 'simulatedsim',
          count: 3,
          tags: ['red', 'red'],
          note: 'simulated',
        });
        expect(bought(`${name(way)} answers in a schema (${kind})?`)).toBe(1);
      },
    );

    each(['refused'], 'sees why it was refused', (way) => {
      expect(seen[`${way} refused`]?.error?.message).toContain('refused, because metadata.sim asked');
      expect(bought(`${name(way)} is refused?`)).toBe(0);
    });

    const cuts = cutsOf(client);
    if (cuts.length === 0) return;
    it('gets the answer after its connection broke, once, and it is bought once', () => {
      for (const kind of cuts) {
        const question = `${name('cut')} is cut in its ${kind}?`;
        const told = seen[`cut ${kind}`];
        expect(told).toMatchObject({ text: answerTo(question) });
        if (kind === 'stream') expectParts(told);
        expect(bought(question)).toBe(1);
      }
    });
  });

  it('has lost one connection in each case that is to lose one', async () => {
    await Promise.all(results.values());
    expect(proxy.broken()).toBe(CLIENTS.flatMap(cutsOf).length);
  });
});

/** schemaInWords returns the schema that instructor writes into its instructions: a model in JSON mode follows it. */
function schemaInWords({ text, input }: Question['body']): unknown {
  const isJsonMode = isObject(text) && isObject(text['format']) && text['format']['type'] === 'json_object';
  const [instructions] = isJsonMode ? itemsOf(input).filter(isObject) : [];
  const [, schema] = /json schema: (\{.*\})/.exec(String(instructions?.['content'])) ?? [];
  return schema === undefined ? undefined : JSON.parse(schema);
}

/** No part of the text comes twice. A slow machine joins the parts, at last to a single one. */
function expectParts(told: Told | undefined): void {
  expect(told?.deltas?.join('')).toBe(told?.text);
}
