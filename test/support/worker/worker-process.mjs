// A worker in a process of its own, so that it can be killed. Runs the compiled code: Node 20 reads no TypeScript.
import { execFileSync } from 'node:child_process';
import { defaultModels } from '../../../dist/src/config/file.js';
import { createLogger } from '../../../dist/src/process/log.js';
import { startWorker } from '../../../dist/worker/worker.js';

const [redisUrl, baseUrl, lockMs, stalledMs, webhookSecret, descriptors] = process.argv.slice(2);
// Only now: to load its modules, Node opens more files than that.
if (descriptors) execFileSync('prlimit', [`--pid=${process.pid}`, `--nofile=${descriptors}`]);
startWorker({
  ...defaultModels(),
  redisUrl,
  prefix: 'o3q',
  concurrency: 100,
  upstream: { apiKey: 'sk-test', baseUrl },
  // It delivers webhooks, also to this machine.
  ...(webhookSecret && { allowPrivateWebhooks: true, webhooksOut: { secret: webhookSecret } }),
  recovery: { lockMs: Number(lockMs), stalledMs: Number(stalledMs) },
  logger: createLogger({ level: 'info', secrets: [], pretty: false }),
});
process.stdout.write('ready\n');
