import { checkedInput } from '../../src/errors/input.ts';
import type { Route } from '../http/route.ts';
import { getUsage, usageQuery } from '../openapi/operations/usage.ts';

export function usageRoute(): Route {
  return {
    method: 'get',
    path: '/usage',
    heavy: true,
    operation: getUsage,
    async handle({ queue, query }) {
      return { status: 200, body: await queue.usage(checkedInput('query', query, usageQuery)) };
    },
  };
}
