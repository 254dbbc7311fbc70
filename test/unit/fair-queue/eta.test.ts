import { slotsTaken, waitingIn } from '../../../src/fair-queue/eta.ts';

const NOW = Date.parse('2026-11-23T12:00:00Z');
/** A line that moves by two jobs a second, whose answers take ten seconds. */
const STATUS = {
  reason: '',
  startsPerSecond: 2,
  basis: 'as in the last 30 s',
  durationMs: 10_000,
  notBefore: 0,
};
const ALICE = { tenant: 'alice', maxInFlight: undefined };

it('says the turn of a job, and when its answer will be there by the speed of the line', () => {
  const place = { before: 20, ownBefore: 5, stop: undefined, status: STATUS };
  expect(waitingIn(place, ALICE, false, NOW)).toEqual({
    waiting_for: 'its turn: 20 before it',
    position: 21,
    eta_ms: 20_000,
    eta_basis: '20 before it at 2 starts a second (as in the last 30 s), then 10 s for the answer',
  });
  expect(waitingIn({ ...place, before: 0 }, ALICE, false, NOW)).toMatchObject({ waiting_for: 'its start' });
});

it('adds the time for which the line stands', () => {
  const status = { ...STATUS, reason: 'rate limit until then', notBefore: NOW + 30_000 };
  const place = { before: 20, ownBefore: 5, stop: undefined, status };
  expect(waitingIn(place, ALICE, false, NOW)).toMatchObject({
    waiting_for: 'rate limit until then',
    eta_ms: 50_000,
  });
});

it("goes by the tenant's own places where these are fewer than the line would give it", () => {
  const place = { before: 20, ownBefore: 19, stop: undefined, status: STATUS };
  expect(waitingIn(place, { tenant: 'alice', maxInFlight: 1 }, false, NOW)).toMatchObject({
    eta_ms: 200_000,
    eta_basis: '19 of alice before it, of which 1 run at once, then 10 s for the answer',
  });
  // All are taken: one of those has to end first.
  const stop = { reason: slotsTaken('alice', 2), until: NOW + 1000 };
  expect(
    waitingIn({ ...place, ownBefore: 0, before: 0, stop }, { tenant: 'alice', maxInFlight: 2 }, false, NOW),
  ).toMatchObject({ waiting_for: slotsTaken('alice', 2), eta_ms: 15_000 });
});

it.each([
  ['a budget', 'the daily budget of alice ($1.00) is used up or reserved until midnight'],
  ['a price', 'my-model has no known price'],
])('says no time where %s stops the tenant', (_, reason) => {
  const place = { before: 2, ownBefore: 2, stop: { reason, until: NOW + 5000 }, status: STATUS };
  expect(waitingIn(place, { tenant: 'alice', maxInFlight: 5 }, false, NOW)).toEqual({
    waiting_for: reason,
    position: 3,
    eta_ms: null,
    eta_basis: 'when its tenant may go on is not known',
  });
});

it.each([
  ['no answer has been seen', { durationMs: undefined }, 'no answer of this model has been seen yet'],
  ['nothing has started yet', { startsPerSecond: undefined }, 'how fast the line moves is not known yet'],
])('says no time while %s', (_, missing, basis) => {
  const place = { before: 2, ownBefore: 2, stop: undefined, status: { ...STATUS, ...missing } };
  expect(waitingIn(place, ALICE, false, NOW)).toMatchObject({ eta_ms: null, eta_basis: basis });
});

it('waits for a worker when no dispatcher has said anything lately, whatever stood against it before', () => {
  const stop = { reason: slotsTaken('alice', 1), until: NOW - 60_000 };
  expect(waitingIn({ before: 0, ownBefore: 0, stop, status: undefined }, ALICE, false, NOW)).toMatchObject({
    waiting_for: 'a free worker',
    position: 1,
    eta_ms: null,
  });
});
