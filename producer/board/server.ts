import type { AppViewRoute } from '@bull-board/api/typings/app';
import { ExpressAdapter } from '@bull-board/express';
import type { Router } from 'express';

/** The board's page runs its own code only and asks nobody else for anything: what it shows may be confidential. */
const CONTENT_SECURITY_POLICY = [
  "default-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "base-uri 'self'",
  "form-action 'self'",
  "frame-ancestors 'none'",
].join('; ');

/** Bull Board asks Google for its typeface; the policy alone would stop that too, but complain in every visitor's console. */
const FOREIGN_STYLESHEET = /<link href="https:[^>]*>\s*/g;

/**
 * Answers keep their lines. In a list a job's question stands beside its answer, so that a screen holds three jobs instead
 * of one and a half; a job's own page, known by the dot of its status, shows all there is.
 * Bull Board's class names end in a hash of the release; a release that renames them gets its plain looks back, no more.
 */
const STYLE = `<style>
  #root [class^="stringValue-"] { white-space: pre-wrap; overflow-wrap: anywhere; }
  #root [role="tabpanel"] :is(pre, code) { word-break: normal; overflow-wrap: anywhere; }
  #root [role="tree"] { font-size: 0.8125rem; }
  #root [role="tree"] > div { line-height: 1.45; }
  #root [class^="tabContent-"] { max-width: none; }
  #root a:is([href$="status=waiting-children"], [href$="status=prioritized"], [href$="status=paused"]) { display: none; }
  #root [class^="externalLink-"] { color: var(--primary); white-space: nowrap; }
  @media (min-width: 769px) {
    #root [class^="tabActions-"] { margin-block: 0.5rem; }
    #root [class^="timeline-"] { padding-block: 0.25rem; }
    #root [class^="timeline-"] :is(li + li, small + small) { margin-top: 0.6rem; }
    #root [class^="card-"] > [class^="details-"] { max-height: 11rem; margin-top: 0.35rem; }
    #root [class^="card-"]:has([class^="statusDot-"]),
    #root [class^="card-"]:has([class^="statusDot-"]) > [class^="details-"] { max-height: none; }
  }
  @media (min-width: 1100px) {
    #root [class^="card-"]:not(:has([class^="statusDot-"])) [role="tree"] > div > ul {
      display: grid; grid-template-columns: 1fr 1fr; column-gap: 1rem;
    }
  }
</style>`;

/** Bull Board's own server, with a page that needs nothing from outside. */
export class BoardServer extends ExpressAdapter {
  constructor() {
    super();
    this.app.disable('x-powered-by');
    // Of its scripts too: one of them is a worker, which obeys the policy that it came with.
    this.app.use((_request, response, next) => {
      response.setHeader('content-security-policy', CONTENT_SECURITY_POLICY);
      next();
    });
  }

  override setEntryRoute({ route, handler }: AppViewRoute): this {
    this.app.get(route, (_request, response, next) => {
      const { name, params } = handler({ basePath: this.basePath, uiConfig: this.uiConfig });
      response.render(name, params, (error: Error | null, page: string) => {
        if (error !== null) return next(error);
        response.send(page.replace(FOREIGN_STYLESHEET, '').replace('</head>', `${STYLE}</head>`));
      });
    });
    return this;
  }

  get router(): Router {
    return this.app;
  }
}
