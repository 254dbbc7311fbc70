import { connect } from 'node:net';
import { startWorkerHealth } from '../../../worker/health.ts';
import { startInstance } from '../../support/worlds/instance.ts';

const LIMIT_MS = 20_000;

/** Resolves when the server has closed a connection on which this was sent. */
function closed(port: number, sent: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(sent));
    const timer = setTimeout(() => {
      socket.destroy();
      reject(new Error(`the connection was still open after ${LIMIT_MS} ms`));
    }, LIMIT_MS);
    socket.on('error', () => {});
    socket.on('close', () => {
      clearTimeout(timer);
      resolve();
    });
    socket.resume();
  });
}

it('a connection that stays silent, or in the middle of its headers, is closed by producers and workers', async () => {
  const instance = await startInstance({ workers: 0 });
  const health = await startWorkerHealth(() => undefined, '127.0.0.1', 0);
  try {
    const ports = [Number(new URL(instance.url).port), health.port];
    await Promise.all(
      ports.flatMap((port) =>
        ['', 'GET /livez HTTP/1.1\r\nhost: 127.0.0.1\r\n'].map((text) => closed(port, text)),
      ),
    );
  } finally {
    await health.close();
    await instance.stop();
  }
});
