import { RetryableError } from '../../src/errors/failure.ts';
import { parsed } from '../../src/errors/refusal-body.ts';
import { isPartOfAnswer } from '../../src/responses/event.ts';
import { outputOf, upstreamResponseFrom } from '../../src/responses/response.ts';
import type { Mode } from './capabilities.ts';
import { type AnswerTooLargeError, refusalInAnswer } from './errors.ts';
import { hasEnded, type RunningResponse, type StreamEvent, withId } from './running-response.ts';
import { endOf, failureFromErrorEvent } from './stream-events.ts';

/** Bought is what the body of an answer says, without the headers of the answer. */
type Bought = Omit<RunningResponse, 'limits' | 'simulated'>;

/**
 * boughtInBody reads the answer of a create that came as a whole. Some servers answer with JSON although the
 * request asks for a stream. An answer that comes at once and in the foreground is the whole answer, whatever
 * its status says.
 */
export function boughtInBody(
  { body, contentType }: { body: string; contentType: string },
  asked: Mode & { upstreamModel: string },
): Bought {
  const value = upstreamResponseFrom(parsed(body));
  if (value === undefined) {
    throw (
      refusalInAnswer(body, contentType, asked.upstreamModel) ??
      new RetryableError('upstream_error', 'The upstream answered 200 with something that is no response')
    );
  }
  const isEnded = hasEnded(value);
  const isWhole = !isEnded && value.background !== true && outputOf(value).length > 0;
  const response = isWhole ? { ...value, status: 'completed' } : value;
  // Some servers accept the `background` flag without repeating it in the response.
  const background = value.background ?? (asked.background && !isEnded && !isWhole);
  return { response, background, streamed: asked.stream && background };
}

/**
 * boughtInEvents reads a stream until its first event with content. Some servers begin with the text and
 * never send an id.
 * @param onSignOfLife called for each event before that one.
 */
export async function boughtInEvents(
  events: AsyncGenerator<StreamEvent>,
  onSignOfLife: () => void,
): Promise<Bought> {
  for (;;) {
    const { done, value } = await events.next();
    if (done)
      throw new RetryableError('connection_lost', 'The upstream ended the stream before its first event');
    const named = withId(value.response ?? {});
    const ended = endOf(value, named);
    if (ended !== undefined) {
      await events.return(undefined);
      return { response: withId(ended), background: ended.background === true, streamed: true };
    }
    if (value.response !== undefined) {
      // The type of the event says that the response begins.
      const response = hasEnded(named) ? { ...named, status: 'in_progress' } : named;
      return { response, background: response.background === true, streamed: true, events };
    }
    if (value.type === 'error') throw failureFromErrorEvent(value);
    if (isPartOfAnswer(value)) {
      return { response: named, background: false, streamed: true, events: beginningWith(value, events) };
    }
    onSignOfLife();
  }
}

async function* beginningWith(
  first: StreamEvent,
  rest: AsyncGenerator<StreamEvent>,
): AsyncGenerator<StreamEvent> {
  try {
    yield first;
    yield* rest;
  } finally {
    await rest.return(undefined);
  }
}

/**
 * boughtButTooLarge returns the purchase whose answer was too large, so that the purchase is booked before the
 * job fails. The response no longer runs.
 */
export function boughtButTooLarge(error: AnswerTooLargeError): RunningResponse {
  const { responseId } = error;
  return {
    response: { ...withId(responseId === undefined ? {} : { id: responseId }), status: 'in_progress' },
    ...{ background: false, streamed: true, simulated: false, events: failing(error) },
  };
}

// biome-ignore lint/correctness/useYield: it fails before its first event.
async function* failing(error: Error): AsyncGenerator<StreamEvent> {
  throw error;
}

/**
 * eventOf makes events of an answer without a stream. Some servers answer with the response itself although a
 * stream was requested. If that response has ended, it becomes a single event for its end.
 */
export async function* eventOf(body: unknown): AsyncGenerator<StreamEvent> {
  const response = upstreamResponseFrom(body);
  if (response !== undefined && hasEnded(response)) yield { type: `response.${response.status}`, response };
}
