import { countText, durationText, numberText } from '../../src/client/quantity.ts';
import { oneLine } from '../../src/client/terminal-text.ts';
import type { JobInspection, LoggedEntry, Place, ReservationEntry } from '../../src/job-store/inspection.ts';
import type { Terminal } from './terminal.ts';

/**
 * The longest text that is shown whole, in characters. Longer texts are cut: a question may be megabytes, and
 * may be confidential.
 */
const LONGEST_TEXT = 200;

/** withoutLongTexts cuts the long texts of an inspection. The end of each says how much is left out. */
export function withoutLongTexts(inspection: JobInspection): JobInspection {
  return {
    ...inspection,
    run: shortened(inspection.run),
    bullmq: shortened(inspection.bullmq),
    event_log: {
      ...inspection.event_log,
      last: inspection.event_log.last.map((entry) => ({ ...entry, fields: shortened(entry.fields) })),
    },
  };
}

/** inspectionText shows an inspection: a section for each part. */
export function inspectionText(inspection: JobInspection, { paint }: Terminal): string {
  const {
    id,
    model,
    tenant,
    view,
    run,
    bullmq,
    place,
    lock,
    reservations,
    event_log: log,
    keys,
  } = inspection;
  const sections: [title: string, lines: string[]][] = [
    [
      oneLine(id),
      fieldLines({
        model,
        tenant: tenant ?? '(none)',
        ...(view === null ? { status: 'unknown: BullMQ has no such job' } : viewFields(view)),
      }),
    ],
    ['where it stands', placeLines(place)],
    [
      'lock',
      [lock === null ? 'none' : `${oneLine(lock.token)}, expires in ${durationText(lock.expires_in_ms)}`],
    ],
    ['reservations', orNone(reservations.map(reservationLine))],
    ['run', orNone(fieldLines(run))],
    ['BullMQ', orNone(fieldLines(bullmq))],
    [logTitle(log), orNone(log.last.map(entryLine))],
    [
      'keys',
      keys.map(
        ({ key, type, ttl_ms: ttlMs }) =>
          `${oneLine(key)}  ${type}, ${ttlMs === null ? 'does not expire' : `expires in ${durationText(ttlMs)}`}`,
      ),
    ],
  ];
  return sections
    .map(([title, lines]) => [paint('bold', title), ...lines.map((line) => `  ${line}`)].join('\n'))
    .join('\n\n');
}

function logTitle({ entries, last }: JobInspection['event_log']): string {
  const part = entries > last.length ? `, the last ${last.length}` : '';
  return `event log: ${countText(entries, 'entry', 'entries')}${part}`;
}

function viewFields(view: NonNullable<JobInspection['view']>): Record<string, string> {
  if ('unreadable' in view) return { status: `cannot be read: ${view.unreadable}` };
  const waiting = view.status === 'waiting' || view.status === 'delayed' ? view.waiting_for : undefined;
  const position = view.status === 'waiting' ? view.position : null;
  return {
    status: view.status,
    ...(waiting !== undefined && { 'waiting for': waiting }),
    ...(position !== null && { position: numberText(position) }),
    attempt: `${view.attempt} of ${view.max_attempts}`,
  };
}

function placeLines(place: Place): string[] {
  const { bullmq_sets: sets, due_at: dueAt, tenant_position: position, tenant_paused: paused } = place;
  return fieldLines({
    BullMQ: sets.length === 0 ? 'in none of its sets' : sets.join(', '),
    ...(dueAt !== null && { due: dueAt }),
    'fair queue':
      position === null
        ? 'not in it'
        : `${numberText(position)} of ${numberText(place.tenant_queue_length)} in the queue of its tenant`,
    ...(paused !== null && { 'tenant paused': `until ${paused.until}: ${paused.reason}` }),
  });
}

function reservationLine({ of, lease_ends_at: end, value }: ReservationEntry): string {
  return `${oneLine(of)}: ${value === null ? 'no value' : oneLine(value)}, ${end === null ? 'without a lease' : `lease until ${end}`}`;
}

function entryLine({ id, at, fields }: LoggedEntry): string {
  const rest = Object.entries(fields).map(([name, value]) => `${name}=${value}`);
  return `${id}  ${at}  ${oneLine(rest.join(' '))}`;
}

function fieldLines(fields: Record<string, string>): string[] {
  const width = Math.max(0, ...Object.keys(fields).map((name) => name.length));
  return Object.entries(fields).map(([name, value]) => `${name.padEnd(width)}  ${valueText(value)}`);
}

/** valueText also writes Unix milliseconds as a time. */
function valueText(value: string): string {
  return /^\d{13}$/.test(value) ? `${value} (${new Date(Number(value)).toISOString()})` : oneLine(value);
}

function orNone(lines: string[]): string[] {
  return lines.length === 0 ? ['none'] : lines;
}

function shortened(fields: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(fields).map(([name, text]) => [name, shortText(text)]));
}

function shortText(text: string): string {
  const more = text.length - LONGEST_TEXT;
  return more <= 0
    ? text
    : `${text.slice(0, LONGEST_TEXT)}… [${countText(more, 'more character')}; see --full]`;
}
