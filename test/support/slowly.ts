import type { Step } from './worlds/scripted-instance.ts';

/** Servers and readers that are slow on purpose: the only sleeps of the tests. */

/** Answers after this many milliseconds. */
export const later =
  (milliseconds: number, step: Step): Step =>
  (response, request) => {
    setTimeout(() => step(response, request), milliseconds);
  };

/** Reads a stream to its end, and pauses after every item. */
export async function readSlowly<Item>(stream: AsyncIterable<Item>, pauseMs: number): Promise<Item[]> {
  const items: Item[] = [];
  for await (const item of stream) {
    items.push(item);
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
  return items;
}
