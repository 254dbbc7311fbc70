/**
 * QueueStatus says what holds up the fair queue of a model, and how fast its jobs start. The model's
 * dispatchers write it about once a second; it expires when no dispatcher has written it for some seconds.
 */
export interface QueueStatus {
  /** What every waiting job waits for; '' while jobs start. */
  reason: string;
  /** Starts per second; undefined until it can be measured or computed from the limits. */
  startsPerSecond: number | undefined;
  /** What `startsPerSecond` is based on, in words. */
  basis: string;
  /**
   * Mean time from the start of a job to its end, in milliseconds; undefined until the first job has ended.
   */
  durationMs: number | undefined;
  /** No job starts before this time, in Unix milliseconds; 0 when no such time is known. */
  notBefore: number;
}

/** encodeQueueStatus returns the fields of the Redis hash that holds the status. */
export function encodeQueueStatus(status: QueueStatus): Record<string, string | number> {
  return {
    reason: status.reason,
    basis: status.basis,
    starts_per_second: status.startsPerSecond ?? '',
    duration_ms: status.durationMs ?? '',
    not_before: status.notBefore,
  };
}

/**
 * decodeQueueStatus reads what `encodeQueueStatus` wrote; undefined for an empty hash, which means that no
 * dispatcher runs.
 */
export function decodeQueueStatus(fields: Readonly<Record<string, string>>): QueueStatus | undefined {
  if (Object.keys(fields).length === 0) return undefined;
  const number = (field: string): number | undefined => {
    const text = fields[field] ?? '';
    return text === '' ? undefined : Number(text);
  };
  return {
    reason: fields['reason'] ?? '',
    basis: fields['basis'] ?? '',
    startsPerSecond: number('starts_per_second'),
    durationMs: number('duration_ms'),
    notBefore: number('not_before') ?? 0,
  };
}
