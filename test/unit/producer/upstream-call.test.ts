import { brokenError } from '../../../producer/v1/direct/direct-errors.ts';
import { createUpstreamCall, type DirectRequest } from '../../../producer/v1/direct/upstream-call.ts';
import {
  closeScripted,
  type Step,
  startScripted,
  unusedUrl,
} from '../../support/worlds/scripted-instance.ts';

const stopping = new AbortController();
afterEach(closeScripted);
afterAll(() => stopping.abort());

const REQUEST: DirectRequest = {
  path: '/responses/compact',
  body: '{}',
  headers: {},
  upstreamModel: 'o3',
  timeoutMs: 60_000,
};

async function outcomeOf(step: Step | undefined, timeoutMs = REQUEST.timeoutMs) {
  const baseUrl = step === undefined ? await unusedUrl() : (await startScripted(step)).url;
  const call = createUpstreamCall({ apiKey: undefined, baseUrl }, stopping.signal);
  const outcome = await call({ ...REQUEST, timeoutMs });
  if (outcome.kind !== 'broken') throw new Error(`expected a broken call, got ${JSON.stringify(outcome)}`);
  const said = { baseUrl, path: REQUEST.path, timeoutMs };
  return { outcome, error: (isBought: boolean) => brokenError(outcome, { ...said, isBought }) };
}

test('a silent upstream is left after the time limit, and a paid call is not sent again', async () => {
  const { outcome, error } = await outcomeOf(() => {}, 50);
  expect(outcome).toMatchObject({ isLate: true, isSent: true });
  expect(error(true)).toMatchObject({ status: 504, headers: { 'x-should-retry': 'false' } });
  expect(error(true).message).toContain(
    'did not answer POST /responses/compact within 0.05 s. It may have been paid for.',
  );
  expect(error(false)).toMatchObject({ status: 504, headers: {}, envelope: { code: 'upstream_timeout' } });
});

test('an upstream that is not there has bought nothing, and the SDK may try again', async () => {
  const { outcome, error } = await outcomeOf(undefined);
  expect(outcome).toMatchObject({ isLate: false, isSent: false });
  expect(error(true)).toMatchObject({ status: 502, headers: {}, envelope: { code: 'upstream_unreachable' } });
  expect(error(true).message).not.toContain('paid');
});

test('a connection that breaks after the call was read may have bought', async () => {
  const { outcome, error } = await outcomeOf((response) => response.destroy());
  expect(outcome).toMatchObject({ isLate: false, isSent: true });
  expect(error(true)).toMatchObject({ status: 502, headers: { 'x-should-retry': 'false' } });
});
