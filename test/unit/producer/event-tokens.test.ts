import { createHmac } from 'node:crypto';
import { SignJWT } from 'jose';
import { createEventTokens } from '../../../producer/access/event-tokens.ts';
import { createKeyring } from '../../../producer/access/keyring.ts';
import type { ApiKey } from '../../../src/config/api-keys.ts';

const ALICE = { name: 'alice', secret: 'the-key-of-alice-1234' };
const BOB = { name: 'bob', secret: 'the-key-of-bob-123456' };
const tokensOf = (keys: ApiKey[]) => createEventTokens(createKeyring({ keys }));
const callerOf = ({ secret, ...key }: ApiKey) => {
  const caller = createKeyring({ keys: [{ secret, ...key }] }).callerOf(secret);
  if (caller === undefined) throw new Error('expected the key to be known');
  return caller;
};
const tokens = tokensOf([ALICE, BOB]);
const alice = callerOf(ALICE);
const MINUTE_MS = 60_000;

afterEach(() => jest.useRealTimers());

test('a token is known to each producer with the key, and to no other', async () => {
  const { token } = await tokens.sign(alice, 'job_1');
  expect(await tokens.callerOf(token, 'job_1')).toEqual(alice);
  expect(await tokensOf([ALICE]).callerOf(token, 'job_1')).toEqual(alice);
  expect(await tokensOf([BOB]).callerOf(token, 'job_1')).toBeUndefined();
  const changed = tokensOf([{ ...ALICE, secret: 'the-new-key-of-alice' }]);
  expect(await changed.callerOf(token, 'job_1')).toBeUndefined();
});

test('a token is for one job', async () => {
  const { token } = await tokens.sign(alice, 'job_1');
  expect(await tokens.callerOf(token, 'job_2')).toBeUndefined();
});

test('a token opens streams for ten minutes', async () => {
  jest.useFakeTimers({
    now: Date.parse('2026-11-29T10:00:00.400Z'),
    doNotFake: ['queueMicrotask', 'nextTick'],
  });
  const { token, expiresAt } = await tokens.sign(alice, 'job_1');
  expect(expiresAt.toISOString()).toBe('2026-11-29T10:10:00.000Z');
  jest.setSystemTime(Date.now() + 9 * MINUTE_MS);
  expect(await tokens.callerOf(token, 'job_1')).toEqual(alice);
  jest.setSystemTime(Date.now() + MINUTE_MS);
  expect(await tokens.callerOf(token, 'job_1')).toBeUndefined();
});

const keyOf = (secret: string, use: string): Buffer => createHmac('sha256', secret).update(use).digest();
const forged = (kid: string, key: Uint8Array): Promise<string> =>
  new SignJWT()
    .setProtectedHeader({ alg: 'HS256', kid })
    .setAudience('/jobs/job_1/events')
    .setExpirationTime('5 minutes')
    .sign(key);

test('a token that was made in any other way is refused', async () => {
  const key = keyOf(ALICE.secret, 'o3-queue events');
  expect(await tokens.callerOf(await forged(alice.keyId, key), 'job_1')).toEqual(alice);
  const { token } = await tokens.sign(alice, 'job_1');
  const [, claims] = token.split('.');
  const none = Buffer.from(JSON.stringify({ alg: 'none', kid: alice.keyId })).toString('base64url');
  const endless = await new SignJWT()
    .setProtectedHeader({ alg: 'HS256', kid: alice.keyId })
    .setAudience('/jobs/job_1/events')
    .sign(key);
  for (const bad of [
    await forged(alice.keyId, keyOf(BOB.secret, 'o3-queue events')),
    await forged(alice.keyId, keyOf(ALICE.secret, 'o3-queue session')),
    await forged(`admin${alice.keyId.slice('alice'.length)}`, key),
    endless,
    `${none}.${claims}.`,
    `${token.slice(0, -4)}AAAA`,
    token.slice(0, -1),
    'token',
    '',
  ]) {
    expect({ bad, caller: await tokens.callerOf(bad, 'job_1') }).toEqual({ bad, caller: undefined });
  }
});
