import type { AppViewRoute } from '@bull-board/api/typings/app';
import { ExpressAdapter } from '@bull-board/express';
import type { Router } from 'express';

/**
 * The board's page runs only its own code and contacts no other server: what it shows may be confidential.
 */
const CONTENT_SECURITY_POLICY = [
  "default-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "base-uri 'self'",
  "form-action 'self'",
  "frame-ancestors 'none'",
].join('; ');

/**
 * Bull Board loads a typeface from Google. The content policy alone would also block it, but the browser
 * would log an error to its console.
 */
const FOREIGN_STYLESHEET = /<link href="https:[^>]*>\s*/g;

/**
 * Our styles keep the lines of answers. In a list they put a job's question beside its answer, so that a
 * screen shows three jobs instead of one and a half. The page of a job, recognized by the dot of its status,
 * shows everything. Bull Board's class names end in a hash of the release; if a release renames them, these
 * styles have no effect.
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

/** BoardServer is Bull Board's server with our styles, whose page loads nothing from other servers. */
export class BoardServer extends ExpressAdapter {
  constructor() {
    super();
    this.app.disable('x-powered-by');
    // The scripts get the policy too: one of them is a web worker, which obeys the policy of its own
    // response.
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
