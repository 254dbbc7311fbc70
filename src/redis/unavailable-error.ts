import { SetupError } from '../errors/setup-error.ts';

/**
 * RedisUnavailableError says that there is no usable Redis. Its message says what was expected, what was
 * found and what to do. Entry points print only the message, because a stack trace would bury the message,
 * and exit with code 1.
 */
export class RedisUnavailableError extends SetupError {
  override readonly name = 'RedisUnavailableError';
  readonly code = 'redis_unavailable';
}
