import { createUpstream, type Upstream } from '../../../worker/upstream/client.ts';
import type { Patience } from '../../../worker/upstream/create.ts';
import type { StreamEvent } from '../../../worker/upstream/running-response.ts';
import { closeScripted, json, type Step, startScripted } from '../worlds/scripted-instance.ts';

/** PATIENCE is longer than a server needs to answer while its process is starting on a busy machine. */
export const PATIENCE: Patience = { answerMs: 1500, silenceMs: 200, graceMs: 1000, slotMs: 100, lostMs: 300 };
export const never = new AbortController().signal;

export const asked = { model: 'o3', input: 'Why?' };
export const queued = { id: 'resp_1', object: 'response', status: 'queued', background: true, output: [] };
export const completed = { ...queued, status: 'completed' };

/** events sends events and leaves the stream open. */
export const events =
  (...list: object[]): Step =>
  (response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.flushHeaders();
    for (const event of list) response.write(`data: ${JSON.stringify(event)}\n\n`);
  };
export const endedEvents =
  (...list: object[]): Step =>
  (response, request) => {
    events(...list)(response, request);
    response.end();
  };
export const refusal = (status: number, error: object, headers: Record<string, string> = {}): Step =>
  json(status, { error: { message: 'no', type: 'invalid_request_error', ...error } }, headers);

export const html: Step = (response) =>
  response.writeHead(200, { 'content-type': 'text/html' }).end('<html>Please log in</html>');
export const halfBody: Step = (response) => {
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': '1000' });
  response.write('{"id": "resp_1"');
};
export const cutBody: Step = (response, request) => {
  halfBody(response, request);
  setImmediate(() => response.destroy());
};
export const silent: Step = () => {};

/** collect reads a stream to its end, and returns the types of its events. */
export const collect = async (stream: AsyncIterable<StreamEvent> | undefined): Promise<string[]> => {
  const types: string[] = [];
  for await (const { type } of stream ?? []) types.push(type);
  return types;
};

/** ScriptedUpstream is a client, and what its upstream was sent. */
interface ScriptedUpstream {
  upstream: Upstream;
  seen: Awaited<ReturnType<typeof startScripted>>['seen'];
}

interface Upstreams {
  /** Returns a client of the upstream at this address. */
  connect(baseUrl: string): Upstream;
  /** Returns a client of an upstream that answers with these steps. */
  scripted(...steps: Step[]): Promise<ScriptedUpstream>;
  /** Returns the same, with the bodies that it was sent. */
  bodiesOf(...steps: Step[]): Promise<ScriptedUpstream & { bodies: Record<string, unknown>[] }>;
}

/** useUpstreams makes clients of upstreams, and closes them after each test. */
export function useUpstreams(): Upstreams {
  const upstreams: Upstream[] = [];
  const connect = (baseUrl: string): Upstream => {
    const upstream = createUpstream({ apiKey: 'sk-test', baseUrl, patience: PATIENCE });
    upstreams.push(upstream);
    return upstream;
  };
  afterEach(async () => {
    for (const upstream of upstreams.splice(0)) await upstream.close();
    await closeScripted();
  });

  const scripted = async (...steps: Step[]) => {
    const { url, seen } = await startScripted(...steps);
    return { upstream: connect(`${url}/v1`), seen };
  };
  const bodiesOf = async (...steps: Step[]) => {
    const bodies: Record<string, unknown>[] = [];
    const recording = steps.map(
      (step): Step =>
        (response, request) => {
          const chunks: Buffer[] = [];
          request.on('data', (chunk: Buffer) => chunks.push(chunk));
          request.on('end', () => {
            bodies.push(JSON.parse(Buffer.concat(chunks).toString()) as Record<string, unknown>);
            step(response, request);
          });
        },
    );
    return { ...(await scripted(...recording)), bodies };
  };
  return { connect, scripted, bodiesOf };
}
