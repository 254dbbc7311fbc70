import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** A way to a server that can be broken as networks break: nothing comes through, or everything is cut. */
export interface TcpProxy {
  readonly port: number;
  /** The target's URL, by way of this proxy. */
  readonly url: string;
  /** From now on nothing comes through in either direction, on connections that stand and on new ones; nobody is told. */
  blackHole(): void;
  /** Lets through what was held up, as TCP does when a cable is back. */
  heal(): void;
  /** Cuts every connection that stands, at both ends. */
  reset(): void;
  close(): Promise<void>;
}

export interface TcpProxyOptions {
  /** Sees whatever the clients send, piece by piece. */
  onSent?: (piece: Buffer) => void;
  /** Sees whatever the server answers. */
  onReceived?: (piece: Buffer) => void;
}

/** The two sides of one connection. */
interface Link {
  client: Socket;
  server: Socket;
}

export async function openTcpProxy(
  target: string,
  { onSent, onReceived }: TcpProxyOptions = {},
): Promise<TcpProxy> {
  const { hostname, port: targetPort } = new URL(target);
  const links = new Set<Link>();
  let dark = false;

  const join = ({ client, server }: Link): void => {
    client.pipe(server);
    server.pipe(client);
  };
  const part = ({ client, server }: Link): void => {
    client.unpipe(server).pause();
    server.unpipe(client).pause();
  };
  const cut = ({ client, server }: Link): void => {
    for (const socket of [client, server]) {
      // One that is still connecting has nobody to send a reset to.
      if (socket.connecting) socket.destroy();
      else socket.resetAndDestroy();
    }
  };
  /** One side has ended: the other gets what is still on its way, and then the same end. */
  const follow = (link: Link, other: Socket, broken: boolean): void => {
    if (link.client.closed && link.server.closed) links.delete(link);
    // In the dark an end is not heard of, either.
    else if (dark) return;
    else if (broken) cut(link);
    else other.destroySoon();
  };

  const listener = createServer({ noDelay: true }, (client) => {
    const server = connect({ host: hostname, port: Number(targetPort), noDelay: true });
    const link: Link = { client, server };
    links.add(link);
    // `close` says it again, and there it is dealt with.
    for (const socket of [client, server]) socket.on('error', () => {});
    client.once('close', (broken) => follow(link, server, broken));
    server.once('close', (broken) => follow(link, client, broken));
    if (onSent !== undefined) client.on('data', onSent);
    if (onReceived !== undefined) server.on('data', onReceived);
    if (dark) part(link);
    else join(link);
  });
  await new Promise<void>((resolve, reject) => {
    listener.once('error', reject);
    listener.listen(0, '127.0.0.1', resolve);
  });
  const { port } = listener.address() as AddressInfo;
  const url = new URL(target);
  url.hostname = '127.0.0.1';
  url.port = String(port);

  return {
    port,
    url: url.href,
    blackHole() {
      dark = true;
      for (const link of links) part(link);
    },
    heal() {
      dark = false;
      for (const link of links) {
        if (link.client.destroyed || link.server.destroyed) cut(link);
        else join(link);
      }
    },
    reset() {
      for (const link of links) cut(link);
    },
    async close() {
      // Not `cut`, which waits for what a dead peer will never take.
      for (const { client, server } of links) {
        client.destroy();
        server.destroy();
      }
      await new Promise<void>((resolve) => listener.close(() => resolve()));
    },
  };
}
