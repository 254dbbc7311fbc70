import { STATUS_CODES } from 'node:http';
import type { HttpProblem } from '../http/http-problem.ts';
import type { Document } from './document.tsx';
import type { Visitor } from './navigation.tsx';

/** problemPage says on a page why a request was refused. */
export function problemPage({ status, message }: HttpProblem, visitor: Visitor): Document {
  const title = STATUS_CODES[status] ?? 'Refused';
  return {
    title,
    visitor,
    main: (
      <>
        <h1>{title}</h1>
        <p class="reason failed">{message}</p>
        <p class="quiet">HTTP status {status}</p>
      </>
    ),
  };
}
