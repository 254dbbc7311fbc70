import { SetupError } from '../errors/setup-error.ts';

/**
 * No usable Redis, told to a person: the message says what was expected, what was found and what to do.
 * Whoever starts the program prints the message alone (a stack would only hide it) and exits with code 1.
 */
export class RedisUnavailableError extends SetupError {
  override readonly name = 'RedisUnavailableError';
  readonly code = 'redis_unavailable';
}
