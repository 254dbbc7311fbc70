import type { ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { SetupError } from '../src/errors/setup-error.ts';
import { createHttpServer } from '../src/process/http-server.ts';
import type { Stoppable } from '../src/process/shutdown.ts';
import type { O3Worker } from './worker.ts';

/** HealthPortError says that the worker cannot listen on its health port. */
export class HealthPortError extends SetupError {
  override readonly name = 'HealthPortError';
}

export interface WorkerHealth extends Stoppable {
  readonly port: number;
}

/**
 * startWorkerHealth serves `/livez`, `/readyz` and `/metrics`. `/livez` answers 200 while the process runs.
 * `/readyz` answers 200 while the worker takes jobs: it is not shutting down, and Redis takes writes. It says
 * `degraded` while the jobs of some model are not answered, or the process has troubles of its own.
 * @param worker returns undefined until the worker has been made. The port is opened before that.
 * @param ownTroubles says in sentences what is wrong with the process. Default: nothing.
 */
export async function startWorkerHealth(
  worker: () => Pick<O3Worker, 'redisTrouble' | 'troubles' | 'metrics'> | undefined,
  host: string,
  port: number,
  ownTroubles: () => string[] = () => [],
): Promise<WorkerHealth> {
  let draining = false;
  const sendReady = async (response: ServerResponse): Promise<void> => {
    const running = worker();
    if (draining) return sendWord(response, 503, 'draining');
    if (running === undefined) return sendWord(response, 503, 'no Redis');
    const trouble = await running.redisTrouble();
    if (trouble !== undefined) return sendWord(response, 503, 'no Redis', { reasons: [trouble] });
    const reasons = [...ownTroubles(), ...(await running.troubles())];
    if (reasons.length === 0) sendWord(response, 200, 'ok');
    else sendWord(response, 200, 'degraded', { reasons });
  };
  const server = createHttpServer((request, response) => {
    const metrics = worker()?.metrics;
    if (request.url === '/livez') sendWord(response, 200, 'ok');
    else if (request.url === '/readyz') void sendReady(response);
    else if (request.url === '/metrics' && metrics !== undefined) void sendMetrics(response, metrics);
    else sendWord(response, 404, 'only /livez, /readyz and /metrics are here');
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  }).catch((error: unknown) => {
    throw new HealthPortError(
      `The worker's health port ${port} of ${host} cannot be opened (${String(error)}). Choose another with O3Q_WORKER_PORT, or leave it unset`,
      { cause: error },
    );
  });
  return {
    name: 'worker health',
    port: (server.address() as AddressInfo).port,
    quiet() {
      draining = true;
    },
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function sendWord(response: ServerResponse, status: number, word: string, more: object = {}): void {
  const body = JSON.stringify({ status: word, ...more });
  response.writeHead(status, { 'content-type': 'application/json' }).end(body);
}

async function sendMetrics(response: ServerResponse, metrics: O3Worker['metrics']): Promise<void> {
  try {
    const text = await metrics.text();
    response.writeHead(200, { 'content-type': metrics.contentType }).end(text);
  } catch (error: unknown) {
    // A metric that cannot be read must not end the worker and its jobs.
    sendWord(response, 500, 'the metrics could not be read', { reasons: [String(error)] });
  }
}
