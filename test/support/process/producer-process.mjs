// A producer in a process of its own, with a clock of its own. Runs the compiled code: Node 20 reads no TypeScript.
import { startProducer } from '../../../dist/producer/producer.js';
import { defaultModels } from '../../../dist/src/config/file.js';
import { createLogger } from '../../../dist/src/process/log.js';

const [redisUrl] = process.argv.slice(2);
const producer = await startProducer({
  settings: defaultModels(),
  redisUrl,
  prefix: 'o3q',
  host: '127.0.0.1',
  port: 0,
  logger: createLogger({ level: 'warn', secrets: [], pretty: false }),
});
process.stdout.write(`ready on ${producer.url}\n`);
