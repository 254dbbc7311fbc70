import type { Route } from '../http/route.ts';
import { listModels, retrieveModel } from '../openapi/operations/v1.ts';
import { OpenAiError } from './openai-error.ts';

/**
 * modelRoutes lists the configured models under the names that callers use, and shows each one also under the
 * name of a snapshot (`o3-2025-04-16`) that a create takes.
 */
export function modelRoutes(models: readonly string[]): Route[] {
  return [
    {
      method: 'get',
      path: '/v1/models',
      operation: listModels,
      handle: async () => ({ status: 200, body: { object: 'list', data: models.map(modelObject) } }),
    },
    {
      method: 'get',
      path: '/v1/models/:model',
      operation: retrieveModel,
      async handle({ params, queue }) {
        const model = params['model'] ?? '';
        if (queue.modelNamed(model) !== undefined) return { status: 200, body: modelObject(model) };
        throw new OpenAiError(404, {
          message: `The model '${model.slice(0, 100)}' is not configured here: expected one of ${models.join(', ')}.`,
          param: 'model',
          code: 'model_not_found',
        });
      },
    },
  ];
}

/** The field `created` is required. It is 0, because only the upstream knows when a model was created. */
function modelObject(id: string): object {
  return { id, object: 'model', created: 0, owned_by: 'o3-queue' };
}
