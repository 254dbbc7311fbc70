import type { Command } from 'commander';
import { numberText } from '../../src/client/quantity.ts';
import { oneLine } from '../../src/client/terminal-text.ts';
import type { ModelStatus, ModelView } from '../../src/models/view.ts';
import { lowerLimit } from '../../src/quota/limits.ts';
import { type CommandContext, printJson } from '../command-context.ts';
import { borderlessTable, type Column } from '../display/borderless-table.ts';
import { type Style, type Terminal, unlimited } from '../display/terminal.ts';
import { linesOf } from '../display/wrapped-text.ts';
import { wideOption } from '../option.ts';

/** registerModelsCommands adds `o3q models` and `o3q resume`. */
export function registerModelsCommands(program: Command, context: CommandContext): void {
  program
    .command('models')
    .summary('show the state of the configured models')
    .description(
      'Shows each configured model: its upstream model, how much of its limits the last minute has used, ' +
        'how many workers take its jobs, how many jobs wait, and why. Needs the key of admin.',
    )
    .addOption(wideOption())
    .option('--json', 'print the JSON of the API: a list of models')
    .action(async (options: { output?: 'wide'; json?: true }) => {
      const models = await context.client().models();
      if (options.json) return printJson(context, models);
      const { output } = context;
      output.line(modelTable(models, options.output === 'wide' ? unlimited(output) : output));
    });
  program
    .command('resume')
    .summary('end the pauses of a model, and the limits that were set on Bull Board')
    .description(
      'Ends any pause of a model and its fallbacks, for example after you have added money to the upstream ' +
        'account, and the pause and limits that were set for its queue on Bull Board. Without it, one job probes the upstream once a minute at first and every ten minutes later. ' +
        'Needs the key of admin.',
    )
    .argument('<model>', 'a configured model')
    .option('--json', 'print the JSON of the API: {model, upstream_models, resumed, ended_on_board}')
    .action(async (model: string, options: { json?: true }) => {
      const resumed = await context.client().resume(model);
      const { output } = context;
      if (options.json) return printJson(context, resumed);
      const word = resumed.resumed ? 'is resumed' : 'was not paused';
      const name = oneLine(resumed.model);
      const upstream = resumed.upstream_models.map(oneLine).join(', ');
      output.line(`${name} ${word}${upstream === name ? '' : ` (${upstream})`}`);
      const ended = resumed.ended_on_board.map((kind) => kind.replace('_', ' '));
      if (ended.length > 0) output.line(`ended on Bull Board: ${ended.join(', ')}`);
    });
}

const STYLES: Record<ModelStatus, Style> = {
  open: 'green',
  rate_limited: 'yellow',
  paused: 'red',
  down: 'red',
  limited: 'yellow',
  gone: 'red',
  no_worker: 'red',
};

const COLUMNS: Column[] = [
  { title: 'MODEL', shortest: 8 },
  { title: 'UPSTREAM', shortest: 8, leftOut: 1 },
  { title: 'STATUS' },
  { title: 'WORKERS', align: 'right' },
  { title: 'WAITING', align: 'right' },
  { title: 'IN FLIGHT', align: 'right', leftOut: 3 },
  { title: 'REQUESTS/MIN', align: 'right', leftOut: 2 },
  { title: 'TOKENS/MIN', align: 'right', leftOut: 4 },
  { title: 'SHUTDOWN' },
];

/**
 * modelTable shows models as a table. Below it are the reasons why models are held up, and what runs within
 * completion windows.
 */
export function modelTable(models: readonly ModelView[], terminal: Terminal): string {
  const rows = models.map(({ model, upstream_model: upstreamModel, limits, told_limits: told, state }) => [
    oneLine(model),
    oneLine(upstreamModel),
    terminal.paint(STYLES[state.status], state.status.replace('_', ' ')),
    numberText(state.workers),
    numberText(state.waiting),
    usedOf(state.in_flight, limits.max_in_flight),
    usedOf(state.requests_last_minute, lowerLimit(limits.requests_per_minute, told.requests_per_minute)),
    usedOf(state.tokens_last_minute, lowerLimit(limits.tokens_per_minute, told.tokens_per_minute)),
    oneLine(state.shutdown_date ?? ''),
  ]);
  const reasons = models.flatMap(({ model, state: { reason } }) =>
    reason === null ? [] : linesOf(`${oneLine(model)}: ${oneLine(reason)}`, terminal),
  );
  const windows = models.flatMap((view) => windowNotes(view).flatMap((note) => linesOf(note, terminal)));
  return [borderlessTable(COLUMNS, rows, terminal), ...reasons, ...windows].join('\n');
}

/** Says how many responses a model has within completion windows, and until when the upstream refuses windows. */
function windowNotes({ model, limits, state }: ModelView): string[] {
  const { in_flight_windowed: count, no_windows_until: until } = state;
  const name = oneLine(model);
  return [
    ...(count === 0
      ? []
      : [`${name}: ${usedOf(count, limits.max_in_flight_windowed)} in flight within completion windows`]),
    ...(until === null
      ? []
      : [`${name}: completion windows are refused by the upstream until ${oneLine(until)}`]),
  ];
}

function usedOf(used: number, limit: number | null): string {
  return limit === null ? numberText(used) : `${numberText(used)} of ${numberText(limit)}`;
}
