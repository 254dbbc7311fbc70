import { responseIdOf } from '../../../src/job/ids/response-id.ts';
import type { JobDetail } from '../../../src/job-store/result.ts';
import { isEmptyFrame } from '../../../src/responses/output-item-fields.ts';
import type { SharedTexts } from '../../http/sse.ts';
import type { AnswerWriter, Asked } from '../door.ts';
import { filledEvent } from './filled-output.ts';
import { isBackground, responseObject, unansweredObject } from './response-object.ts';

/**
 * responseWriter writes an answer as the events of the Responses API. The number of each is its
 * `sequence_number`.
 * @param texts texts that the stream shares with other streams of the same route.
 */
export function responseWriter(asked: Asked, texts: SharedTexts): AnswerWriter {
  const id = responseIdOf(asked.job.id);
  const inProgress = { response: unansweredObject(asked, 'in_progress') };
  const opening = isBackground(asked.request) ? { response: unansweredObject(asked, 'queued') } : inProgress;
  /** @param source the object from which `fieldsOf` makes the fields. All readers of the job share it. */
  function* event(type: string, number: number, source: object, fieldsOf = () => source): Generator<string> {
    const message = () => ({ event: type, data: { type, sequence_number: number, ...fieldsOf() } });
    yield texts.message(source, number, message);
  }
  return {
    isSilent: isEmptyFrame,
    write(told, number) {
      switch (told.kind) {
        case 'created':
        case 'queued':
          return event(`response.${told.kind}`, number, opening);
        case 'in_progress':
          return event('response.in_progress', number, inProgress);
        case 'event':
          return event(told.event.type, number, told.event, () => filledEvent(told.event, id));
        case 'attempt_failed':
          return event('error', number, attemptFailed(asked, told.reason));
        case 'end': {
          const { ended, source } = told;
          return event(endingOf(ended), number, source, () => ({ response: responseObject(ended) }));
        }
        default: {
          const never: never = told;
          throw new Error(`unexpected ${JSON.stringify(never)}`);
        }
      }
    },
  };
}

/**
 * attemptFailed returns its fields twice: at the top, as OpenAI documents an `error` event, and under
 * `error`, without which OpenAI's SDK for Node (6.49) does not throw.
 */
function attemptFailed({ job }: Asked, reason: string): object {
  const id = responseIdOf(job.id);
  const error = {
    code: 'attempt_failed',
    message:
      `An attempt at response ${id} failed after a part of its answer had been sent: ${reason}. The response ` +
      'goes on with another attempt. To read it from its beginning, send the same request again, or ' +
      `get /v1/responses/${id}?stream=true`,
    param: null,
    response_id: id,
  };
  return { ...error, error: { type: 'server_error', ...error } };
}

/**
 * OpenAI has no event for a cancelled response:
 * https://platform.openai.com/docs/api-reference/responses-streaming
 */
function endingOf({ job, response }: JobDetail): string {
  if (job.status !== 'completed') return 'response.failed';
  return response?.status === 'incomplete' ? 'response.incomplete' : 'response.completed';
}
