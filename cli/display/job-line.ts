import { oneLine } from '../../src/client/terminal-text.ts';
import type { JobView, ResultSummary } from '../../src/job/view.ts';
import { whyUnanswered } from '../../src/responses/unanswered.ts';
import { costText } from './cost-text.ts';
import { paintedStatus, timeSpent } from './job-table.ts';
import type { Terminal } from './terminal.ts';

/** jobLine shows a job in one line, without its question: `🔄 active  ID  o3  attempt 1/5  12s`. */
export function jobLine(job: JobView, terminal: Terminal): string {
  return [
    paintedStatus(job, terminal),
    oneLine(job.id),
    oneLine(job.model),
    job.attempt === 0 ? '' : `attempt ${job.attempt}/${job.max_attempts}`,
    timeSpent(job),
    costText(job),
    reasonOf(job),
  ]
    .filter((part) => part !== '')
    .join('  ');
}

function reasonOf(job: JobView): string {
  switch (job.status) {
    case 'waiting':
    case 'delayed':
      return `for ${oneLine(job.waiting_for)}`;
    case 'failed':
      return `${oneLine(job.error.code)}: ${oneLine(job.error.message)}`;
    case 'completed':
      return oneLine(endingOf(job.result));
    case 'active':
    case 'cancelled':
      return '';
    default:
      return job satisfies never;
  }
}

function endingOf(result: ResultSummary): string {
  const reason = whyUnanswered(result);
  if (reason !== undefined) return `no answer: ${reason}`;
  return result.incomplete_reason === null ? '' : `incomplete: ${result.incomplete_reason}`;
}
