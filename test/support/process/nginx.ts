import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from '../eventually.ts';
import { type AptPackage, findOrInstall } from './apt-package.ts';

/** NGINX is the proxy that docs/operating/DEPLOYING.md shows. */
export const NGINX: AptPackage = {
  title: 'nginx',
  name: 'nginx-light',
  programs: ['nginx'],
  paths: ['/usr/sbin/nginx'],
};

const DOCUMENT = 'docs/operating/DEPLOYING.md';

export interface Nginx {
  /** The origin at which nginx listens. */
  readonly origin: string;
  /** What nginx has written into its access log. */
  accessLog(): string;
  stop(): Promise<void>;
}

/**
 * startNginx runs nginx with the configuration of docs/operating/DEPLOYING.md, without its certificate.
 *
 * @param path the program.
 * @param producerUrl the producer to which it leads.
 * @param readTimeout replaces `proxy_read_timeout`. Default: as the document has it.
 */
export async function startNginx(path: string, producerUrl: string, readTimeout?: string): Promise<Nginx> {
  const folder = mkdtempSync(join(tmpdir(), 'o3q-nginx-'));
  const port = await freePort();
  const server = shownConfiguration()
    .replace(/ssl_certificate.*\n/g, '\n')
    .replace('listen 443 ssl;', `listen 127.0.0.1:${port};`)
    .replace('http://127.0.0.1:3000', producerUrl)
    .replace(/(?<=proxy_read_timeout )[^;]+/, (shown) => readTimeout ?? shown)
    .replace('/var/log/nginx/access.log', join(folder, 'access.log'));
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

function shownConfiguration(): string {
  const [, shown] = /```nginx\n(.*?)```/s.exec(readFileSync(DOCUMENT, 'utf8')) ?? [];
  if (shown === undefined) throw new Error(`a configuration of nginx was expected in ${DOCUMENT}`);
  return shown;
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
