import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  request,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo } from 'node:net';
import { eventually } from '../eventually.ts';

/**
 * UpstreamGate is a proxy to the simulator that can hold back answers: the upstream has acted, its caller
 * cannot know.
 */
export interface UpstreamGate {
  url: string;
  /** Every call so far, oldest first. */
  calls: { method: string; path: string; headers: IncomingHttpHeaders }[];
  /** Holds back the answers to matching calls from now on. */
  shut(matches: (call: { method: string; path: string }) => boolean): void;
  /** Sends the answers that were held back. */
  open(): void;
  /** Resolves when this many answers are held back. */
  holding(count: number): Promise<void>;
  close(): Promise<void>;
}

export const CREATES = ({ method, path }: { method: string; path: string }): boolean =>
  method === 'POST' && path.endsWith('/responses');
export const CANCELS = ({ path }: { path: string }): boolean => path.endsWith('/cancel');

export async function openUpstreamGate(target: string): Promise<UpstreamGate> {
  let isHeld: (call: { method: string; path: string }) => boolean = () => false;
  const held = new Set<() => void>();
  const calls: UpstreamGate['calls'] = [];

  const forward = (incoming: IncomingMessage, outgoing: ServerResponse): void => {
    const { method = '', url = '', headers } = incoming;
    calls.push({ method, path: url, headers });
    const { hostname, port } = new URL(target);
    const call = request({ hostname, port, method, path: url, headers }, (answer) => {
      const pass = (): void => {
        outgoing.writeHead(answer.statusCode ?? 500, answer.headers);
        outgoing.flushHeaders();
        answer.on('error', () => outgoing.destroy());
        answer.pipe(outgoing);
      };
      if (isHeld({ method, path: url })) held.add(pass);
      else pass();
      outgoing.once('close', () => held.delete(pass));
    });
    call.on('error', () => outgoing.destroy());
    outgoing.once('close', () => call.destroy());
    incoming.pipe(call);
  };
  const server = createServer(forward);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));

  return {
    calls,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    shut(matches) {
      isHeld = matches;
    },
    open() {
      isHeld = () => false;
      for (const pass of held) pass();
      held.clear();
    },
    holding: (count) =>
      eventually(() => {
        if (held.size !== count)
          throw new Error(`expected ${count} answers to be kept back, saw ${held.size}`);
      }),
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
