// Instructor, which reads structured outputs by Chat Completions, in each of its modes that OpenAI serves.
import createInstructor from '@instructor-ai/instructor';
import OpenAI from 'openai';
import { z } from 'zod/v3';

const SCHEMA = z.object({
  title: z.string().min(12),
  count: z.number().int().min(3),
  tags: z.array(z.enum(['red', 'green'])).min(2),
  note: z.string().nullable(),
});

export default function createClient({ url }) {
  const client = new OpenAI({ baseURL: url, apiKey: 'any', logLevel: 'off' });
  const ask = async (mode, content, more = {}) => {
    const answer = await createInstructor({ client, mode }).chat.completions.create({
      model: 'o3',
      messages: [{ role: 'user', content }],
      response_model: { schema: SCHEMA, name: 'answer' },
      max_retries: 0,
      ...more,
    });
    const { _meta, ...object } = answer;
    return object;
  };
  return {
    structured: (question) => ask('TOOLS', question),
    structuredByJson: (question) => ask('JSON_SCHEMA', question),
    structuredInParts: async (question) => {
      const stream = await createInstructor({ client, mode: 'TOOLS' }).chat.completions.create({
        model: 'o3',
        messages: [{ role: 'user', content: question }],
        response_model: { schema: SCHEMA, name: 'answer' },
        stream: true,
      });
      let last;
      for await (const part of stream) last = part;
      const { _meta, ...object } = last;
      return object;
    },
    refused: (question) => ask('TOOLS', question, { metadata: { sim: '400' } }),
  };
}
