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
  const client = new OpenAI({ baseURL: url, apiKey: 'any', logLevel: 'off' });
  const ask = (mode, content, more = {}) =>
    createInstructor({ client, mode }).chat.completions.create({
      model: 'o3',
      messages: [{ role: 'user', content }],
      response_model: { schema: SCHEMA, name: 'answer' },
      max_retries: 0,
      ...more,
    });
  const fieldsOf = ({ _meta, ...fields }) => fields;
  const whole = async (mode, question) => fieldsOf(await ask(mode, question));
  const inParts = async (mode, question) => {
    const parts = [];
    for await (const part of await ask(mode, question, { stream: true })) parts.push(fieldsOf(part));
    const last = parts.at(-1);
    const strays = parts.filter(({ title }) => !last.title.startsWith(title ?? ''));
    if (strays.length > 0) throw new Error(`the answer does not begin with ${JSON.stringify(strays)}`);
    return last;
  };
  return {
    structured: (question) => whole('TOOLS', question),
    structuredInParts: (question) => inParts('TOOLS', question),
    jsonMode: (question) => whole('JSON', question),
    jsonModeInParts: (question) => inParts('JSON', question),
    refused: (question) => ask('TOOLS', question, { metadata: { sim: '400' } }),
  };
}
