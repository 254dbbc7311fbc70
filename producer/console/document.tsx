import type { ComponentChildren, VNode } from 'preact';
import { renderToString } from 'preact-render-to-string';
import type { Page } from '../pages/page.ts';
import type { Assets } from './assets.ts';
import { Bar, KeyHelp, type PagePath, type Visitor } from './navigation.tsx';
import { Links } from './parts.tsx';

/** SHELL is the script of all pages. */
const SHELL = 'producer/console/browser/shell.js';

export interface Document {
  readonly title: string;
  readonly visitor: Visitor;
  /** The page in the navigation to which this page belongs. Default: none. */
  readonly current?: PagePath;
  /** The scripts of the page, by their paths in `dist`. */
  readonly scripts?: readonly string[];
  /** How often a browser without scripts loads the page again, in seconds. Default: never. */
  readonly reloadS?: number;
  readonly main: VNode;
}

/**
 * renderDocument makes a whole page of the console. The page loads nothing from other servers.
 *
 * @param basePath the path under which browsers reach the instance; see `serveAt`.
 */
export function renderDocument(document: Document, assets: Assets, basePath: string): Page {
  return {
    headers: {
      'content-security-policy': [
        "default-src 'none'",
        `script-src 'self' ${assets.importMapHash}`,
        "style-src 'self'",
        "connect-src 'self'",
        "img-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
      ].join('; '),
      'cache-control': 'no-store',
    },
    html: `<!doctype html>\n${renderToString(<Frame {...document} assets={assets} basePath={basePath} />)}\n`,
  };
}

function Frame({
  title,
  visitor,
  current,
  scripts = [],
  reloadS,
  main,
  assets,
  basePath,
}: Document & { assets: Assets; basePath: string }): VNode {
  return (
    <html lang="en" data-base-path={basePath}>
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>{title} · o3-queue</title>
        <link rel="icon" href={`${assets.base}/icon.svg`} />
        <link rel="stylesheet" href={`${assets.base}/style.css`} />
        <RawScript type="importmap" text={assets.importMap} />
        {[SHELL, ...scripts].map((path) => (
          <script key={path} type="module" src={`${assets.base}/${path}`} />
        ))}
        {reloadS !== undefined && (
          <noscript>
            <meta http-equiv="refresh" content={String(reloadS)} />
          </noscript>
        )}
      </head>
      <body>
        <Links basePath={basePath}>
          <Bar visitor={visitor} current={current} />
          <main id="main" tabIndex={-1}>
            {main}
          </main>
          <KeyHelp visitor={visitor} />
        </Links>
      </body>
    </html>
  );
}

/** DataScript holds data for a script of the page. A browser does not run it. */
export function DataScript({ id, data }: { id: string; data: unknown }): VNode {
  return <RawScript type="application/json" id={id} text={JSON.stringify(data)} />;
}

/** RawScript writes a script as it is. No text can end the script, because `<` is escaped as JSON allows. */
function RawScript({ type, id, text }: { type: string; id?: string; text: string }): VNode {
  const safe = text.replaceAll('<', '\\u003c');
  return <script type={type} id={id} dangerouslySetInnerHTML={{ __html: safe }} />;
}

/** SafeHtml shows HTML that this instance has made from Markdown. */
export function SafeHtml({ class: name, html }: { class: string; html: string }): VNode {
  return <div class={name} dangerouslySetInnerHTML={{ __html: html }} />;
}

/** Section is a part of a page with a heading of its own, and with an action beside the heading. */
export function Section({
  title,
  aside,
  children,
}: {
  title: string;
  aside?: ComponentChildren;
  children: ComponentChildren;
}): VNode {
  return (
    <section aria-label={title}>
      <div class="head">
        <h2>{title}</h2>
        {aside}
      </div>
      {children}
    </section>
  );
}
