import type { NextJob } from '../../../src/fair-queue/fair-queue.ts';
import { createPassedOver } from '../../../worker/dispatch/passed-over.ts';

/** A look at jobs of these tenants, in their order; those in capitals need no window. */
const look = (tenants: string, isAll = false) => ({
  isAll,
  jobs: [...tenants].map((tenant) => ({ id: tenant, tenant: tenant.toLowerCase() }) as NextJob),
});
const isPassed = ({ id }: NextJob): boolean => id === id.toLowerCase();

it('jobs that are passed over are left out of the next look, which follows at once', () => {
  const passed = createPassedOver();
  expect(passed.note(look('aab'), isPassed)).toBe(true);
  expect(passed.counts()).toEqual({ a: 2, b: 1 });
  expect(passed.note(look('aa'), isPassed)).toBe(true);
  expect(passed.counts()).toEqual({ a: 4, b: 1 });
});

it('a job that needs no window ends the walk through the queue of its tenant, and is seen again', () => {
  const passed = createPassedOver();
  expect(passed.note(look('aAabb'), isPassed)).toBe(false);
  expect(passed.counts()).toEqual({ a: 1, b: 2 });
});

it('after sixteen looks in a row the dispatcher rests, and goes on where it was', () => {
  const passed = createPassedOver();
  const looks = Array.from({ length: 17 }, () => passed.note(look('a'), isPassed));
  expect(looks.indexOf(false)).toBe(15);
  expect(looks[16]).toBe(true);
  expect(passed.counts()).toEqual({ a: 17 });
});

it('the first jobs are looked at again ten seconds after the last one was reached', () => {
  let now = 0;
  const passed = createPassedOver(() => now);
  passed.note(look('aa'), isPassed);
  now = 60_000;
  expect(passed.counts()).toEqual({ a: 2 });
  expect(passed.note(look('a', true), isPassed)).toBe(false);
  now += 9999;
  expect(passed.counts()).toEqual({ a: 3 });
  now += 1;
  expect(passed.counts()).toEqual({});
});

it('started jobs may have stood among those that were passed over', () => {
  const passed = createPassedOver();
  passed.note(look('aab'), isPassed);
  passed.started(1);
  expect(passed.counts()).toEqual({ a: 1, b: 0 });
});
