/**
 * PurchaseMark is written into the record before a create request is sent, and removed when the id of the
 * bought response is stored.
 */
export interface PurchaseMark {
  /** A random id that distinguishes a late answer to an earlier create from a current one. */
  fencingToken: string;
  /** When the mark was written, in Unix milliseconds. */
  at: number;
  /**
   * What is known of the sender. `gave-up`: it has looked for the response in vain. `dead`: it cannot store
   * the response id any more. `unknown`: it may still do so.
   */
  sender: 'unknown' | 'gave-up' | 'dead';
}

/** purchaseMarkFrom reads the mark from the fields of a record. */
export function purchaseMarkFrom(fields: ReadonlyMap<string, string>): PurchaseMark | undefined {
  const fencingToken = fields.get('purchase_mark');
  if (fencingToken === undefined) return undefined;
  const at = Number(fields.get('purchase_mark_at') ?? 0);
  const abandoned = fields.get('purchase_mark_abandoned');
  const gone = abandoned === 'dead' ? 'dead' : 'gave-up';
  return { fencingToken, at, sender: abandoned === undefined ? 'unknown' : gone };
}
