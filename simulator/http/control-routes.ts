import { readWeatherChange } from '../faults/outage-change.ts';
import { readModelChange } from '../models/model-change.ts';
import type { CreateDeps } from '../request/create.ts';
import type { Reply } from './reply.ts';

/** One call of the simulator's own routes. */
type ControlCall = { readonly readJson: () => Promise<unknown> };
type ControlRoute = readonly [
  method: string,
  path: RegExp,
  handler: (call: ControlCall, id: string) => Reply | Promise<Reply>,
];

/** Not OpenAI's: what the simulator has sold, how near its limits that came, and what befalls it. */
export function controlRoutes({ settings, ledger, limits, weather, turns }: CreateDeps): ControlRoute[] {
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
        turns.reset();
        limits.reset();
        return json({ reset: true });
      },
    ],
    ['GET', /^\/simulator\/limits\/?$/, () => json({ models: limits.report() })],
    ['GET', /^\/simulator\/weather\/?$/, () => json(weather.report())],
    [
      'PUT',
      /^\/simulator\/weather\/?$/,
      async ({ readJson }) => {
        weather.change(readWeatherChange(await readJson(), settings.models.ids));
        return json(weather.report());
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
