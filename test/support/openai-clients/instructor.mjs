// Instructor, which speaks Chat Completions and makes a function of the schema.
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
  const client = createInstructor({
    client: new OpenAI({ baseURL: url, apiKey: 'any', logLevel: 'off' }),
    mode: 'TOOLS',
  });
  const ask = (content, more = {}) =>
    client.chat.completions.create({
      model: 'o3',
      messages: [{ role: 'user', content }],
      response_model: { schema: SCHEMA, name: 'answer' },
      max_retries: 0,
      ...more,
    });
  const fieldsOf = ({ _meta, ...fields }) => fields;
  return {
    structured: async (question) => fieldsOf(await ask(question)),
    structuredInParts: async (question) => {
      let last;
      for await (const part of await ask(question, { stream: true })) last = part;
      return fieldsOf(last);
    },
    refused: (question) => ask(question, { metadata: { sim: '400' } }),
  };
}
