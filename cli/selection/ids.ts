import { O3ClientError } from '../../src/client/client-error.ts';
import type { O3Client } from '../../src/client/o3-client.ts';
import { oneLine } from '../../src/client/terminal-text.ts';
import type { ActionKind } from '../../src/job/action.ts';
import type { JobView } from '../../src/job/view.ts';
import { type CommandContext, printJson } from '../command-context.ts';
import { statusText } from '../display/job-table.ts';
import { nextCommands } from '../display/outcome.ts';
import { EXIT } from '../exit-code.ts';
import { idFor } from '../job-id.ts';
import { confirm, requireTerminal } from './confirm.ts';
import { questionAbout } from './kinds.ts';

/**
 * actOnIds acts on jobs one after the other. When the instance refuses to act on one, it still acts on the
 * others. When the instance cannot be reached, the command ends.
 */
export async function actOnIds(
  context: CommandContext,
  client: O3Client,
  kind: ActionKind,
  ids: readonly string[],
  { yes = false, json = false }: { yes?: boolean; json?: boolean },
): Promise<void> {
  // One job that is cancelled or retried by name is no selection, so there is nothing to ask.
  const isAsked = !yes && (kind === 'delete' || ids.length > 1);
  if (isAsked && !(await confirmed(context, client, kind, ids))) return;
  const jobs: JobView[] = [];
  for (const id of ids) {
    try {
      const job = await act(client, kind, id);
      if (job !== undefined) jobs.push(job);
      if (!json) context.output.line(doneText(id, kind, job));
    } catch (error: unknown) {
      if (!(error instanceof O3ClientError) || error.status === undefined || error.status >= 500) throw error;
      context.notices.line(`${context.notices.paint('red', 'o3q:')} ${oneLine(error.message)}`);
      context.finish(EXIT.failed);
    }
  }
  const [job] = jobs;
  const { output } = context;
  if (json) printJson(context, ids.length === 1 ? (job ?? null) : jobs);
  else if (kind === 'retry' && job !== undefined && output.isTerminal) {
    output.line(
      nextCommands(output, [[`o3q result ${idFor(output, job.id)} --wait`, 'waits for its answer']]),
    );
  }
}

async function act(client: O3Client, kind: ActionKind, id: string): Promise<JobView | undefined> {
  if (kind === 'cancel') return client.cancel(id);
  if (kind === 'retry') return client.retry(id);
  await client.delete(id);
  return undefined;
}

function doneText(id: string, kind: ActionKind, job: JobView | undefined): string {
  if (job === undefined) return `🗑️ ${oneLine(id)} is deleted`;
  if (kind === 'retry') return `${statusText(job)}  ${oneLine(id)}`;
  return job.status === 'cancelled'
    ? `🚫 ${oneLine(id)} is cancelled`
    : `🚫 ${oneLine(id)} is being cancelled: its worker stops it within a second`;
}

/** Shows the jobs, and what they cost, and asks whether to act on them. */
async function confirmed(
  context: CommandContext,
  client: O3Client,
  kind: ActionKind,
  ids: readonly string[],
): Promise<boolean> {
  requireTerminal(context.input);
  let spentUsd = 0;
  for (const id of ids) {
    const { status, question, cost_usd } = await client.get(id);
    spentUsd += cost_usd ?? 0;
    context.notices.line(`${oneLine(id)}  ${status}  ${oneLine(question)}`);
  }
  const selection = { matching: ids.length, more: false, cost_usd: spentUsd };
  const isYes = await confirm(context, questionAbout(kind, selection));
  if (!isYes) refused(context);
  return isYes;
}

/** refused says that the user did not want it. */
export function refused(context: CommandContext): void {
  context.notices.line('Nothing was changed.');
  context.finish(EXIT.failed);
}
