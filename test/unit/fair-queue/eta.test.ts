import { NO_HINDRANCE, SLOTS_TAKEN, waitingIn } from '../../../src/fair-queue/eta.ts';

const NOW = Date.parse('2026-11-23T12:00:00Z');
/** A queue that starts two jobs per second, whose answers take ten seconds. */
const STATUS = {
  reason: '',
  startsPerSecond: 2,
  basis: 'measured over the last 30 s',
  durationMs: 10_000,
  notBefore: 0,
};
const ALICE = { tenant: 'alice', maxInFlight: undefined };

it('waitingIn names the position of a job, and estimates its answer from the speed of the queue', () => {
  const position = { before: 20, ownBefore: 5, pause: undefined, status: STATUS };
  expect(waitingIn(position, ALICE, NO_HINDRANCE, NOW)).toEqual({
    waiting_for: 'its turn: 20 jobs before it',
    position: 21,
    eta_ms: 20_000,
    eta_basis:
      '20 jobs before it at 2 starts per second (measured over the last 30 s), then 10 s for the answer',
  });
  expect(waitingIn({ ...position, before: 1 }, ALICE, NO_HINDRANCE, NOW)).toMatchObject({
    waiting_for: 'its turn: 1 job before it',
  });
  expect(waitingIn({ ...position, before: 0 }, ALICE, NO_HINDRANCE, NOW)).toMatchObject({
    waiting_for: 'its start',
  });
});

it('waitingIn adds the time for which nothing of the queue may start', () => {
  const status = { ...STATUS, reason: 'rate limit until then', notBefore: NOW + 30_000 };
  const position = { before: 20, ownBefore: 5, pause: undefined, status };
  expect(waitingIn(position, ALICE, NO_HINDRANCE, NOW)).toMatchObject({
    waiting_for: 'rate limit until then',
    eta_ms: 50_000,
  });
});

it('waitingIn estimates from the limit of the tenant where that takes longer than the queue', () => {
  const position = { before: 20, ownBefore: 19, pause: undefined, status: STATUS };
  expect(waitingIn(position, { tenant: 'alice', maxInFlight: 1 }, NO_HINDRANCE, NOW)).toMatchObject({
    eta_ms: 200_000,
    eta_basis: '19 jobs of alice before it, 1 at a time, then 10 s for the answer',
  });
  // At the limit, one of the jobs in flight has to end first.
  const pause = { reason: SLOTS_TAKEN, until: NOW + 1000 };
  expect(
    waitingIn(
      { ...position, ownBefore: 0, before: 0, pause },
      { tenant: 'alice', maxInFlight: 2 },
      NO_HINDRANCE,
      NOW,
    ),
  ).toMatchObject({ waiting_for: 'tenant alice is at its limit of 2 jobs in flight', eta_ms: 15_000 });
});

it.each([
  ['a used up budget', 'the daily budget of alice ($1.00) is used up or reserved until midnight'],
  ['an unknown price', 'my-model has no known price'],
])('waitingIn expects no time while %s pauses the tenant', (_, reason) => {
  const position = { before: 2, ownBefore: 2, pause: { reason, until: NOW + 5000 }, status: STATUS };
  expect(waitingIn(position, { tenant: 'alice', maxInFlight: 5 }, NO_HINDRANCE, NOW)).toEqual({
    waiting_for: reason,
    position: 3,
    eta_ms: null,
    eta_basis: 'it is not known when its tenant may start jobs again',
  });
});

it.each([
  ['the model has not answered a job', { durationMs: undefined }, 'this model has not answered a job yet'],
  ['no job has started', { startsPerSecond: undefined }, 'the speed of the queue is not known yet'],
])('waitingIn expects no time while %s', (_, missing, basis) => {
  const position = { before: 2, ownBefore: 2, pause: undefined, status: { ...STATUS, ...missing } };
  expect(waitingIn(position, ALICE, NO_HINDRANCE, NOW)).toMatchObject({ eta_ms: null, eta_basis: basis });
});

it('waitingIn names a free worker when no dispatcher has written a status lately, whatever its tenant waited for before', () => {
  const pause = { reason: SLOTS_TAKEN, until: NOW - 60_000 };
  const position = { before: 0, ownBefore: 0, pause, status: undefined };
  expect(waitingIn(position, ALICE, NO_HINDRANCE, NOW)).toMatchObject({
    waiting_for: 'a free worker',
    position: 1,
    eta_ms: null,
  });
});
