import { distanceText, durationText, latenessText } from '../../src/client/quantity.ts';
import { oneLine, printable } from '../../src/client/terminal-text.ts';
import type { JobView, ResultSummary, WaitingJob } from '../../src/job/view.ts';
import { whyUnanswered } from '../../src/responses/unanswered.ts';
import { formatUsd } from '../../src/usage/usd.ts';
import { costText } from './cost-text.ts';
import { paintedStatus, pairsOf } from './job-table.ts';
import type { Terminal } from './terminal.ts';
import { wrappedText } from './wrapped-text.ts';

type Detail = [label: string, text: string];

/** EarlierAttempt says what an attempt ended with, after which the next one began. */
export interface EarlierAttempt {
  /** The number of the attempt that began then. */
  next: number;
  reason: string;
}

export interface MoreDetails {
  attempts?: readonly EarlierAttempt[];
  /** In Unix milliseconds. Default: the time of this machine. */
  now?: number;
}

/** jobDetails shows everything that the API tells about one job, a line for each detail. */
export function jobDetails(
  job: JobView,
  terminal: Terminal,
  { attempts: earlier = [], now = Date.now() }: MoreDetails = {},
): string {
  const details: Detail[] = [
    ['question', oneLine(job.question)],
    ['model', oneLine(job.model)],
    ...detail('metadata', pairsOf(job.metadata).join('\n')),
    ['attempt', job.attempt === 0 ? `none yet, at most ${job.max_attempts}` : attempts(job)],
    ...earlier.map(
      ({ next, reason }): Detail => ['earlier', `${oneLine(reason)}; then attempt ${next} began`],
    ),
    ...purchases(job),
    ...detail('cost', costText(job)),
    ['created', moment(job.created_at, now)],
    ...neededBy(job, now),
    ...detailsByStatus(job, now),
  ];
  const width = Math.max(...details.map(([label]) => label.length));
  const lines = details.map(
    ([label, text]) =>
      `  ${terminal.paint('dim', label.padEnd(width))}  ${inRoom(text, width + 4, terminal)}`,
  );
  return [`${paintedStatus(job, terminal)}  ${oneLine(job.id)}`, ...lines].join('\n');
}

const INDENTATION = '    ';
/** The fewest cells for which our line breaks are better than the terminal's own. */
const NARROWEST = 20;

/** inRoom breaks the text behind a label into lines that fit the terminal, and indents all but the first. */
function inRoom(text: string, labelWidth: number, terminal: Terminal): string {
  const columns = terminal.columns();
  const lines =
    columns === undefined || columns < labelWidth + NARROWEST
      ? text.split('\n')
      : wrappedText(text, columns - INDENTATION.length, columns - labelWidth);
  return lines.join(`\n${INDENTATION}`);
}

function detailsByStatus(job: JobView, now: number): Detail[] {
  switch (job.status) {
    case 'waiting':
      return [['waits for', oneLine(job.waiting_for)], ...expected(job)];
    case 'delayed':
      return [
        ['waits for', oneLine(job.waiting_for)],
        ['due', moment(job.due_at, now)],
      ];
    case 'active':
      return [
        ['started', moment(job.started_at, now)],
        ['running', durationText(job.duration_ms)],
        ...upstream(job.upstream_id, job.progress.upstream_status),
        ...detail('last heard', job.progress.seen_at === null ? '' : moment(job.progress.seen_at, now)),
        ...detail('so far', charactersOf(job.progress.output_characters)),
      ];
    case 'completed':
      return [
        ...ended(job, now),
        ...upstream(job.upstream_id, job.result.upstream_model),
        ...detail('fallback', oneLine(fallbackText(job.result) ?? '')),
        ...detail('tokens', job.result.usage === null ? '' : tokensText(job.result.usage)),
        ...detail('incomplete', oneLine(job.result.incomplete_reason ?? '')),
        ...detail('no answer', oneLine(whyUnanswered(job.result) ?? '')),
        ...detail('answer', printable(job.result.answer_preview ?? '').trim()),
      ];
    case 'failed':
      return [
        ...ended(job, now),
        ...upstream(job.upstream_id, null),
        ...detail('tokens', job.usage === null ? '' : tokensText(job.usage)),
        ['error', `${oneLine(job.error.code)}: ${oneLine(job.error.message)}`],
      ];
    case 'cancelled':
      return [
        ...ended(job, now),
        ...upstream(job.upstream_id, null),
        ...detail('tokens', job.usage === null ? '' : tokensText(job.usage)),
      ];
    default:
      return job satisfies never;
  }
}

