import { createEventLogReader } from '../../src/events/event-log.ts';
import type { ResponseEvent } from '../../src/responses/event.ts';
import { answerTextOf, outputOf, textLengthOf, type UpstreamResponse } from '../../src/responses/response.ts';
import { createStreamedOutput, type StreamedOutput } from '../../src/responses/streamed-output.ts';
import type { RunRecordWriter } from '../../src/run/writer.ts';
import type { EventLogWriter } from './event-log-writer.ts';

/**
 * Heard counts what a response has streamed, so that the final response can be compared with it. The texts
 * themselves are in the event log: a worker that holds thousands of responses keeps no text in memory.
 */
export interface Heard {
  add(event: ResponseEvent): void;
  /** Whether more was streamed than the final response contains. */
  exceeds(response: UpstreamResponse): boolean;
}

/** createHeard starts the count. `characters` is how much of the answer an earlier attempt has read. */
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
      return outputOf(response).length < items || textLengthOf(response) < Math.max(inDeltas, inWholeTexts);
    },
  };
}

/**
 * The reason that is stored with an answer that lost a part: Redis was away, and the upstream did not repeat
 * the part.
 */
const STREAM_LOST = 'stream_lost';

/**
 * withHeard adds to the final response what was streamed but is missing there: some servers end a stream with
 * an empty or partial `output`, or without one. Streamed text that contradicts the final response is not
 * added.
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
  const isShort = output.length === 0 || answerTextOf(whole) !== '';
  const isLost = outputOf(response).length === 0 && isShort && heard.exceeds(whole);
  if (!isLost) return whole;
  return { ...whole, status: 'incomplete', incomplete_details: { reason: STREAM_LOST } };
}

/** Reads the events of the last bought response from the log. */
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
