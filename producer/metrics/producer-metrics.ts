import type { IncomingMessage, ServerResponse } from 'node:http';
import { Gauge, Histogram } from 'prom-client';
import { CANCELLED, createProcessMetrics, type ProcessMetrics } from '../../src/metrics/process-metrics.ts';
import { registerSharedGauges, type SharedReads } from '../../src/models/shared-gauges.ts';
import { BOARD_PATH } from '../board/board.ts';
import { DOCS_PATH } from '../pages/docs-page.ts';

/** ProducerMetrics counts what one producer does. */
export interface ProducerMetrics
  extends Pick<ProcessMetrics, 'text' | 'contentType' | 'watchRedis' | 'weakAck'> {
  /** Adds the gauges of values that all processes share. */
  watch(reads: SharedReads): void;
  /** Measures a request until its connection closes. Call it when the request begins. */
  measure(request: IncomingMessage, response: ServerResponse): void;
  /** Counts an open stream until its connection closes. Call it before the headers of the stream are sent. */
  streamOpened(response: ServerResponse): void;
  /** Counts a job that this producer has ended. */
  cancelled(model: string): void;
}

const BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];
/** Node's parser knows more than thirty methods. Every other one is told as `other`. */
const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);
/** Pages with routes of their own libraries, each of which is told as one. */
const PAGES: readonly unknown[] = [BOARD_PATH, DOCS_PATH];
const OTHER = 'other';
/** The status that nginx logs for a caller that has gone before its answer. */
const GONE = 499;

/** @param shared the metrics of the process. Default: those of a process in which nothing else runs. */
export function createProducerMetrics(
  models: readonly string[],
  shared: ProcessMetrics = createProcessMetrics(),
): ProducerMetrics {
  const registers = [shared.registry];
  const durations = new Histogram({
    name: 'o3q_http_request_duration_seconds',
    help: 'From the headers of a request to the end of its answer, or to the headers of a stream',
    labelNames: ['route', 'method', 'status'],
    buckets: BUCKETS,
    registers,
  });
  /** When each open stream was opened, by `performance.now()`. */
  const streams = new Map<ServerResponse, number>();
  new Gauge({
    name: 'o3q_open_streams',
    help: 'Event streams that callers hold open at this producer',
    registers,
    collect() {
      this.set(streams.size);
    },
  });
  const ends = new Map(models.map((model) => [model, shared.endsOf(model, [CANCELLED])]));
  return {
    text: shared.text,
    contentType: shared.contentType,
    watchRedis: shared.watchRedis,
    weakAck: shared.weakAck,
    watch: (reads) => registerSharedGauges(shared.registry, reads),
    measure(request, response) {
      const startedAt = performance.now();
      response.on('close', () => {
        const endedAt = streams.get(response) ?? performance.now();
        streams.delete(response);
        const { method = '' } = request;
        durations.observe(
          {
            route: routeOf(request),
            method: METHODS.has(method) ? method : OTHER,
            status: response.headersSent ? response.statusCode : GONE,
          },
          (endedAt - startedAt) / 1000,
        );
      });
    },
    streamOpened: (response) => streams.set(response, performance.now()),
    cancelled: (model) => ends.get(model)?.(CANCELLED),
  };
}

/** What Express writes into a request while it looks for the route. */
type RoutedRequest = IncomingMessage & { baseUrl?: string; route?: { path: unknown }; originalUrl?: string };

/**
 * routeOf returns the pattern of the route that has answered, never an id. A call with `?wait` is told apart: how
 * long it takes says nothing about the producer.
 */
function routeOf({ baseUrl, route, originalUrl = '' }: RoutedRequest): string {
  if (PAGES.includes(baseUrl)) return String(baseUrl);
  const path = route?.path;
  if (typeof path !== 'string') return OTHER;
  return /[?&]wait=/.test(originalUrl) ? `${path}?wait` : path;
}
