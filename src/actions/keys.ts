/**
 * ActionKeys name what is stored about long actions, beside their parts in each model. They have a slot of
 * their own.
 */
export interface ActionKeys {
  /** action is a hash with what an action is to do: its kind, filter, tenant, and the wish to stop. */
  action(id: string): string;
  /**
   * open is a sorted set of the actions that run, by their start (ms). Its name is also the channel that
   * announces a new one.
   */
  readonly open: string;
  /** actions is a sorted set of all actions that are kept, by their start (ms). */
  readonly actions: string;
}

export function actionKeysOf(prefix: string): ActionKeys {
  const name = `${prefix}:{actions}`;
  return { action: (id) => `${name}:${id}`, open: `${name}:open`, actions: `${name}:all` };
}
