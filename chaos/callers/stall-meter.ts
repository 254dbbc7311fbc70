import { monitorEventLoopDelay } from 'node:perf_hooks';
import { figure, type Requirement } from '../evidence/report.ts';
import { percentile } from '../fleet/timing.ts';

/**
 * StallMeter requests /livez of producers again and again. The longest time until an answer shows for how
 * long a producer was blocked.
 */
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
    // A producer that is gone is reported by other checks.
    for (const url of producerUrls) ask(url).catch(() => {});
  }, ASK_EVERY_MS);
  return {
    stop() {
      clearInterval(timer);
      own.disable();
      const times = [0.5, 0.99, 1].map((share) => percentile(answers, share).toFixed(0));
      return [
        figure(
          'answer times of /livez meanwhile: p50, p99, longest',
          `${times.join(', ')} ms (this process itself was blocked for ${(own.max / NANOSECONDS).toFixed(0)} ms)`,
        ),
      ];
    },
  };
}
