import { createCreateCall, type Send } from '../../../worker/upstream/create.ts';

const PATIENCE = { answerMs: 1000, silenceMs: 1000, graceMs: 1000, slotMs: 1000, lostMs: 1000 };
const LIMITS = {
  ...{ limitRequests: undefined, limitTokens: undefined },
  ...{ remainingRequests: undefined, remainingTokens: undefined },
};

it('what a server lacks for one upstream model is not learned for another', async () => {
  const sent: unknown[] = [];
  /** Has background mode for all models but one. */
  const send: Send = async ({ model, background = false }) => {
    sent.push([model, background]);
    const response = {
      ...{ id: `resp_${sent.length}`, object: 'response', model, output: [] },
      ...(model === 'old' ? { status: 'completed', background: false } : { status: 'queued', background }),
    };
    const body = JSON.stringify(response);
    return { kind: 'body', limits: LIMITS, simulated: false, body, contentType: 'application/json' };
  };
  const create = createCreateCall(send, PATIENCE);
  const { signal } = new AbortController();
  const modes: boolean[] = [];
  for (const model of ['old', 'new', 'old', 'new'])
    modes.push((await create({ model, input: 'Why?' }, { stream: false, signal })).background);
  expect(modes).toEqual([false, true, false, true]);
  expect(sent).toEqual([
    ['old', true],
    ['new', true],
    ['old', false],
    ['new', true],
  ]);
});
