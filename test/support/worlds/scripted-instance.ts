import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** ScriptedInstance is a fake instance that misbehaves as a test says. */
export type Step = (response: ServerResponse, request: IncomingMessage) => void;

export interface WatchEvent {
  method: string;
  path: string;
  authorization: string | undefined;
  at: number;
}

const servers: Server[] = [];

/** Answers the nth request with the nth step, and all later ones with the last. */
export async function startScripted(...steps: Step[]): Promise<{ url: string; seen: WatchEvent[] }> {
  const seen: WatchEvent[] = [];
  const server = createServer((request, response) => {
    const { method = '', url = '', headers } = request;
    const step = steps[Math.min(seen.length, steps.length - 1)];
    seen.push({ method, path: url, authorization: headers.authorization, at: performance.now() });
    request.resume();
    step?.(response, request);
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, seen };
}

export async function unusedUrl(): Promise<string> {
  const { url } = await startScripted();
  await closeScripted();
  return url;
}

export async function closeScripted(): Promise<void> {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

export function json(status: number, body: unknown, headers: Record<string, string> = {}): Step {
  return (response) => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
  };
}

export function problem(
  status: number,
  code: string,
  detail: string,
  more: Record<string, unknown> = {},
): Step {
  return json(
    status,
    { type: 'about:blank', title: code, status, code, detail, ...more },
    {
      'content-type': 'application/problem+json',
    },
  );
}

export const noRedis = (headers: Record<string, string>): Step =>
  json(503, { code: 'redis_unavailable', detail: 'Redis does not answer', status: 503 }, headers);
export const cut: Step = (response) => response.destroy();
