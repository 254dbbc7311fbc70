import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { SetupError } from '../src/setup-error.ts';
import type { Stoppable } from '../src/shutdown.ts';

/** The health port cannot be had. */
export class HealthPortError extends SetupError {
  override readonly name = 'HealthPortError';
}

export interface WorkerHealth extends Stoppable {
  readonly port: number;
}

/** `/livez`: the process runs. `/readyz`: it takes jobs, which needs Redis and no shutdown under way. */
export async function startWorkerHealth(
  isReady: () => boolean,
  host: string,
  port: number,
): Promise<WorkerHealth> {
  let draining = false;
  const answers: Record<string, () => [status: number, word: string]> = {
    '/livez': () => [200, 'ok'],
    '/readyz': () => (draining ? [503, 'draining'] : isReady() ? [200, 'ok'] : [503, 'no Redis']),
  };
  const server = createServer((request, response) => {
    const [status, word] = answers[request.url ?? '']?.() ?? [404, 'only /livez and /readyz are here'];
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify({ status: word }));
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  }).catch((error: unknown) => {
    throw new HealthPortError(
      `The worker's health port ${port} of ${host} cannot be had (${String(error)}). Choose another with O3Q_WORKER_PORT, or leave it unset`,
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
