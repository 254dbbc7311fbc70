import { z } from 'zod';
import { checkedInput } from '../../src/errors/input.ts';
import type { ProcessMetrics } from '../../src/metrics/process-metrics.ts';
import type { Route } from '../http/route.ts';
import type { Operation } from '../openapi/operation.ts';
import { noQuery } from './job-queries.ts';
import { forAdmin } from './models.ts';

const readMetrics: Operation = {
  id: 'readMetrics',
  tag: 'instance',
  summary: 'Read the metrics of this process',
  description:
    'In the text format of Prometheus; docs/operating/METRICS.md explains each. Where a worker runs in the same ' +
    'process, its metrics are here, too. Only for `admin`.',
  query: noQuery,
  answers: { 200: { description: 'Every metric', content: { schema: z.string(), mediaType: 'text/plain' } } },
};

/** metricsRoute tells Prometheus the metrics of the process. */
export function metricsRoute({ text, contentType }: Pick<ProcessMetrics, 'text' | 'contentType'>): Route {
  return {
    method: 'get',
    path: '/metrics',
    operation: readMetrics,
    async handle({ caller, query }) {
      forAdmin(caller, 'the metrics');
      checkedInput('query', query, noQuery);
      return { status: 200, text: { contentType, body: await text() } };
    },
  };
}
