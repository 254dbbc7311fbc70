import {
  asked,
  completed,
  endedEvents,
  never,
  queued,
  refusal,
  useUpstreams,
} from '../support/openai/scripted-upstream.ts';
import { json, type Step } from '../support/worlds/scripted-instance.ts';

/** What the client learns of a server that has no background mode or no streams. */

const { scripted, bodiesOf } = useUpstreams();

it('the client falls back to the foreground after background mode was refused, and stays there', async () => {
  const created = { type: 'response.created', response: { ...queued, background: false } };
  const { upstream, bodies } = await bodiesOf(refusal(400, { param: 'background' }), endedEvents(created));
  for (let i = 0; i < 2; i += 1) {
    const running = await upstream.create(asked, { stream: false, signal: never });
    expect(running).toMatchObject({ background: false, streamed: true });
  }
  expect(bodies.map(({ background, stream, store }) => [background, stream, store])).toEqual([
    [true, true, true],
    [undefined, true, undefined],
    [undefined, true, undefined],
  ]);
});

it('one bad request does not make the client give up background mode', async () => {
  const { upstream, bodies } = await bodiesOf(
    refusal(400, { message: 'No such store' }),
    refusal(400, { message: 'No such store' }),
    json(200, queued),
  );
  const options = { stream: false, signal: never };
  await expect(upstream.create(asked, options)).rejects.toMatchObject({ code: 'invalid_request' });
  expect(await upstream.create(asked, options)).toMatchObject({ background: true });
  expect(bodies.map(({ background }) => background)).toEqual([true, undefined, true]);
});

it('a request with store: false does not make the client give up background mode', async () => {
  const created = { type: 'response.created', response: { ...queued, background: false } };
  const { upstream, bodies } = await bodiesOf(
    refusal(400, { param: 'background', message: 'background needs store' }),
    endedEvents(created),
    json(200, queued),
  );
  await upstream.create({ ...asked, store: false }, { stream: true, signal: never });
  expect(await upstream.create(asked, { stream: true, signal: never })).toMatchObject({ background: true });
  expect(bodies.map(({ background, store }) => [background, store])).toEqual([
    [true, false],
    [undefined, false],
    [true, true],
  ]);
});

it.each<[string, Step, boolean]>([
  [
    'LiteLLM’s 500',
    refusal(500, { message: "UnsupportedParamsError: no support for ['background']" }),
    false,
  ],
  ['a 403', refusal(403, { message: 'Background mode is not enabled for your organization' }), false],
  ['a 405', refusal(405, { message: 'Background mode is not supported' }), false],
  ['a 403 of streams', refusal(403, { message: 'Your organization must be verified to stream this' }), true],
  ['a 500 of streams', refusal(500, { message: 'Streaming is not supported by this deployment' }), true],
])('the client learns from %s what a server cannot do', async (_what, refused, background) => {
  const { upstream, bodies } = await bodiesOf(refused, json(200, { ...completed, background }));
  await upstream.create(asked, { stream: true, signal: never });
  await upstream.create(asked, { stream: true, signal: never });
  expect(bodies.map((body) => body['background'] === true && body['stream'])).toEqual([
    true,
    ...Array(2).fill(background ? false : expect.anything()),
  ]);
});

it('a 500 that only mentions the background is a failure', async () => {
  const { upstream, seen } = await scripted(refusal(500, { message: 'A background task failed' }));
  await expect(upstream.create(asked, { stream: true, signal: never })).rejects.toMatchObject({
    code: 'upstream_error',
  });
  expect(seen).toHaveLength(1);
});
