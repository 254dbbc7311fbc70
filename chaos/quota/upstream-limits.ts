import { z } from 'zod';

const sumsSchema = z.object({ requests: z.number(), tokens: z.number() });
const modelSchema = z.object({
  used: sumsSchema,
  peak: sumsSchema,
  accepted: z.number(),
  refused: z.number(),
  tokens: z.number(),
  first_accepted_at: z.number().nullable(),
  last_accepted_at: z.number().nullable(),
});
const limitsSchema = z.object({ models: z.record(z.string(), modelSchema) });

/** UpstreamLimits is how near one model came to the simulator's limits. `used` covers the last 60 seconds. */
export type UpstreamLimits = z.infer<typeof modelSchema>;

/** @returns zeros for a model that no create has asked for yet. */
export async function readUpstreamLimits(upstreamUrl: string, model: string): Promise<UpstreamLimits> {
  const answer = await fetch(new URL('/simulator/limits', upstreamUrl));
  const { models } = limitsSchema.parse(await answer.json());
  const none = { requests: 0, tokens: 0 };
  return (
    models[model] ?? {
      used: none,
      peak: none,
      accepted: 0,
      refused: 0,
      tokens: 0,
      first_accepted_at: null,
      last_accepted_at: null,
    }
  );
}