function expected({ eta_ms: etaMs, eta_basis: basis }: WaitingJob): Detail[] {
  return etaMs === null ? [] : detail('expected', `in ${durationText(etaMs)} (${oneLine(basis ?? '')})`);
}

/** fallbackText says that a fallback answered, and what that costs; undefined: the first choice answered. */
export function fallbackText({
  fallback_from: from,
  fallback_extra_usd: extra,
}: Pick<ResultSummary, 'fallback_from' | 'fallback_extra_usd'>): string | undefined {
  if (from === null) return undefined;
  return `for ${from}, which the upstream no longer has${extraText(from, extra)}`;
}

function extraText(from: string, extra: number | null): string {
  if (extra === null) return '';
  if (extra === 0) return `; it costs the same as ${from}`;
  return `; it costs ${formatUsd(Math.abs(extra))} ${extra > 0 ? 'more' : 'less'} than ${from}`;
}

/** tokensText writes a number of tokens: `1,234 tokens, 1,000 of them reasoning`. */
export function tokensText(usage: { total_tokens: number; reasoning_tokens: number }): string {
  const total = `${usage.total_tokens.toLocaleString('en-US')} tokens`;
  const reasoning = usage.reasoning_tokens.toLocaleString('en-US');
  return usage.reasoning_tokens === 0 ? total : `${total}, ${reasoning} of them reasoning`;
}

function attempts(job: JobView): string {
  return `${job.attempt} of ${job.max_attempts}`;
}

/** purchases shows the number of purchases, unless it is none or one and certain. */
function purchases({ purchases: known, uncertain_purchases: uncertain }: JobView): Detail[] {
  if (known < 2 && uncertain === 0) return [];
  const responses = `${known} ${known === 1 ? 'response' : 'responses'}`;
  return [['bought', uncertain === 0 ? responses : `${responses}, perhaps ${uncertain} more`]];
}

/** neededBy shows when the answer is needed, and the completion window that was chosen or asked for. */
function neededBy(job: JobView, now: number): Detail[] {
  const { needed_by: time, completion_window: window } = job;
  const late = latenessText(job, now);
  return [
    ...detail(
      'needed by',
      time === null ? '' : late === '' ? moment(time, now) : `${oneLine(time)}, ${late}`,
    ),
    ...detail('window', time === null && window === 'soonest' ? '' : oneLine(window ?? '')),
  ];
}

function moment(time: string, now: number): string {
  return `${oneLine(time)} (${distanceText(time, now)})`;
}

function ended(
  job: { started_at: string | null; finished_at: string; duration_ms: number },
  now: number,
): Detail[] {
  const finished: Detail = ['finished', moment(job.finished_at, now)];
  if (job.started_at === null) return [finished, ['took', 'no time: the job never started']];
  return [['started', moment(job.started_at, now)], finished, ['took', durationText(job.duration_ms)]];
}

function upstream(id: string | null, more: string | null): Detail[] {
  return detail(
    'upstream',
    [id, more]
      .filter((text) => text !== null)
      .map(oneLine)
      .join(', '),
  );
}

function charactersOf(count: number): string {
  return count === 0 ? '' : `${count.toLocaleString('en-US')} characters`;
}

function detail(label: string, text: string): Detail[] {
  return text === '' ? [] : [[label, text]];
}
