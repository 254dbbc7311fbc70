/** A create was refused for a reason that concerns everybody who would send the next one: the job goes back to its place in the line, uncharged. */
export class PostponedError extends Error {
  override readonly name = 'PostponedError';
  constructor(options: ErrorOptions) {
    super('The upstream takes nothing right now', options);
  }
}
