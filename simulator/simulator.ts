import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createFaultCounts } from './faults/fault-count.ts';
import { createOutages, type OutageChange, readOutageChange } from './faults/outage.ts';
import { createDelivery } from './http/delivery.ts';
import { createExchange } from './http/exchange.ts';
import { createRouter } from './http/routes.ts';
import { createLedger, type Ledger } from './ledger/ledger.ts';
import { createRateLimits, type LimitReport } from './limits/rate-limits.ts';
import { resolveOptions, type SimulatorOptions } from './options.ts';
import { createStore } from './response/store.ts';
import { createWebhooks } from './webhooks/webhooks.ts';

export type { SimulatorOptions } from './options.ts';

/**
 * Simulator is a server that speaks OpenAI's Responses API. It asks no model, and its ledger counts what an
 * account would have been billed for. It stands beside the product: it imports nothing of `src`.
 */
export type Simulator = {
  /** Port 0 takes a free port. @returns a URL that is a `baseURL` for any OpenAI SDK. */
  listen(port: number, host?: string): Promise<{ readonly url: string }>;
  /** Cuts open connections and stops every timer. A second call waits until the first one has finished. */
  close(): Promise<void>;
  readonly ledger: Ledger;
  /**
   * Returns what `GET /simulator/limits` answers: for each model, what was accepted and how near that came to
   * the limit.
   */
  limits(): Record<string, LimitReport>;
  /** Starts, changes or ends an outage, as `PUT /simulator/weather` does. */
  setWeather(change: OutageChange): void;
};

/**
 * How many connections may wait to be accepted. Thousands of clients connect at once; the default of 511
 * would refuse some.
 */
const BACKLOG = 4096;
/**
 * How long an idle connection is kept, in milliseconds: longer than clients keep one. Otherwise the server
 * could close a connection on which a client has just sent a request.
 */
const KEEP_ALIVE_MS = 65_000;

/** How long OpenAI keeps an answer that is not to be stored, in milliseconds of the windows' clock. */
const UNSTORED_MS = 600_000;

export function createSimulator(options: SimulatorOptions = {}): Simulator {
  const settings = resolveOptions(options);
  const now = () => performance.timeOrigin + performance.now();
  const ledger = createLedger(now, settings.windowScale);
  const store = createStore({
    retentionMs: settings.retentionMs,
    unstoredMs: UNSTORED_MS / settings.windowScale,
    now,
    onRemoved: ledger.settle,
  });
  const delivery = createDelivery({ store, now });
  const webhooks = createWebhooks({ target: settings.webhook, ledger, now });
  const limits = createRateLimits({
    models: settings.models.ids,
    limitOf: settings.limitOf,
    now,
    onRefused: () => ledger.count('throttled'),
  });
  const outages = createOutages({
    now,
    onDown: delivery.resetAll,
    onThrottled: ledger.countThrottled,
  });
  const route = createRouter({
    settings,
    store,
    ledger,
    limits,
    outages,
    faultCounts: createFaultCounts(),
    webhooks,
    now,
  });

  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const exchange = createExchange(request, response, { now, paid: settings.paid });
    try {
      if (exchange.path.startsWith('/v1/')) ledger.count('requests');
      delivery.deliver(exchange, await route(exchange));
    } catch (error: unknown) {
      exchange.sendError(error);
    }
  };
  const server = createServer({ keepAliveTimeout: KEEP_ALIVE_MS }, (request, response) => {
    void answer(request, response);
  });
  let closing: Promise<void> | undefined;

  return {
    ledger,
    limits: limits.report,
    setWeather: (change) => outages.change(readOutageChange(change, settings.models.ids)),
    listen: (port, host = '127.0.0.1') =>
      new Promise((resolve, reject) => {
        server.once('error', reject);
        server.listen({ port, host, backlog: BACKLOG }, () => {
          server.off('error', reject);
          resolve({ url: urlOf(server.address() as AddressInfo) });
        });
      }),
    close: () => {
      closing ??= new Promise((resolve) => {
        delivery.close();
        webhooks.close();
        store.close();
        server.close(() => resolve());
        server.closeAllConnections();
      });
      return closing;
    },
  };
}

function urlOf({ address, family, port }: AddressInfo): string {
  return `http://${family === 'IPv6' ? `[${address}]` : address}:${port}/v1`;
}
