import { createMcpHandler, type McpRequestContext } from '@modelcontextprotocol/server';
import type { Response as ExpressResponse } from 'express';
import { isJsonObject } from '../../src/job/exact-json.ts';
import { traceContextIn } from '../../src/job/fields/trace-context.ts';
import { createMcpServer } from '../../src/mcp/server.ts';
import type { Logger } from '../../src/process/log.ts';
import type { InstanceQueue } from '../../src/queue/instance-queue.ts';
import { RedisJobQueue } from '../../src/queue/redis-job-queue.ts';
import { serverTime } from '../../src/redis/server-time.ts';
import { foreignPage } from '../access/authentication.ts';
import { provenanceOf } from '../access/same-site.ts';
import { createAnySignal } from '../http/any-signal.ts';
import type { HttpProblem, HttpProblemCode } from '../http/http-problem.ts';
import type { Reply, Route } from '../http/route.ts';
import { SSE_KEEP_ALIVE } from '../http/sse.ts';
import { callMcp } from '../openapi/operations/mcp.ts';

export const MCP_PATH = '/mcp';
const HOUR_MS = 3_600_000;
const SSE_TYPE = 'text/event-stream';

/**
 * mcpRoute is `POST /mcp`: streamable HTTP of the Model Context Protocol, without sessions. A call that ends
 * or breaks never cancels a job.
 *
 * @param draining aborts when the producer is about to stop. Every waiting call is then answered with how its
 * job stands. Nothing is closed before: a client whose event stream breaks off waits until its own timeout
 * (the official SDKs, 60 s).
 */
export function mcpRoute(instance: InstanceQueue, draining: AbortSignal, logger: Logger): Route {
  const orDraining = createAnySignal(draining);
  return {
    method: 'post',
    path: MCP_PATH,
    operation: callMcp,
    async handle(input) {
      const { queue, headers, signal } = input;
      // The protocol wants this check at every request, also at one with a key.
      if (provenanceOf(headers) === 'foreign') throw foreignPage();
      const { completedHours, failedHours } = instance.retention;
      const takeArguments = argumentsOf(input.body);
      const server = ({ era }: Pick<McpRequestContext, 'era'>) =>
        createMcpServer({
          queue: new RedisJobQueue(queue),
          era,
          retention: { completedMs: completedHours * HOUR_MS, failedMs: failedHours * HOUR_MS },
          trace: traceContextIn(headers),
          userAgent: headers['user-agent'],
          signalFor: orDraining,
          isStopping: () => draining.aborted,
          now: () => serverTime(queue.storage.redis),
          body: { takeArguments, drop: input.dropBody },
          onUnexpected(error) {
            // Not the error itself: ioredis attaches the whole command, which may contain a question.
            const stack = error instanceof Error ? error.stack : String(error);
            logger.error({ error: stack, method: 'POST', path: MCP_PATH }, 'unexpected error');
          },
        });
      const handler = createMcpHandler(server, { keepAliveMs: 0 });
      // The handler reads only the method and the headers.
      const request = new Request(`http://localhost${MCP_PATH}`, {
        method: 'POST',
        headers: webHeaders(headers),
        signal,
      });
      const { body } = input;
      return replyFrom(await handler.fetch(request, body === undefined ? {} : { parsedBody: body }), signal);
    },
  };
}

/**
 * argumentsOf takes the arguments out of a call, and returns what gives them away once. The SDK would keep
 * all that it is handed until the call has ended, which may be in a minute. A batch is left as it is.
 */
function argumentsOf(body: unknown): () => unknown {
  const params = isJsonObject(body) && body['method'] === 'tools/call' ? body['params'] : undefined;
  if (!isJsonObject(params) || !isJsonObject(params['arguments'])) return () => undefined;
  let kept: unknown = params['arguments'];
  params['arguments'] = {};
  return () => {
    const taken = kept;
    kept = undefined;
    return taken;
  };
}

function webHeaders(headers: NodeJS.Dict<string | string[]>): Headers {
  const flat = Object.entries(headers).flatMap(([name, value]): [string, string][] =>
    value === undefined ? [] : [value].flat().map((one) => [name, one]),
  );
  return new Headers(flat);
}

async function replyFrom(response: Response, signal: AbortSignal): Promise<Reply> {
  const { status, body } = response;
  if (body === null) return { status };
  if (response.headers.get('content-type')?.startsWith(SSE_TYPE) !== true) {
    return { status, json: Buffer.from(await response.arrayBuffer()) };
  }
  return {
    status,
    stream: { contentType: SSE_TYPE, chunks: textOf(body, signal), keepAlive: SSE_KEEP_ALIVE },
  };
}

/** textOf reads a body as text. A body that breaks off because the client has gone just ends. */
async function* textOf(body: ReadableStream<Uint8Array>, signal: AbortSignal): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  try {
    for await (const bytes of body) yield decoder.decode(bytes, { stream: true });
  } catch (error: unknown) {
    if (!signal.aborted) throw error;
  }
}

/**
 * RPC_CODES are the codes of JSON-RPC for a body that could not be read. Clients understand them; other
 * refusals are problems, of which clients show the text.
 */
const RPC_CODES: Partial<Record<HttpProblemCode, number>> = {
  malformed_json: -32700,
  body_too_large: -32600,
  unsupported_media_type: -32600,
};

/**
 * sendMcpError answers a body of `/mcp` that could not be read. Returns false for another path and another
 * refusal.
 */
export function sendMcpError(path: string, problem: HttpProblem, response: ExpressResponse): boolean {
  const code = path === MCP_PATH ? RPC_CODES[problem.code] : undefined;
  if (code === undefined) return false;
  const error = { code, message: problem.message, data: { code: problem.code } };
  response.set(problem.headers).status(problem.status).json({ jsonrpc: '2.0', id: null, error });
  return true;
}
