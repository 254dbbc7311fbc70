import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** CuttingProxy is an HTTP proxy that breaks one connection of each request that `isCut` chooses. */
export interface CuttingProxy {
  readonly url: string;
  /** Breaks the connection of the calls whose body contains this text, if it was not broken before. */
  cut(text: string): void;
  /** How many connections were broken. */
  broken(): number;
  close(): Promise<void>;
}

export interface CuttingProxyOptions {
  target: string;
  /** Whether a call's connection is to break, by its path and body. The second such call is passed on. */
  isCut: (path: string, body: string) => boolean;
  /** The part of the answer at which the connection breaks. */
  cutAt: (path: string) => string;
}

/**
 * openCuttingProxy starts a proxy. A chosen call breaks at both ends when its answer reaches `cutAt`, or when
 * `cut` is called.
 */
export async function openCuttingProxy({ target, isCut, cutAt }: CuttingProxyOptions): Promise<CuttingProxy> {
  const chosen = new Set<string>();
  const open = new Map<string, () => void>();
  let broken = 0;

  const pass = (incoming: IncomingMessage, outgoing: ServerResponse, body: string): void => {
    const path = incoming.url ?? '/';
    const key = `${path} ${body}`;
    const mayCut = isCut(path, body) && !chosen.has(key);
    if (mayCut) chosen.add(key);
    const { 'content-length': _, connection: _connection, ...headers } = incoming.headers;
    const { method } = incoming;
    const call = request(new URL(path, target), {
      ...(method !== undefined && { method }),
      headers,
      agent: false,
    });
    const breakOff = (): void => {
      if (!open.delete(key)) return;
      broken += 1;
      call.destroy();
      outgoing.destroy();
    };
    if (mayCut) open.set(key, breakOff);
    outgoing.on('close', () => call.destroy());
    call.on('error', () => outgoing.destroy());
    call.on('response', (answer) => {
      // undici takes a broken answer with "connection: close" for a whole one.
      const { connection: _close, ...answered } = answer.headers;
      outgoing.writeHead(answer.statusCode ?? 502, answered);
      answer.on('data', (piece: Buffer) => {
        outgoing.write(piece);
        if (mayCut && piece.includes(cutAt(path))) breakOff();
      });
      answer.on('end', () => {
        open.delete(key);
        outgoing.end();
      });
      answer.on('error', () => outgoing.destroy());
    });
    call.end(body);
  };
  const server = createServer((incoming, outgoing) => {
    const pieces: Buffer[] = [];
    incoming.on('data', (piece: Buffer) => pieces.push(piece));
    incoming.on('end', () => pass(incoming, outgoing, Buffer.concat(pieces).toString()));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    cut: (text) => {
      for (const [key, breakOff] of [...open]) if (key.includes(text)) breakOff();
    },
    broken: () => broken,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
