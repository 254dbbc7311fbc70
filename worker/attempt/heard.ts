import { createEventLogReader } from '../../src/events/event-log.ts';
import type { ResponseEvent } from '../../src/responses/event.ts';
import { answerTextOf, outputOf, refusalOf, type UpstreamResponse } from '../../src/responses/response.ts';
import { createStreamedOutput, type StreamedOutput } from '../../src/responses/streamed-output.ts';
import type { RunRecordWriter } from '../../src/run/writer.ts';
import type { EventLogWriter } from './event-log-writer.ts';

/**
 * Heard counts what a response has streamed, so that its end can be compared with it. The texts themselves
 * are in the event log: a worker that holds thousands of responses keeps none of them.
 */
export interface Heard {
  add(event: ResponseEvent): void;
  /** Whether a final response has less than was streamed. */
  exceeds(response: UpstreamResponse): boolean;
}

/** @param characters of the answer that an earlier follower of the response has heard. */
export function createHeard(characters: number): Heard {
  let inDeltas = characters;
  let inWholeTexts = 0;
  let items = 0;
  return {
    add(event) {
      switch (event.type) {
        case 'response.output_text.delta':
        case 'response.refusal.delta':
          inDeltas += lengthOf(event.delta);
          break;
        case 'response.output_text.done':
          inWholeTexts += lengthOf(event['text']);
          break;
        case 'response.output_item.done':
          items += 1;
          break;
        default:
      }
    },
    exceeds(response) {
      const length = answerTextOf(response).length + (refusalOf(response)?.length ?? 0);
      return outputOf(response).length < items || length < Math.max(inDeltas, inWholeTexts);
    },
  };
}

/**
 * Why an answer is incomplete of which a part is lost: Redis was away, and the upstream did not repeat it.
 */
const STREAM_LOST = 'stream_lost';

/**
 * withHeard returns the final response with what was streamed and that it lacks: some servers end a stream
 * with an empty or partial `output`, or without one. What contradicts the end is not added.
 */
export async function withHeard(
  response: UpstreamResponse,
  heard: Heard,
  eventLogWriter: Pick<EventLogWriter, 'flush'>,
  writer: Pick<RunRecordWriter, 'eventLog'>,
): Promise<UpstreamResponse> {
  const isAnswer = response.status !== 'failed' && response.status !== 'cancelled';
  if (!isAnswer || !heard.exceeds(response)) return response;
  await eventLogWriter.flush();
  const output = (await streamedIn(writer)).merged(outputOf(response));
  const whole = { ...response, output };
  const isLost = outputOf(response).length === 0 && answerTextOf(whole) !== '' && heard.exceeds(whole);
  if (!isLost) return whole;
  return { ...whole, status: 'incomplete', incomplete_details: { reason: STREAM_LOST } };
}

/** Reads what the log has of the response that was bought last. */
async function streamedIn(writer: Pick<RunRecordWriter, 'eventLog'>): Promise<StreamedOutput> {
  const { entries, purchase } = await writer.eventLog();
  const read = createEventLogReader();
  const streamed = createStreamedOutput();
  for (const entry of entries.map(read)) {
    if (entry.purchase === purchase) for (const event of entry.events) streamed.add(event);
  }
  return streamed;
}

function lengthOf(text: unknown): number {
  return typeof text === 'string' ? text.length : 0;
}
