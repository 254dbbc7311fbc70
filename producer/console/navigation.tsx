import type { Response } from 'express';
import type { VNode } from 'preact';
import { callerOf } from '../access/caller.ts';
import { LOGOUT_PATH } from '../pages/login-page.ts';
import { Form, Link } from './parts.tsx';

/** Visitor is the person who looks at a page. */
export interface Visitor {
  /** The tenant of the session; undefined: the instance has no keys. */
  readonly tenant: string | undefined;
  readonly isAdmin: boolean;
}

export function visitorOf(response: Response): Visitor {
  const caller = callerOf(response);
  return { tenant: caller?.tenant, isAdmin: caller?.admin ?? true };
}

interface Destination {
  readonly path: string;
  readonly name: string;
  /** The key that opens the page after the key `g`. */
  readonly key: string;
  readonly isForAdmin?: boolean;
}

/** PAGES lists the pages of the console in the order in which the navigation shows them. */
const PAGES = [
  { path: '/', name: 'Now', key: 'n' },
  { path: '/console/jobs', name: 'Jobs', key: 'j' },
  { path: '/console/failures', name: 'Failures', key: 'f' },
  { path: '/console/cost', name: 'Cost', key: 'c' },
  { path: '/console/tenants', name: 'Tenants', key: 't' },
  { path: '/console/audit', name: 'Audit', key: 'u' },
  { path: '/console/ask', name: 'Ask', key: 'a' },
] as const satisfies Destination[];

/** PagePath is the path of a page in the navigation. */
export type PagePath = (typeof PAGES)[number]['path'];

/** TOOLS lists what stands beside the pages: parts of the instance that are no pages of the console. */
const TOOLS: readonly Destination[] = [
  { path: '/board', name: 'Raw queues', key: 'r', isForAdmin: true },
  { path: '/docs', name: 'API', key: 'd' },
];

const KEYS: readonly [keys: string, meaning: string][] = [
  ['/', 'goes to the search of the page'],
  ['j, k', 'go to the next row and to the one before it'],
  ['Enter', 'opens the row'],
  ['x', 'selects the row, on pages that act on rows'],
  ['?', 'shows these keys'],
];

/**
 * Bar is the head of every page: the pages that the visitor may open, and the way out.
 *
 * @param current the page in the navigation to which the shown page belongs.
 */
export function Bar({
  visitor: { tenant, isAdmin },
  current,
}: {
  visitor: Visitor;
  current: PagePath | undefined;
}): VNode {
  const may = ({ isForAdmin = false }: Destination): boolean => isAdmin || !isForAdmin;
  return (
    <header class="bar">
      <a class="skip" href="#main">
        Skip to the content
      </a>
      <strong>
        <Link to="/">o3-queue</Link>
      </strong>
      <nav aria-label="Pages">
        {PAGES.filter(may).map(({ path, name, key }) => (
          <Link key={path} to={path} data-key={key} {...(path === current && { 'aria-current': 'page' })}>
            {name}
          </Link>
        ))}
      </nav>
      <nav aria-label="Tools" class="tools">
        {TOOLS.filter(may).map(({ path, name, key }) => (
          <Link key={path} to={path} data-key={key}>
            {name}
          </Link>
        ))}
      </nav>
      <button type="button" id="show-keys" aria-haspopup="dialog" hidden>
        Keys
      </button>
      {tenant !== undefined && (
        <Form method="post" to={LOGOUT_PATH}>
          <button type="submit">Log out {tenant}</button>
        </Form>
      )}
    </header>
  );
}

/** KeyHelp is a dialog that a script opens (browser/shell.ts). */
export function KeyHelp({ visitor: { isAdmin } }: { visitor: Visitor }): VNode {
  const ways = [...PAGES, ...TOOLS].filter(({ isForAdmin = false }: Destination) => isAdmin || !isForAdmin);
  return (
    <dialog id="keys" aria-labelledby="keys-title">
      <h2 id="keys-title">Keys</h2>
      <dl class="keys">
        {[...KEYS, ...ways.map(({ key, name }) => [`g ${key}`, `opens ${name}`] as const)].map(
          ([keys, meaning]) => (
            <div key={keys}>
              <dt>
                <kbd>{keys}</kbd>
              </dt>
              <dd>{meaning}</dd>
            </div>
          ),
        )}
      </dl>
      <form method="dialog">
        <button type="submit">Close</button>
      </form>
    </dialog>
  );
}
