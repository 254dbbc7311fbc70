import { request } from 'node:http';
import type { JobStatus } from '../../../src/job/job.ts';
import type { JobView } from '../../../src/job/view.ts';
import { eventually } from '../eventually.ts';
import { expectAsDocumented } from './openapi-check.ts';

export interface Answer {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  /** Parsed JSON of any media type, else text. */
  body: unknown;
  /** From the call until the last byte, in milliseconds. */
  tookMs: number;
}

export interface CallOptions {
  /** Sent as JSON; text and bytes are sent unchanged. */
  body?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

/**
 * call makes an HTTP call to a producer, and checks the answer against the OpenAPI document. It sends the
 * path unchanged; fetch would resolve `../` before the server sees it.
 */
export function call(
  base: string,
  method: string,
  path: string,
  { body, headers, signal }: CallOptions = {},
): Promise<Answer> {
  const raw = body === undefined || typeof body === 'string' || Buffer.isBuffer(body);
  const payload = raw ? body : JSON.stringify(body);
  const begunAt = performance.now();
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(base);
    const sent = request(
      {
        hostname,
        port,
        method,
        path,
        agent: false,
        headers: { ...(payload !== undefined && { 'content-type': 'application/json' }), ...headers },
        signal,
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString();
          const isJson = /[/+]json/.test(response.headers['content-type'] ?? '');
          const answer = {
            status: response.statusCode ?? 0,
            headers: response.headers,
            body: isJson && text !== '' ? (JSON.parse(text) as unknown) : text,
            tookMs: performance.now() - begunAt,
          };
          try {
            expectAsDocumented({ method, path, requestBody: raw ? undefined : body, ...answer });
            resolve(answer);
          } catch (error: unknown) {
            reject(error);
          }
        });
      },
    );
    sent.on('error', reject);
    sent.end(payload);
  });
}

/** enqueue enqueues a job that must be accepted, and returns its view. */
export async function enqueue(base: string, body: unknown): Promise<JobView> {
  const answer = await call(base, 'POST', '/jobs', { body });
  expect(answer).toMatchObject({ status: 202 });
  return answer.body as JobView;
}

export async function viewOf(base: string, id: string): Promise<JobView> {
  const answer = await call(base, 'GET', `/jobs/${id}`);
  expect(answer).toMatchObject({ status: 200 });
  return answer.body as JobView;
}

/** The job's view, once it has this status. */
export function reached<Status extends JobStatus>(
  base: string,
  id: string,
  status: Status,
): Promise<Extract<JobView, { status: Status }>> {
  return eventually(async () => {
    const view = await viewOf(base, id);
    expect(view).toMatchObject({ status });
    return view as Extract<JobView, { status: Status }>;
  });
}

/** Expects a refusal: `application/problem+json` of RFC 9457 with the queue's code. */
export function expectProblem(answer: Answer, status: number, code: string): void {
  expect(answer).toMatchObject({
    status,
    headers: { 'content-type': expect.stringMatching(/^application\/problem\+json/) },
    body: { status, code, title: expect.any(String), detail: expect.stringMatching(/\S/) },
  });
}
