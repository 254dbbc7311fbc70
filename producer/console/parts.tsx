import {
  type ComponentChildren,
  createContext,
  type FormHTMLAttributes,
  type PartialAnchorHTMLAttributes,
} from 'preact';
import { useContext } from 'preact/hooks';
import type { JobStatus } from '../../src/job/job.ts';

/** SIGNS are the signs of the statuses. A sign and a word say a status, so that no one needs the colour. */
export const SIGNS: Record<JobStatus, string> = {
  waiting: '○',
  delayed: '◷',
  active: '◐',
  completed: '✓',
  failed: '✕',
  cancelled: '⊘',
};

/** Fact is a name with its value, inside a list of class `facts`. A fact without a value is not shown. */
export function Fact({
  name,
  isLong = false,
  children,
}: {
  name: string;
  /** Whether the value is as long as an id, and takes the room of two. */
  isLong?: boolean;
  children: ComponentChildren;
}) {
  if (children === null || children === undefined || children === false || children === '') return null;
  return (
    <div class={isLong ? 'long' : undefined}>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

/**
 * Time shows an ISO 8601 time. The server writes UTC. A script of the page (browser/job-page.tsx) changes
 * it to the reader's local time.
 */
export function Time({ of }: { of: string }) {
  return (
    <time dateTime={of} title={utcText(of)}>
      {utcText(of)}
    </time>
  );
}

/** utcText writes a time in UTC, to the second: `2026-11-29 07:04:05 UTC`. */
export function utcText(time: string): string {
  return `${time.slice(0, 19).replace('T', ' ')} UTC`;
}

/** localText writes a time in the time zone of the browser, to the second: `2026-11-29 08:04:05`. */
export function localText(time: string): string {
  const date = new Date(time);
  const two = (value: number): string => String(value).padStart(2, '0');
  const day = [date.getFullYear(), two(date.getMonth() + 1), two(date.getDate())].join('-');
  return `${day} ${[date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(':')}`;
}

const BasePath = createContext('');

/** Links makes each Link and Form inside it lead below the path at which browsers see the instance. */
export function Links({ basePath, children }: { basePath: string; children: ComponentChildren }) {
  return <BasePath.Provider value={basePath}>{children}</BasePath.Provider>;
}

/** Link leads to a path of this instance, for example `/console/jobs`. */
export function Link({
  to,
  children,
  ...others
}: { to: string } & Omit<PartialAnchorHTMLAttributes<HTMLAnchorElement>, 'href' | 'role'>) {
  return (
    <a href={`${useContext(BasePath)}${to}`} {...others}>
      {children}
    </a>
  );
}

/** Form sends its fields to a path of this instance. */
export function Form({ to, children, ...others }: { to: string } & Omit<FormHTMLAttributes, 'action'>) {
  return (
    <form action={`${useContext(BasePath)}${to}`} {...others}>
      {children}
    </form>
  );
}

/**
 * When is a field for a time. Without scripts it is UTC, because a server does not know the time zone of a
 * browser. A script makes it the reader's time (browser/local-times.ts). What is sent is UTC in both cases.
 */
export function When({ name, label, value }: { name: string; label: string; value: string | undefined }) {
  return (
    <label>
      {label} (<span class="zone">UTC</span>)
      <br />
      <input
        type="datetime-local"
        name={name}
        value={value === undefined ? '' : fieldTime(value)}
        step="any"
      />
    </label>
  );
}

/** Writes an ISO 8601 time for a field of a form, in UTC and to the second; '' for what is no time. */
function fieldTime(time: string): string {
  const ms = Date.parse(time);
  return Number.isNaN(ms) ? '' : new Date(ms).toISOString().slice(0, 19);
}

/** A time of a form without a script has no zone; it is UTC. The seconds may be missing. */
const TIME_WITHOUT_ZONE = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d+)?)?$/;

/** withZone returns what a form has sent for a time, in ISO 8601 if it is a time. */
export function withZone<Value>(value: Value): Value | string {
  if (typeof value !== 'string') return value;
  const match = TIME_WITHOUT_ZONE.exec(value);
  return match === null ? value : `${value}${match[1] === undefined ? ':00' : ''}Z`;
}
