import { createInterface } from 'node:readline';
import type { CommandContext } from '../command-context.ts';
import { UsageError } from '../exit-code.ts';

/**
 * confirm asks a question and returns whether the answer is yes. Ctrl-C and Ctrl-D mean no.
 *
 * @throws {UsageError} without a terminal to ask on.
 */
export async function confirm({ input, notices }: CommandContext, question: string): Promise<boolean> {
  requireTerminal(input);
  const prompt = createInterface({ input, output: notices.stream });
  const answer = await new Promise<string>((resolve) => {
    prompt.once('close', () => resolve(''));
    prompt.once('SIGINT', () => prompt.close());
    prompt.question(`${question} [y/N] `, resolve);
  });
  prompt.close();
  return /^y(es)?$/i.test(answer.trim());
}

/** requireTerminal refuses to act unasked where there is no terminal to ask on. */
export function requireTerminal(input: Pick<NodeJS.ReadStream, 'isTTY'>): void {
  if (input.isTTY !== true) throw new UsageError('expected --yes: there is no terminal to ask on');
}
