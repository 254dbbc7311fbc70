import { z } from 'zod';
import type {
  ZodOpenApiContentObject,
  ZodOpenApiOperationObject,
  ZodOpenApiResponseObject,
  ZodOpenApiResponsesObject,
} from 'zod-openapi';
import type { Route } from '../http/route.ts';
import type { Answer, Content } from './operation.ts';
import { type RouteRefusal, refusalsOf } from './refusals.ts';

/** pathTemplate turns Express' `/jobs/:id` into OpenAPI's `/jobs/{id}`. */
export function pathTemplate(path: string): string {
  return path.replaceAll(/:(\w+)/g, '{$1}');
}

/** operationObject writes one route for OpenAPI. */
export function operationObject(route: Route): ZodOpenApiOperationObject {
  const { id, tag, summary, description, query, headers, body } = route.operation;
  const names = [...route.path.matchAll(/:(\w+)/g)].map((match) => match[1] ?? '');
  return {
    operationId: id,
    tags: [tag],
    summary,
    ...(description !== undefined && { description }),
    requestParams: {
      path: z.object(Object.fromEntries(names.map((name) => [name, z.string()]))),
      ...(query !== undefined && { query }),
      ...(headers !== undefined && { header: headers }),
    },
    ...(body !== undefined && { requestBody: { required: true, content: contentObject(body) } }),
    responses: responsesObject(route),
    ...(route.open === true && { security: [] }),
  };
}

function responsesObject(route: Route): ZodOpenApiResponsesObject {
  const { answers } = route.operation;
  const refusals = new Map(refusalsOf(route).map((refusal) => [refusal.status, refusal]));
  const statuses = new Set([...Object.keys(answers), ...refusals.keys()]);
  return Object.fromEntries(
    [...statuses].map((status) => [status, responseObject(answers[Number(status)], refusals.get(status))]),
  );
}

/** An answer and a refusal may have the same status. They differ in media type. */
function responseObject(
  answer: Answer | undefined,
  refusal: RouteRefusal | undefined,
): ZodOpenApiResponseObject {
  const content = {
    ...(answer?.content !== undefined && contentObject(answer.content)),
    ...refusal?.content,
  };
  return {
    description: [answer?.description, refusal?.description].filter(Boolean).join('. '),
    ...(answer?.headers !== undefined && { headers: answer.headers }),
    ...(Object.keys(content).length > 0 && { content }),
  };
}

function contentObject({ schema, mediaType, streamed, examples }: Content): ZodOpenApiContentObject {
  const named = Object.entries(examples ?? {}).map(([name, value]) => [name, { value }]);
  return {
    [mediaType ?? 'application/json']: {
      schema,
      ...(named.length > 0 && { examples: Object.fromEntries(named) }),
    },
    ...(streamed !== undefined && { [streamed]: { schema: z.string() } }),
  };
}
