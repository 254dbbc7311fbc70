import { distanceText, durationText, latenessText, numberText } from '../client/quantity.ts';
import { oneLine } from '../client/terminal-text.ts';
import { preview } from '../errors/preview.ts';
import type { JobView } from '../job/view.ts';
import { whyUnanswered } from '../responses/unanswered.ts';
import { formatUsd } from '../usage/usd.ts';
import type { JobFacts } from './tool.ts';

/** How much of a failure's message a model is told, in characters. Clients cut long texts of errors. */
const LONGEST_MESSAGE = 2000;
/** How much of a question stands in a list, in characters. */
const QUESTION_CHARACTERS = 60;

/** sentence ends a text with a full stop, unless it has an end already: the upstream's words often have one. */
export function sentence(text: string): string {
  return /[.!?…]$/.test(text) ? text : `${text}.`;
}

/** statusSentence says how a job stands: `job_… is waiting for a free worker: position 3, about 6m 00s.` */
export function statusSentence(job: JobView, now = Date.now()): string {
  const id = oneLine(job.id);
  switch (job.status) {
    case 'waiting': {
      const place = job.position === null ? '' : `position ${job.position}`;
      const time = job.eta_ms === null ? '' : `the answer is expected in about ${durationText(job.eta_ms)}`;
      const more = [place, time].filter((part) => part !== '').join(', ');
      return `${id} is waiting for ${oneLine(job.waiting_for)}${more === '' ? '' : ` (${more})`}${neededText(job, now)}.`;
    }
    case 'delayed':
      return sentence(`${id} is waiting for ${oneLine(job.waiting_for)}`);
    case 'active': {
      if (job.cancelling) return `${id} is being cancelled.`;
      const { output_characters: written } = job.progress;
      const sofar =
        written === 0 ? 'nothing written yet' : `${numberText(written)} characters written so far`;
      return `${id} is active: the model has been working for ${durationText(job.duration_ms)}, ${sofar}${neededText(job, now)}.`;
    }
    case 'completed': {
      const reason = whyUnanswered(job.result);
      const outcome = reason === undefined ? 'completed' : `completed without an answer: ${oneLine(reason)}`;
      return sentence(`${id} is ${outcome}${endingText(job)}`);
    }
    case 'failed': {
      const { code, message } = job.error;
      const words = preview(oneLine(message), LONGEST_MESSAGE);
      return sentence(`${id} failed: ${oneLine(code)}: ${words}${endingText(job)}`);
    }
    case 'cancelled':
      return `${id} was cancelled${endingText(job)}.`;
    default:
      return job satisfies never;
  }
}

/** A cheaper answer may be slow, and an agent should not take that for a failure. */
function neededText(job: JobView, now: number): string {
  const { needed_by: time, completion_window: window } = job;
  if (time === null) return '';
  const slow = window === null || window === 'soonest' ? '' : `, bought for less within ${window}`;
  const late = latenessText(job, now);
  return `; needed by ${oneLine(time)}${slow}${late === '' ? '' : `, ${late}`}`;
}

/** nextStep says what a model should do next about a job. */
export function nextStep(job: JobView): string {
  switch (job.status) {
    case 'waiting':
    case 'delayed':
    case 'active':
      return 'It goes on without you: do other work, and call get_o3_result with this id later.';
    case 'completed':
      return 'Read the answer with get_o3_result.';
    case 'failed':
      return job.error.retryable
        ? 'Asking again buys a new answer, and may work.'
        : 'Asking the same again would fail again: change the question, or tell the user.';
    case 'cancelled':
      return 'There is no answer. Asking again buys a new one.';
    default:
      return job satisfies never;
  }
}

/** listLine shows a job in one line of a list: `job_…  completed  5m 12s ago  $0.41  "Why is the …"`. */
export function listLine(job: JobView, now: number): string {
  const status = job.status === 'active' && job.cancelling ? 'being cancelled' : job.status;
  const cost = costText(job);
  return [
    oneLine(job.id),
    status,
    distanceText(job.created_at, now),
    ...(cost === '' ? [] : [cost]),
    JSON.stringify(preview(oneLine(job.question), QUESTION_CHARACTERS)),
  ].join('  ');
}

/** costText writes what a job or an answer has cost: `$0.41`, `about $0.41`, `simulated`; '' when unknown. */
export function costText(paid: {
  simulated: boolean;
  cost_usd: number | null;
  cost_estimated?: boolean;
}): string {
  if (paid.simulated && !paid.cost_usd) return 'simulated';
  if (paid.cost_usd === null) return '';
  return `${paid.cost_estimated === true ? 'about ' : ''}${formatUsd(paid.cost_usd)}`;
}

/** factsOf are the facts about a job for programs. */
export function factsOf(job: JobView): JobFacts {
  return {
    id: job.id,
    status: job.status,
    cost_usd: job.cost_usd,
    ...(job.status === 'waiting' && { position: job.position, eta_ms: job.eta_ms }),
  };
}

/** endingText says what a finished job took and cost: ` (took 5m 12s, cost $0.41)`. */
function endingText(job: Extract<JobView, { finished_at: string }>): string {
  const cost = costText(job);
  const parts = [
    ...(job.started_at === null ? [] : [`took ${durationText(job.duration_ms)}`]),
    ...(cost === '' ? [] : [cost === 'simulated' ? 'simulated, no model was asked' : `cost ${cost}`]),
  ];
  return parts.length === 0 ? '' : ` (${parts.join(', ')})`;
}
