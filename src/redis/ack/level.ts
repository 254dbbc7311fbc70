/**
 * ACKS are the values of `O3Q_ACK`: what Redis must have done with a write before it counts as done.
 *
 * - `memory`: Redis has it in memory. No command is sent for this.
 * - `disk`: the server has flushed its append-only file since (`fsync`).
 * - `replica`: at least one replica has it in memory, too.
 */
export const ACKS = ['memory', 'disk', 'replica'] as const;
export type Ack = (typeof ACKS)[number];
