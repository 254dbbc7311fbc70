import OpenAI from 'openai';
import type { Response, ResponseStreamEvent } from 'openai/resources/responses/responses';
import { createSimulator, type Simulator, type SimulatorOptions } from '../../simulator/simulator.ts';
import { eventually } from '../support/eventually.ts';

/**
 * How long a simulated response thinks in these tests: long enough to be seen running, short enough to wait
 * for.
 */
export const THINK_MS = 40;

export type SimulatorWorld = { readonly simulator: Simulator; readonly url: string; readonly client: OpenAI };

/**
 * withSimulator gives a test its own simulator and the official SDK without retries, and closes them
 * afterwards.
 */
export async function withSimulator(
  options: SimulatorOptions,
  body: (world: SimulatorWorld) => Promise<void>,
): Promise<void> {
  const simulator = createSimulator({ thinkMs: THINK_MS, ...options });
  try {
    const { url } = await simulator.listen(0);
    await body({ simulator, url, client: new OpenAI({ apiKey: 'sk-test', baseURL: url, maxRetries: 0 }) });
  } finally {
    await simulator.close();
  }
}

/** finished waits until a background response has ended. */
export async function finished(client: OpenAI, id: string): Promise<Response> {
  return eventually(async () => {
    const response = await client.responses.retrieve(id);
    expect(['queued', 'in_progress']).not.toContain(response.status);
    return response;
  });
}

export async function collect(stream: AsyncIterable<ResponseStreamEvent>): Promise<ResponseStreamEvent[]> {
  const events: ResponseStreamEvent[] = [];
  for await (const event of stream) events.push(event);
  return events;
}

/** refusal is the error of a call. It throws if the call succeeds. */
export async function refusal(call: Promise<unknown>): Promise<InstanceType<typeof OpenAI.APIError>> {
  try {
    await call;
  } catch (error: unknown) {
    if (error instanceof OpenAI.APIError) return error;
    throw error;
  }
  throw new Error('expected the call to be refused, but it succeeded');
}
