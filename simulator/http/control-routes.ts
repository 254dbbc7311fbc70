import { readOutageChange } from '../faults/outage.ts';
import { readModelChange } from '../models/models.ts';
import type { CreateDeps } from './purchase.ts';
import type { Reply } from './reply.ts';

type ControlCall = { readonly readJson: () => Promise<unknown> };
type ControlRoute = readonly [
  method: string,
  path: RegExp,
  handler: (call: ControlCall, id: string) => Reply | Promise<Reply>,
];

/**
 * controlRoutes are the simulator's own routes, under `/simulator`: its ledger, its limits, its outages, its
 * models.
 */
export function controlRoutes({
  settings,
  ledger,
  limits,
  outages,
  faultCounts,
}: CreateDeps): ControlRoute[] {
  return [
    [
      'GET',
      /^\/simulator\/ledger\/?$/,
      () =>
        json({ totals: ledger.totals(), throttled_at: ledger.throttledAt(), responses: ledger.entries() }),
    ],
    [
      'DELETE',
      /^\/simulator\/ledger\/?$/,
      () => {
        ledger.reset();
        faultCounts.reset();
        limits.reset();
        return json({ reset: true });
      },
    ],
    ['GET', /^\/simulator\/limits\/?$/, () => json({ models: limits.report() })],
    ['GET', /^\/simulator\/weather\/?$/, () => json(outages.report())],
    [
      'PUT',
      /^\/simulator\/weather\/?$/,
      async ({ readJson }) => {
        outages.change(readOutageChange(await readJson(), settings.models.ids));
        return json(outages.report());
      },
    ],
    [
      'PUT',
      /^\/simulator\/models\/([^/]+)\/?$/,
      async ({ readJson }, id) => json(settings.models.change(id, readModelChange(await readJson()))),
    ],
  ];
}

function json(body: object): Reply {
  return { kind: 'json', body };
}
