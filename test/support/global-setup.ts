import { resolveTestServer } from './redis/redis-server.ts';

/** Once, before the test files run side by side: a machine without Redis fetches one, and only once. */
export default async function globalSetup(): Promise<void> {
  await resolveTestServer();
}
