/**
 * Nothing may be sent right now, for a reason that is not this job's, or what was taken for it has lapsed: it
 * goes back to its place in the line, uncharged.
 */
export class PostponedError extends Error {
  override readonly name = 'PostponedError';
  constructor(options?: ErrorOptions) {
    super('Nothing may be sent right now', options);
  }
}
