import { createServer, type Server } from 'node:http';
import { SetupError } from '../../src/errors/setup-error.ts';

/** The address cannot be had. */
export class ListenError extends SetupError {
  override readonly name = 'ListenError';
}

/** @throws {ListenError} when the address is taken or not ours. */
export async function listen(server: Server, host: string, port: number): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  }).catch((error: unknown) => {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    const advice =
      code === 'EADDRINUSE'
        ? `Port ${port} of ${host} is taken, perhaps by another o3-queue. Stop it, or choose another with PORT=${port + 1}`
        : `The producer cannot listen on ${host} port ${port} (${String(code)}). Check HOST and PORT`;
    throw new ListenError(advice, { cause: error });
  });
}

/**
 * For who is about to start something big first, a Redis say. Another may still be quicker: then the producer itself says so.
 *
 * @throws {ListenError}
 */
export async function assertListenable({ host, port }: { host: string; port: number }): Promise<void> {
  const server = createServer();
  await listen(server, host, port);
  await new Promise((resolve) => server.close(resolve));
}
