import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/**
 * TcpProxy connects to a server and can fail as networks do: it can hold everything back, or cut everything.
 */
export interface TcpProxy {
  readonly port: number;
  /** The target's URL through this proxy. */
  readonly url: string;
  /** Holds back all data in both directions, on open and on new connections, without any error. */
  blackHole(): void;
  /** Passes on what was held back, as TCP does when a cable is back. */
  heal(): void;
  /**
   * Leads new connections to another server, as a name does after a failover. Open ones stay where they are.
   */
  leadTo(target: string): void;
  /** Resets every open connection at both ends. */
  reset(): void;
  close(): Promise<void>;
}

export interface TcpProxyOptions {
  /** Called with each piece that the clients send. */
  onSent?: (piece: Buffer) => void;
  /** Called with each piece that the server sends. */
  onReceived?: (piece: Buffer) => void;
}

/** Link is one connection with its two sides. */
interface Link {
  client: Socket;
  server: Socket;
}

export async function openTcpProxy(
  target: string,
  { onSent, onReceived }: TcpProxyOptions = {},
): Promise<TcpProxy> {
  let { hostname, port: targetPort } = new URL(target);
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
      // A socket that is still connecting has no peer to send a reset to.
      if (socket.connecting) socket.destroy();
      else socket.resetAndDestroy();
    }
  };
  /** One side has ended: the other side gets what is still on its way, and then the same end. */
  const follow = (link: Link, other: Socket, broken: boolean): void => {
    if (link.client.closed && link.server.closed) links.delete(link);
    // During a black hole, an end does not come through either.
    else if (dark) return;
    else if (broken) cut(link);
    else other.destroySoon();
  };

  const listener = createServer({ noDelay: true }, (client) => {
    const server = connect({ host: hostname, port: Number(targetPort), noDelay: true });
    const link: Link = { client, server };
    links.add(link);
    // The `close` event follows and handles the error.
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
    leadTo(next) {
      ({ hostname, port: targetPort } = new URL(next));
    },
    reset() {
      for (const link of links) cut(link);
    },
    async close() {
      // Not `cut`: it would wait for data that a dead peer never reads.
      for (const { client, server } of links) {
        client.destroy();
        server.destroy();
      }
      await new Promise<void>((resolve) => listener.close(() => resolve()));
    },
  };
}
