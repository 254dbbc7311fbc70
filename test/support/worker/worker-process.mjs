// A worker in a process of its own, so that it can be killed. Runs the compiled code: Node 20 reads no TypeScript.
import { createInterface } from 'node:readline';
import { defaultModels } from '../../../dist/src/config/file.js';
import { createLogger } from '../../../dist/src/process/log.js';
import { startWorker } from '../../../dist/worker/worker.js';

const { redisUrl, baseUrl, recovery, webhookSecret, models } = JSON.parse(process.argv[2]);
const worker = startWorker({
  ...defaultModels(),
  ...(models && { models }),
  redisUrl,
  prefix: 'o3q',
  concurrency: 100,
  upstream: { apiKey: 'sk-test', baseUrl },
  // It delivers webhooks, also to this machine.
  ...(webhookSecret && { allowPrivateWebhooks: true, webhooksOut: { secret: webhookSecret } }),
  recovery,
  logger: createLogger({ level: 'info', secrets: [], pretty: false }),
});
// Each line is a time in milliseconds for which nothing else runs in this process.
createInterface(process.stdin).on('line', (ms) => {
  for (const until = performance.now() + Number(ms); performance.now() < until; );
});
// Its test is gone.
process.stdin.once('end', () => process.exit());
await worker.alive;
process.stdout.write('ready\n');
