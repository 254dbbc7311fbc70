import { createServer, type Server } from 'node:http';
import { SetupError } from '../../src/errors/setup-error.ts';

/** ListenError says that the producer cannot listen on its address. */
export class ListenError extends SetupError {
  override readonly name = 'ListenError';
}

/**
 * listen makes a server listen.
 *
 * @throws {ListenError} when the address is taken or does not belong to this machine.
 */
export async function listen(server: Server, host: string, port: number): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  }).catch((error: unknown) => {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    const advice =
      code === 'EADDRINUSE'
        ? `Port ${port} of ${host} is taken, perhaps by another o3-queue: stop that, or choose another ` +
          `port with PORT=${port + 1}`
        : `The producer cannot listen on ${host} port ${port} (${String(code)}): check HOST and PORT`;
    throw new ListenError(advice, { cause: error });
  });
}

/**
 * assertListenable checks an address before something larger is started, such as Redis. Another process may
 * still take the address afterwards; then starting the producer fails with the same error.
 *
 * @throws {ListenError}
 */
export async function assertListenable({ host, port }: { host: string; port: number }): Promise<void> {
  const server = createServer();
  await listen(server, host, port);
  await new Promise((resolve) => server.close(resolve));
}
