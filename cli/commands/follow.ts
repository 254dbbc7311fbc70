import type { O3Client } from '../../src/client/o3-client.ts';
import { oneLine } from '../../src/client/terminal-text.ts';
import type { ResultOutcome } from '../../src/job/view.ts';
import type { CommandContext } from '../command-context.ts';

/**
 * followAnswer prints an answer on a terminal while it is being written, after the model's reasoning summary
 * in dim text.
 *
 * @returns how the job ended; undefined when the signal has interrupted it.
 */
export async function followAnswer(
  { output, notices }: CommandContext,
  client: O3Client,
  id: string,
  signal: AbortSignal,
): Promise<ResultOutcome | undefined> {
  let speaking: 'delta' | 'reasoning' | undefined;
  const endLine = (): void => {
    if (speaking === 'delta') output.line('');
    if (speaking === 'reasoning') notices.line('');
    speaking = undefined;
  };
  try {
    for await (const event of client.events(id, { signal })) {
      if (event.type !== speaking) endLine();
      switch (event.type) {
        case 'delta':
          output.foreignPiece(event.data.text);
          speaking = event.type;
          break;
        case 'reasoning':
          notices.foreignPiece(event.data.text, 'dim');
          speaking = event.type;
          break;
        case 'attempt': {
          const { attempt, reason } = event.data;
          notices.line(
            notices.paint('yellow', `Attempt ${attempt} starts the answer again, after: ${oneLine(reason)}`),
          );
          break;
        }
        case 'status':
          notices.line(notices.paint('dim', event.data.status));
          break;
        case 'done':
          break;
        default: {
          const never: never = event;
          throw new Error(`unexpected event ${JSON.stringify(never)}`);
        }
      }
    }
    return await client.result(id, { timeoutMs: Number.POSITIVE_INFINITY, signal });
  } catch (error: unknown) {
    if (signal.aborted) return undefined;
    throw error;
  } finally {
    endLine();
  }
}
