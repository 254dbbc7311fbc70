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

const DESCRIPTION = `A durable background queue for slow, expensive model calls. Enqueue a question and collect the answer later.
A job survives crashes of the workers and of this server, and a response that is paid for is not bought again.

A refusal is \`application/problem+json\` with a stable \`code\`. A route refuses a field or parameter that it
does not know. Under \`/v1\` such a field goes to the upstream unchanged, and the upstream accepts or refuses it.`;

/**
 * openApiDocument makes the OpenAPI document of these routes from their operations, with the refusals that
 * follow from what a route takes.
 *
 * @param basePath the path under which callers reach the instance; see `serveAt`.
 */
export function openApiDocument(routes: readonly Route[], version: string, basePath = ''): OpenApiDocument {
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
      servers: [{ url: basePath || '/', description: 'This instance' }],
      tags: [
        { name: 'jobs', description: 'Enqueue, watch, read, cancel, retry, delete' },
        { name: 'OpenAI', description: 'OpenAI’s own routes' },
        { name: 'agents', description: 'The Model Context Protocol' },
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

/**
 * READABLE drops details that no reader of the document needs: zod's pattern of a time has 300 characters.
 */
const READABLE: CreateDocumentOptions = {
  // Custom types are checked by code, so zod has no schema for them. Their metadata describes them.
  allowEmptySchema: { custom: true },
  override({ jsonSchema }) {
    if (jsonSchema.format === 'date-time') delete jsonSchema.pattern;
    if (jsonSchema.minimum === Number.MIN_SAFE_INTEGER) delete jsonSchema.minimum;
    if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum;
  },
};
