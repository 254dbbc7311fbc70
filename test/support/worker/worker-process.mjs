// A worker in a process of its own, so that it can be killed. Runs the compiled code: Node 20 reads no TypeScript.
import { execFileSync } from 'node:child_process';
import { Redis } from 'ioredis';
import { defaultModels } from '../../../dist/src/config/file.js';
import { beatWorker } from '../../../dist/src/lua/workers/heartbeats.js';
import { createLogger } from '../../../dist/src/process/log.js';
import { startWorker } from '../../../dist/worker/worker.js';

const { redisUrl, baseUrl, recovery, webhookSecret, descriptors, models, diesOfTakeover } = JSON.parse(
  process.argv[2],
);
if (diesOfTakeover) {
  const { sendCommand } = Redis.prototype;
  Redis.prototype.sendCommand = function (command, stream) {
    const answer = sendCommand.call(this, command, stream);
    if (command.args[0] !== beatWorker.sha) return answer;
    return answer.then((taken) => {
      if (taken.length > 0) process.kill(process.pid, 'SIGKILL');
      return taken;
    });
  };
}
// Only now: to load its modules, Node opens more files than that.
if (descriptors) execFileSync('prlimit', [`--pid=${process.pid}`, `--nofile=${descriptors}`]);
const worker = startWorker({
  settings: {
    ...defaultModels(),
    ...(models && { models }),
    // It delivers webhooks, also to this machine.
    ...(webhookSecret && { allowPrivateWebhooks: true }),
  },
  redisUrl,
  prefix: 'o3q',
  concurrency: 100,
  upstream: { apiKey: 'sk-test', baseUrl },
  ...(webhookSecret && { webhooksOut: { secret: webhookSecret } }),
  recovery,
  logger: createLogger({ level: 'info', secrets: [], pretty: false }),
});
process.on('message', ({ blockMs }) => {
  // Nothing else runs in this process meanwhile.
  for (const until = performance.now() + (blockMs ?? 0); performance.now() < until; );
});
// Its test is gone.
process.on('disconnect', () => process.exit());
await worker.alive;
process.stdout.write('ready\n');
