import type { SingleBar } from 'cli-progress';
import { durationText, numberText } from '../../src/client/quantity.ts';
import { formatUsd } from '../../src/usage/usd.ts';
import type { Terminal } from './terminal.ts';

export interface BatchCount {
  /** The lines of the input that are not blank. */
  total: number;
  /** The lines of the output. */
  done: number;
  /** The lines of the output that have an error. */
  failed: number;
  /** The cost in US dollars of this run’s answers, as far as it is known; null: none has cost anything. */
  costUsd: number | null;
}

/**
 * BatchProgress shows the progress of a batch: as a bar on a terminal, elsewhere as a line every ten seconds.
 */
export interface BatchProgress {
  update(count: BatchCount): void;
  /** Prints a line beside the bar. */
  say(text: string): void;
  end(): void;
}

const LINE_EVERY_MS = 10_000;
const BAR_EVERY_MS = 250;

export async function startBatchProgress(terminal: Terminal, begun: BatchCount): Promise<BatchProgress> {
  const startedAt = performance.now();
  let count = begun;
  const text = (): string => progressText(count, begun, performance.now() - startedAt);
  const bar = terminal.isTerminal ? await startBar(terminal, begun) : undefined;
  const timer = setInterval(
    () => {
      if (bar === undefined) terminal.line(text());
      else bar.update(count.done, { text: text() });
    },
    bar === undefined ? LINE_EVERY_MS : BAR_EVERY_MS,
  );
  return {
    update(now) {
      count = now;
    },
    say(words) {
      // The old bar stays above the line, and a new one is drawn below it.
      bar?.stop();
      terminal.line(words);
      bar?.start(count.total, count.done, { text: text() });
    },
    end() {
      clearInterval(timer);
      bar?.update(count.done, { text: text() });
      bar?.stop();
    },
  };
}

/** progressText describes progress: `1,234 of 50,000 (2%), 3 failed, $12.34, 120/s, 6m 46s to go`. */
export function progressText(
  { total, done, failed, costUsd }: BatchCount,
  begun: BatchCount,
  elapsedMs: number,
): string {
  const perSecond = elapsedMs > 0 ? ((done - begun.done) * 1000) / elapsedMs : 0;
  const share = total === 0 ? 100 : Math.floor((done * 100) / total);
  return [
    `${numberText(done)} of ${numberText(total)} (${share}%)`,
    ...(failed > 0 ? [`${numberText(failed)} failed`] : []),
    ...(costUsd === null ? [] : [`${formatUsd(costUsd)}${begun.done > 0 ? ' in this run' : ''}`]),
    ...(perSecond > 0 ? [rateText(perSecond)] : []),
    ...(perSecond > 0 && done < total ? [`${durationText(((total - done) * 1000) / perSecond)} to go`] : []),
  ].join(', ');
}

function rateText(perSecond: number): string {
  if (perSecond >= 10) return `${numberText(Math.round(perSecond))}/s`;
  return perSecond >= 0.1 ? `${perSecond.toFixed(1)}/s` : `${(perSecond * 60).toFixed(1)}/min`;
}

/** startBar loads cli-progress only now, so that commands in a pipe do not pay for it. */
async function startBar({ stream }: Terminal, { total, done }: BatchCount): Promise<SingleBar> {
  const { default: progress } = await import('cli-progress');
  const bar = new progress.SingleBar({
    stream,
    format: '{bar} {text}',
    barCompleteChar: '█',
    barIncompleteChar: '░',
    barsize: 24,
    // cli-progress must not handle signals, because the entry point does. The cursor stays visible, so that a
    // killed process leaves the terminal usable.
    gracefulExit: false,
    hideCursor: null,
    linewrap: true,
    forceRedraw: true,
  });
  bar.start(total, done, { text: '' });
  return bar;
}
