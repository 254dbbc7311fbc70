import { countText, numberText } from '../../../src/client/quantity.ts';
import type { Sample } from '../../../src/overview/history.ts';

const HEIGHT = 40;
const BAR = 4;
const EVERY_MS = 300_000;
const HOURS = 6;
/** HISTORY_MS is how far back the charts go, in milliseconds. */
export const HISTORY_MS = HOURS * 3_600_000;

/**
 * Sparks shows what a model has ended and what has waited, as two small charts. A time without a sample, at
 * which no worker was running, stays empty.
 *
 * @param until the end of the charts, in ISO 8601.
 */
export function Sparks({ samples, until }: { samples: readonly Sample[]; until: string }) {
  if (samples.length === 0) return null;
  const first = Date.parse(until) - HISTORY_MS;
  const hours = `the last ${HOURS} hours`;
  const [completed, failed] = [sum(samples, 'completed'), sum(samples, 'failed')];
  const most = Math.max(0, ...samples.map(({ waiting }) => waiting));
  const frame = { first, slots: HISTORY_MS / EVERY_MS };
  return (
    <div class="sparks">
      <Chart
        {...frame}
        label={`In ${hours} ${countText(completed, 'job')} completed, ${numberText(failed)} failed or were cancelled`}
        caption={`${numberText(completed)} ✓ ${numberText(failed)} ✕ in ${HOURS} h`}
        bars={samples.map(({ at, completed: good, failed: bad }) => ({ at, parts: [good, bad] }))}
        classes={['good', 'bad']}
      />
      <Chart
        {...frame}
        label={`In ${hours} at most ${countText(most, 'job')} waited`}
        caption={`at most ${numberText(most)} ○`}
        bars={samples.map(({ at, waiting }) => ({ at, parts: [waiting] }))}
        classes={['late']}
      />
    </div>
  );
}

interface Bar {
  at: number;
  /** The values that stand on each other, the lowest first. */
  parts: readonly number[];
}

function Chart({
  label,
  caption,
  bars,
  classes,
  first,
  slots,
}: {
  label: string;
  caption: string;
  bars: readonly Bar[];
  /** The class of each part. */
  classes: readonly string[];
  /** The time at the left edge, in Unix milliseconds. */
  first: number;
  slots: number;
}) {
  const most = Math.max(1, ...bars.map(({ parts }) => total(parts)));
  return (
    <figure>
      <svg viewBox={`0 0 ${slots * BAR} ${HEIGHT}`} role="img" aria-label={label} preserveAspectRatio="none">
        {bars.flatMap(({ at, parts }) =>
          parts.map((value, i) => {
            const top = total(parts.slice(0, i + 1));
            if (value === 0) return null;
            return (
              <rect
                key={`${at} ${i}`}
                class={classes[i]}
                x={Math.floor((at - first) / EVERY_MS) * BAR}
                y={HEIGHT - (top / most) * HEIGHT}
                width={BAR - 1}
                height={(value / most) * HEIGHT}
              />
            );
          }),
        )}
      </svg>
      <figcaption>{caption}</figcaption>
    </figure>
  );
}

function total(values: readonly number[]): number {
  return values.reduce((all, value) => all + value, 0);
}

function sum(samples: readonly Sample[], field: 'completed' | 'failed'): number {
  return total(samples.map((sample) => sample[field]));
}
