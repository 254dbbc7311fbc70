import { defaultModels } from '../../src/config/file.ts';
import { connectRedis } from '../../src/redis/connection.ts';
import { keysOf } from '../../src/redis/keys.ts';
import type { Fleet } from '../fleet/fleet.ts';
import type { Requirement } from '../scenario.ts';

/** eventLogRequirements measures the event log of a job in Redis. */
export async function eventLogRequirements({ redis }: Fleet, jobId: string): Promise<Requirement[]> {
  const client = connectRedis(redis.url, 'patient', { onError: () => {} });
  try {
    const key = keysOf('o3q', defaultModels().defaultModel).eventLog(jobId);
    const [entries, bytes] = await Promise.all([client.xlen(key), client.memory('USAGE', key, 'SAMPLES', 0)]);
    return [
      {
        what: 'its event log in Redis',
        required: '',
        measured: `${entries} entries, ${Math.round((bytes ?? 0) / 1024)} KB`,
        met: undefined,
      },
    ];
  } finally {
    client.disconnect();
  }
}
