// What all programs ask for.
import { z } from 'zod';

/** The arguments and the run of the one tool. */
export const WEATHER = {
  name: 'weather',
  description: 'The weather in a city.',
  parameters: {
    type: 'object',
    properties: { city: { type: 'string' } },
    required: ['city'],
    additionalProperties: false,
  },
};
export const weather = ({ city }) => `sunny in ${city}`;

export const SCHEMA = z.object({
  title: z.string().min(12),
  count: z.int().min(3),
  tags: z.array(z.enum(['red', 'green'])).min(2),
  note: z.string().nullable(),
});
