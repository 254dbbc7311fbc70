import { readConfig, secretsOf } from '../../src/config/environment.ts';
import { createLogger } from '../../src/process/log.ts';
import { startWorker } from '../../worker/worker.ts';

/**
 * The entry point of a worker whose clock of completion windows is scaled, as the simulator's is. Its argument
 * is the scale. The scale is no setting of the product: a worker that miscounts eight hours would buy answers
 * that come too late.
 */
const config = readConfig();
const { openai, redisUrl, prefix, concurrency, logLevel } = config;
if (redisUrl === undefined) throw new Error('expected REDIS_URL, got none');
const worker = startWorker({
  settings: config,
  redisUrl,
  prefix,
  concurrency,
  upstream: {
    apiKey: openai.apiKey,
    baseUrl: openai.baseUrl,
    proxy: openai.proxy,
    webhooks: openai.webhookSecret !== undefined,
  },
  windowScale: Number(process.argv[2]),
  logger: createLogger({ level: logLevel, secrets: secretsOf(config), pretty: false }),
});
await worker.alive;
process.stdout.write('worker ready\n');
