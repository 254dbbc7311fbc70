import OpenAI, { type ClientOptions } from 'openai';
import type { Response, ResponseStreamEvent } from 'openai/resources/responses/responses';
import { eventually } from '../eventually.ts';

/** OpenAI's SDK, and a record of what it sends. */
export interface Sdk {
  client: OpenAI;
  /** Each try of each call: `POST /v1/responses`. */
  tries: string[];
}

export function openSdk(url: string, options: ClientOptions = {}): Sdk {
  const tries: string[] = [];
  const client = new OpenAI({
    apiKey: 'any',
    baseURL: `${url}/v1`,
    logLevel: 'off',
    fetch: (input, init) => {
      const { pathname } = new URL(String(input));
      tries.push(`${(init?.method ?? 'get').toUpperCase()} ${pathname}`);
      return fetch(input, init);
    },
    ...options,
  });
  return { client, tries };
}

/** All events of a stream. */
export async function allOf(events: AsyncIterable<ResponseStreamEvent>): Promise<ResponseStreamEvent[]> {
  const all: ResponseStreamEvent[] = [];
  for await (const event of events) all.push(event);
  return all;
}

/** All events of a response, from its beginning. */
export async function replayOf(client: OpenAI, id: string): Promise<ResponseStreamEvent[]> {
  return allOf(await client.responses.retrieve(id, { stream: true }));
}

export function textIn(events: readonly ResponseStreamEvent[]): string {
  return events.map((event) => (event.type === 'response.output_text.delta' ? event.delta : '')).join('');
}

/** The response, once it has this status. */
export function reachedStatus(client: OpenAI, id: string, status: Response['status']): Promise<Response> {
  return eventually(async () => {
    const response = await client.responses.retrieve(id);
    expect(response).toMatchObject({ status });
    return response;
  });
}
