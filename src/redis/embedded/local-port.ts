import { connect, createServer } from 'node:net';

const ANSWER_TIMEOUT_MS = 1000;

/** A port that was free a moment ago; whoever uses it must still cope with losing the race for it. */
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

/** Who listens on a port of this machine. */
export type PortHolder =
  | { readonly kind: 'nobody' }
  /** It takes connections and says nothing: stopped, too busy, or no Redis. */
  | { readonly kind: 'silent' }
  | { readonly kind: 'stranger' }
  | {
      readonly kind: 'redis';
      /** It answers PING with PONG: started, and its data are loaded. */
      readonly ready: boolean;
      readonly pid: number;
      /** The real path of its data folder. */
      readonly dataDir: string;
    };

export async function askLocalPort(port: number): Promise<PortHolder> {
  const reply = await replyTo(port, 'PING\r\nINFO server\r\nCONFIG GET dir\r\nQUIT\r\n');
  if (reply === undefined) return { kind: 'nobody' };
  if (reply === '') return { kind: 'silent' };
  const pid = /^process_id:(\d+)\r$/m.exec(reply)?.[1];
  const dataDir = /\$3\r\ndir\r\n\$\d+\r\n(.*?)\r\n/.exec(reply)?.[1];
  // A server that we started always tells both.
  if (pid === undefined || dataDir === undefined) return { kind: 'stranger' };
  return { kind: 'redis', ready: reply.startsWith('+PONG'), pid: Number(pid), dataDir };
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
    // 'close' follows, with what had arrived until then.
    socket.on('error', () => socket.destroy());
    socket.on('close', () => resolve(connected ? reply : undefined));
  });
}
