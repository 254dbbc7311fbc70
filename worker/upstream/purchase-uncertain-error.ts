import type { RetryableError } from '../../src/errors/failure.ts';

/** A create broke off after it may have reached the upstream: nobody knows whether something was bought. */
export class PurchaseUncertainError extends Error {
  override readonly name = 'PurchaseUncertainError';
  readonly failure: RetryableError;
  constructor(failure: RetryableError) {
    super(failure.message, { cause: failure });
    this.failure = failure;
  }
}
