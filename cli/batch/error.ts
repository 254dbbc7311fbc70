import { SetupError } from '../../src/errors/setup-error.ts';

/** Why a batch cannot begin or go on: its files, or what they say. */
export class BatchError extends SetupError {
  override readonly name = 'BatchError';
}

/** What the file system refused, by the file's name and in its own words. */
export function fileError(file: string, what: string, error: unknown): BatchError {
  const reason = error instanceof Error ? error.message : String(error);
  return new BatchError(`${file} cannot be ${what}: ${reason}`, { cause: error });
}
