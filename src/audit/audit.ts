import { z } from 'zod';
import { checkedInput } from '../errors/input.ts';
import { iso } from '../model-queue/job-view.ts';
import type { RedisClient } from '../redis/connection.ts';
import { serverTime } from '../redis/server-time.ts';

/** The acts that the audit log has. */
const AUDITED = [
  ...(['job.cancel', 'job.retry', 'job.delete'] as const),
  ...(['action.start', 'action.stop', 'model.resume', 'login'] as const),
] as const;

export const auditEntry = z
  .strictObject({
    at: z.iso.datetime().describe('When it happened.'),
    by: z
      .string()
      .nullable()
      .describe('The tenant whose key or session was used; null: the instance has no keys.'),
    what: z.enum(AUDITED).describe('The kind of act.'),
    subject: z
      .string()
      .describe('The id of the job or of the action, or the name of the model or of the tenant.'),
    outcome: z
      .string()
      .describe(
        'What the act did: `cancelled`, `cancelling` (a worker held the job), `retried`, `deleted`, `stopping`, ' +
          '`resumed`, `was not paused`, `logged in`, or `cancel of 118 jobs`.',
      ),
  })
  .meta({ id: 'AuditEntry', description: 'One act of a person or a program that changed something.' });

export const auditPage = z
  .strictObject({
    entries: z.array(auditEntry).describe('The newest first, at most 100.'),
    next_cursor: z
      .string()
      .nullable()
      .describe('Pass it back as `cursor` to read on; null on the last page.'),
  })
  .meta({ id: 'AuditPage' });

/** AuditEntry is one act of a person or a program that changed something. */
export type AuditEntry = z.infer<typeof auditEntry>;
/** AuditPage is a page of the audit log. */
export type AuditPage = z.infer<typeof auditPage>;

/** The most entries of a page. */
const MOST_PER_PAGE = 100;

/** auditQuery is the schema of an AuditQuery. */
export const auditQuery = z.strictObject({
  since: z.iso
    .datetime({
      offset: true,
      error: 'expected a time in ISO 8601 with its zone, such as 2027-01-31T12:00:00Z',
    })
    .optional()
    .describe('Acts at this time or later.'),
  limit: z.int().min(1).max(MOST_PER_PAGE).optional(),
  cursor: z
    .string()
    .regex(/^\d{1,16}-\d{1,16}$/, 'expected the next_cursor of an earlier page')
    .optional()
    .describe('`next_cursor` of the page before.'),
});

/**
 * checkAuditQuery checks the query of the audit log.
 *
 * @throws {QueueError} `invalid_request`, with every flaw.
 */
export function checkAuditQuery(query: AuditQuery): void {
  checkedInput('query', query, auditQuery);
}

/** Act is an act that is written into the audit log. */
export interface Act extends Omit<AuditEntry, 'at'> {
  /** The tenant whose job it concerns; null: none. */
  readonly owner?: string | null | undefined;
}

/** Audit keeps who has done what. */
export interface Audit {
  /** Writes an act. It never throws: an act that is done is not refused because of its entry. */
  record(act: Act): Promise<void>;
  /** Reads a page, newest first. @param tenant whose acts, and acts on whose jobs; undefined: all. */
  read(tenant: string | undefined, query: AuditQuery): Promise<AuditPage>;
}

/** AuditQuery selects the entries of one page. */
export interface AuditQuery {
  /** Only acts at this time or later, in ISO 8601. Default: all that are kept. */
  since?: string | undefined;
  /** 1 to 100. Default 50. */
  limit?: number | undefined;
  /** `next_cursor` of the page before. */
  cursor?: string | undefined;
}

/** ENTRIES_PER_PAGE is how many entries a page has if the caller does not say. */
export const ENTRIES_PER_PAGE = 50;
/** How many entries are kept of all tenants together, and of each tenant. */
const KEPT = { all: 20_000, tenant: 2000 };
const KEPT_S = 90 * 86_400;
const MS_PER_S = 1000;

/**
 * createAudit keeps the audit log in one stream for all, and one for each tenant, so that a page costs what
 * it shows. Entries are kept for 90 days.
 */
export function createAudit(redis: RedisClient, prefix: string, onError: (error: Error) => void): Audit {
  const all = `${prefix}:{audit}`;
  const streamOf = (tenant: string): string => `${all}:${tenant}`;
  return {
    async record({ by, what, subject, outcome, owner = null }) {
      const tenants = new Set([by, owner].filter((name) => name !== null));
      const oldest = serverTime(redis) - KEPT_S * MS_PER_S;
      const pipeline = redis.pipeline();
      for (const [key, most] of [
        [all, KEPT.all] as const,
        ...[...tenants].map((tenant) => [streamOf(tenant), KEPT.tenant] as const),
      ]) {
        const fields = ['what', what, 'subject', subject, 'outcome', outcome];
        if (by !== null) fields.push('by', by);
        pipeline
          .xadd(key, 'MAXLEN', '~', most, '*', ...fields)
          .xtrim(key, 'MINID', '~', oldest)
          .expire(key, KEPT_S);
      }
      try {
        const replies = await pipeline.exec();
        for (const [error] of replies ?? []) if (error) throw error;
      } catch (error: unknown) {
        onError(error instanceof Error ? error : new Error(String(error)));
      }
    },
    async read(tenant, { since, limit = ENTRIES_PER_PAGE, cursor }) {
      const key = tenant === undefined ? all : streamOf(tenant);
      const entries = await redis.xrevrange(
        key,
        cursor === undefined ? '+' : `(${cursor}`,
        since === undefined ? '-' : String(Math.max(0, Date.parse(since))),
        'COUNT',
        limit + 1,
      );
      const page = entries.slice(0, limit);
      return {
        entries: page.map(([id, flat]) => entryFrom(id, flat)),
        next_cursor: entries.length > limit ? (page.at(-1)?.[0] ?? null) : null,
      };
    },
  };
}

function entryFrom(id: string, flat: readonly string[]): AuditEntry {
  const fields = Object.fromEntries(
    Array.from({ length: flat.length / 2 }, (_, i) => [flat[2 * i], flat[2 * i + 1]]),
  );
  return {
    at: iso(Number(id.split('-')[0])),
    by: fields['by'] ?? null,
    what: fields['what'] as AuditEntry['what'],
    subject: fields['subject'] ?? '',
    outcome: fields['outcome'] ?? '',
  };
}
