import { getEventListeners } from 'node:events';
import { createAnySignal } from '../../../producer/http/any-signal.ts';

it('aborts with its own signal, for its reason, and no other does', () => {
  const lasting = new AbortController();
  const either = createAnySignal(lasting.signal);
  const [one, other] = [new AbortController(), new AbortController()];
  const [first, second] = [either(one.signal), either(other.signal)];
  one.abort(new Error('gone'));
  expect(first.reason).toEqual(new Error('gone'));
  expect(second.aborted).toBe(false);
  lasting.abort(new Error('draining'));
  expect(first.reason).toEqual(new Error('gone'));
  expect(second.reason).toEqual(new Error('draining'));
});

it('is aborted from the beginning when one of the two is', () => {
  const lasting = new AbortController();
  const either = createAnySignal(lasting.signal);
  expect(either(AbortSignal.abort()).aborted).toBe(true);
  lasting.abort();
  expect(either(new AbortController().signal).aborted).toBe(true);
});

it('costs the lasting signal one listener, however many there are', () => {
  const lasting = new AbortController();
  const either = createAnySignal(lasting.signal);
  const passing = Array.from({ length: 1000 }, () => new AbortController());
  const joined = passing.map(({ signal }) => either(signal));
  expect(getEventListeners(lasting.signal, 'abort')).toHaveLength(1);
  for (const controller of passing) controller.abort();
  expect(joined.every(({ aborted }) => aborted)).toBe(true);
});
