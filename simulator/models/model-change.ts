import { badRequest } from '../http/errors.ts';
import { booleanField, requireKnown, stringField } from '../request/fields.ts';
import type { ModelChange } from './models.ts';

/** The body of `PUT /simulator/models/:id`. */
export function readModelChange(body: unknown): ModelChange {
  const change = requireKnown(body, ['shutdown_date', 'gone']);
  const date = stringField(change, 'shutdown_date');
  if (date !== undefined && !isDate(date)) {
    throw badRequest(
      `Invalid 'shutdown_date': expected a day as YYYY-MM-DD or null, but got '${date}' instead.`,
      {
        param: 'shutdown_date',
        code: 'invalid_value',
      },
    );
  }
  return { shutdownDate: change['shutdown_date'] === null ? null : date, gone: booleanField(change, 'gone') };
}

/** A day that the calendar has: `2026-02-31` is read as a day in March. */
function isDate(text: string): boolean {
  const atMs = Date.parse(`${text}T00:00:00Z`);
  return !Number.isNaN(atMs) && new Date(atMs).toISOString().startsWith(`${text}T`);
}
