import { createSemaphore } from '../../../src/async/semaphore.ts';

const never = new AbortController().signal;

it('a semaphore hands out its slots, and then one for each that is released, in the order of asking', async () => {
  const semaphore = createSemaphore(2);
  expect(await semaphore.acquire(never)).toBe(true);
  expect(semaphore.isFull).toBe(false);
  expect(await semaphore.acquire(never)).toBe(true);
  expect(semaphore.isFull).toBe(true);
  const order: string[] = [];
  const third = semaphore.acquire(never).then(() => order.push('third'));
  const fourth = semaphore.acquire(never).then(() => order.push('fourth'));
  await Promise.resolve();
  expect(order).toEqual([]);
  semaphore.release();
  await third;
  expect(order).toEqual(['third']);
  expect(semaphore.inUse).toBe(2);
  semaphore.release();
  await fourth;
  expect(order).toEqual(['third', 'fourth']);
});

it('a wait for a slot ends with its signal, and loses no slot', async () => {
  const semaphore = createSemaphore(1);
  await semaphore.acquire(never);
  const leaving = new AbortController();
  const waiting = semaphore.acquire(leaving.signal);
  leaving.abort();
  expect(await waiting).toBe(false);
  expect(await semaphore.acquire(AbortSignal.abort())).toBe(false);
  semaphore.release();
  expect(semaphore.inUse).toBe(0);
  expect(await semaphore.acquire(never)).toBe(true);
});

it('a semaphore is idle when the last slot is released, and a wait for that ends with its signal', async () => {
  const semaphore = createSemaphore(2);
  await semaphore.idle(never);
  await semaphore.acquire(never);
  await semaphore.acquire(never);
  let isIdle = false;
  const idle = semaphore.idle(never).then(() => {
    isIdle = true;
  });
  semaphore.release();
  await Promise.resolve();
  expect(isIdle).toBe(false);
  const leaving = new AbortController();
  const waiting = semaphore.idle(leaving.signal);
  leaving.abort();
  await waiting;
  semaphore.release();
  await idle;
  expect(isIdle).toBe(true);
});
