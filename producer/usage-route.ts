import { checkedInput } from '../src/input.ts';
import { getUsage, usageQuery } from './openapi/usage-operation.ts';
import type { Route } from './route.ts';

export function usageRoute(): Route {
  return {
    method: 'get',
    path: '/usage',
    operation: getUsage,
    async handle({ queue, query }) {
      return { status: 200, body: await queue.usage(checkedInput('query', query, usageQuery)) };
    },
  };
}
