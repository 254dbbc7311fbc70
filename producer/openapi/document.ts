import {
  type CreateDocumentOptions,
  createDocument,
  type oas31,
  type ZodOpenApiPathsObject,
} from 'zod-openapi';
import type { Route } from '../http/route.ts';
import { problem } from './problem-schema.ts';
import { operationObject, pathTemplate } from './rendering.ts';

export type OpenApiDocument = oas31.OpenAPIObject;

const DESCRIPTION = `A durable background queue for slow, expensive model calls. Enqueue a question, go away, and collect the answer when it is
there: a job survives crashes of the workers and of this server, and a response that is already paid for is not bought again.

A refusal is \`application/problem+json\` with a stable \`code\`. What these routes take is checked: a field or parameter that they do not
know is refused, not ignored. Under \`/v1\` it goes to the upstream untouched, whose words the answer then has.`;

/**
 * The OpenAPI document of these routes: what they tell of themselves, and the refusals that all of their kind
 * share.
 */
export function openApiDocument(routes: readonly Route[], version: string): OpenApiDocument {
  const paths: ZodOpenApiPathsObject = {};
  for (const route of routes) {
    const path = pathTemplate(route.path);
    paths[path] = { ...paths[path], [route.method]: operationObject(route) };
  }
  return createDocument(
    {
      openapi: '3.1.0',
      info: {
        title: 'o3-queue',
        version,
        description: DESCRIPTION,
        license: { name: 'MIT', identifier: 'MIT' },
      },
      servers: [{ url: '/', description: 'This instance' }],
      tags: [
        { name: 'jobs', description: 'Enqueue, watch, collect, cancel, run again, forget' },
        { name: 'OpenAI', description: 'What OpenAI and its SDKs speak' },
        { name: 'instance', description: 'This server itself' },
      ],
      security: [{ bearer: [] }],
      paths,
      components: {
        schemas: { Problem: problem },
        securitySchemes: {
          bearer: {
            type: 'http',
            scheme: 'bearer',
            description: 'A secret of `O3Q_KEYS`. An instance without keys asks for none.',
          },
        },
      },
    },
    READABLE,
  );
}

/** zod is more exact than a reader can bear: its pattern of a time has 300 characters. */
const READABLE: CreateDocumentOptions = {
  // Checked by rules in code; their own metadata tell of them.
  allowEmptySchema: { custom: true },
  override({ jsonSchema }) {
    if (jsonSchema.format === 'date-time') delete jsonSchema.pattern;
    if (jsonSchema.minimum === Number.MIN_SAFE_INTEGER) delete jsonSchema.minimum;
    if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum;
  },
};
