import { monitorEventLoopDelay } from 'node:perf_hooks';
import { percentile } from '../fleet/timing.ts';
import type { Requirement } from '../scenario.ts';

/** Asks producers over and over whether they live: the longest answer is the longest time that they did nothing else. */
export interface StallMeter {
  stop(): Requirement[];
}

const ASK_EVERY_MS = 50;
const NANOSECONDS = 1e6;

export function createStallMeter(producerUrls: readonly string[]): StallMeter {
  const own = monitorEventLoopDelay({ resolution: 10 });
  own.enable();
  const answers: number[] = [];
  const ask = async (url: string): Promise<void> => {
    const askedAt = performance.now();
    await (await fetch(new URL('/livez', url))).arrayBuffer();
    answers.push(performance.now() - askedAt);
  };
  const timer = setInterval(() => {
    // One that is gone is somebody else's to report.
    for (const url of producerUrls) ask(url).catch(() => {});
  }, ASK_EVERY_MS);
  return {
    stop() {
      clearInterval(timer);
      own.disable();
      const times = [0.5, 0.99, 1].map((share) => percentile(answers, share).toFixed(0));
      return [
        {
          what: 'a producer answers /livez meanwhile: p50, p99, longest',
          required: '',
          measured: `${times.join(', ')} ms (this process itself stood still for ${(own.max / NANOSECONDS).toFixed(0)} ms)`,
          met: undefined,
        },
      ];
    },
  };
}
