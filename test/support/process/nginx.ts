import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from '../eventually.ts';
import { CERTIFICATE, CERTIFICATE_KEY } from '../http/certificate.ts';
import { type AptPackage, findOrInstall } from './apt-package.ts';

/** NGINX is the proxy of deploy/nginx. */
export const NGINX: AptPackage = {
  title: 'nginx',
  name: 'nginx-light',
  programs: ['nginx'],
  paths: ['/usr/sbin/nginx'],
};

const SHIPPED = 'deploy/nginx/o3q.conf';

export interface Nginx {
  /** The origin at which nginx listens, without TLS. */
  readonly origin: string;
  /** The origin at which nginx listens with CERTIFICATE. */
  readonly secureOrigin: string;
  /** What nginx has written into its access log. */
  accessLog(): string;
  stop(): Promise<void>;
}

/**
 * startNginx runs nginx with the shipped file, on ports of loopback. Its server with TLS listens without TLS,
 * too, at `origin`: most clients of tests trust no certificate of ours.
 *
 * @param path the program.
 * @param producerUrl the producer to which it leads.
 * @param readTimeout replaces `proxy_read_timeout`. Default: as the file has it.
 */
export async function startNginx(path: string, producerUrl: string, readTimeout?: string): Promise<Nginx> {
  const folder = mkdtempSync(join(tmpdir(), 'o3q-nginx-'));
  const [port, securePort, redirectPort] = [await freePort(), await freePort(), await freePort()];
  const [certificate, key] = [join(folder, 'certificate.pem'), join(folder, 'certificate.key')];
  writeFileSync(certificate, CERTIFICATE);
  writeFileSync(key, CERTIFICATE_KEY);
  const server = [
    ['listen 443 ssl http2;', `listen 127.0.0.1:${securePort} ssl http2; listen 127.0.0.1:${port};`],
    ['listen 80;', `listen 127.0.0.1:${redirectPort};`],
    ['/etc/ssl/ask.example.com.pem', certificate],
    ['/etc/ssl/ask.example.com.key', key],
    ['server 127.0.0.1:3000 ', `server ${new URL(producerUrl).host} `],
    ['proxy_read_timeout 3600s;', `proxy_read_timeout ${readTimeout ?? '3600s'};`],
    ['/var/log/nginx/o3q.access.log', join(folder, 'access.log')],
  ].reduce(
    (text, [shipped = '', ours = '']) => {
      if (!text.includes(shipped)) throw new Error(`expected ${shipped} in ${SHIPPED}`);
      return text.replace(shipped, ours);
    },
    readFileSync(SHIPPED, 'utf8'),
  );
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((name) => `${name}_temp_path ${folder}/${name};`)
    .join('\n');
  const file = join(folder, 'nginx.conf');
  writeFileSync(
    file,
    `daemon off; master_process off; pid ${folder}/nginx.pid; events {}\nhttp {\n${temporary}\n${server}\n}\n`,
  );
  const child = spawn(path, ['-p', folder, '-e', 'stderr', '-c', file], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => {
    said += chunk.toString();
  });
  const origin = `http://127.0.0.1:${port}`;
  await eventually(async () => {
    if (child.exitCode !== null) throw new Error(`nginx has ended: ${said}`);
    expect((await fetch(`${origin}/o3q/livez`)).status).toBe(200);
  });
  return {
    origin,
    secureOrigin: `https://127.0.0.1:${securePort}`,
    accessLog: () => readFileSync(join(folder, 'access.log'), 'utf8'),
    async stop() {
      await ended(child);
      rmSync(folder, { recursive: true });
    },
  };
}

/** Debian's nginx, or why there is none. */
export const nginxOrInstall = () => findOrInstall(NGINX);

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return;
  const exit = once(child, 'exit');
  child.kill('SIGTERM');
  await exit;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('a port was expected');
  return address.port;
}
