import type { RequestHandler } from 'express';
import type { JobView } from '../../src/job/view.ts';
import { isPageVisit } from '../access/authentication.ts';
import { callerOf, type QueueFor } from '../access/caller.ts';
import { sendPage } from '../access/login.ts';
import { pagePathOf } from '../console/job-page.tsx';
import { LOGOUT_FORM } from './login-page.ts';
import { createPage, escaped, type Page } from './page.ts';

const SHOWN = 50;

/** homePage answers `/`: it redirects admin to the board, and shows other tenants their own jobs. */
export function homePage(queueFor: QueueFor, boardPath: string): RequestHandler {
  return async (request, response) => {
    const caller = callerOf(response);
    if (caller === undefined || caller.admin) return response.redirect(boardPath);
    if (!isPageVisit(request)) return response.redirect('/jobs');
    const { jobs } = await queueFor(response).list({ limit: SHOWN });
    sendPage(response, 200, jobsPage(caller.tenant, jobs, Date.now()));
  };
}

function jobsPage(tenant: string, jobs: readonly JobView[], now: number): Page {
  const rows = jobs.map((job) => rowOf(job, now)).join('\n');
  const table =
    jobs.length === 0
      ? '<p>No jobs yet.</p>'
      : `<table>
<thead><tr><th>Status</th><th>Question</th><th>Age</th></tr></thead>
<tbody>
${rows}
</tbody>
</table>`;
  return createPage(
    `The newest jobs of ${tenant}`,
    `${table}
<p><a href="/jobs">All jobs, as JSON</a> · <a href="/docs">Documentation of the API</a></p>
${LOGOUT_FORM}`,
  );
}

function rowOf(job: JobView, now: number): string {
  const cells = [
    escaped(job.status),
    `<a href="${escaped(pagePathOf(job.id))}">${escaped(job.question)}</a>`,
    `<time datetime="${escaped(job.created_at)}">${ageText(now - Date.parse(job.created_at))}</time>`,
  ];
  return `<tr>${cells.map((cell) => `<td>${cell}</td>`).join('')}</tr>`;
}

/** ageText writes an age in one unit: `12 s`, `5 min`, `3 h`, `2 d`. */
function ageText(ageMs: number): string {
  const seconds = Math.max(0, Math.floor(ageMs / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86_400)} d`;
}
