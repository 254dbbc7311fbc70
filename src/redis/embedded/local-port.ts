import { connect, createServer } from 'node:net';

const ANSWER_TIMEOUT_MS = 1000;

/**
 * findFreePort returns a port that was free a moment ago. Another program may still take it first, and the
 * caller must handle that.
 */
export function findFreePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => {
        if (address === null || typeof address === 'string') reject(new Error('No port was assigned'));
        else resolve(address.port);
      });
    });
  });
}

/** PortHolder is what listens on a port of this machine. */
export type PortHolder =
  | { readonly kind: 'none' }
  /** The program accepts connections and sends nothing: it is stopped, too busy, or not a Redis. */
  | { readonly kind: 'silent' }
  /** The program answers, but not as a Redis that we started. */
  | { readonly kind: 'other' }
  | {
      readonly kind: 'redis';
      /** Whether the server answers PING with PONG, which means that it has started and loaded its data. */
      readonly ready: boolean;
      readonly pid: number;
      /** The real path of the server's data folder. */
      readonly dataDir: string;
    };

/**
 * askLocalPort asks the program on a port whether it is a Redis, and which one.
 * @param password of the server that is expected there; undefined: that server has none.
 */
export async function askLocalPort(port: number, password: string | undefined): Promise<PortHolder> {
  const login = password === undefined ? '' : `AUTH ${password}\r\n`;
  const reply = await replyTo(port, `${login}PING\r\nINFO server\r\nCONFIG GET dir\r\nQUIT\r\n`);
  if (reply === undefined) return { kind: 'none' };
  if (reply === '') return { kind: 'silent' };
  const pid = /^process_id:(\d+)\r$/m.exec(reply)?.[1];
  const dataDir = /\$3\r\ndir\r\n\$\d+\r\n(.*?)\r\n/.exec(reply)?.[1];
  // A server that we started always reports its pid and its folder.
  if (pid === undefined || dataDir === undefined) return { kind: 'other' };
  return { kind: 'redis', ready: /^\+PONG\r$/m.test(reply), pid: Number(pid), dataDir };
}

function replyTo(port: number, commands: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    let reply = '';
    let connected = false;
    const socket = connect(port, '127.0.0.1');
    socket.setEncoding('utf8');
    socket.setTimeout(ANSWER_TIMEOUT_MS, () => socket.destroy());
    socket.on('connect', () => {
      connected = true;
      socket.write(commands);
    });
    socket.on('data', (text: string) => {
      reply += text;
    });
    // 'close' follows, and resolves with what has arrived until then.
    socket.on('error', () => socket.destroy());
    socket.on('close', () => resolve(connected ? reply : undefined));
  });
}
