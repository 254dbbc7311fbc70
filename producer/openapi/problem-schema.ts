import { z } from 'zod';
import { jobView } from '../../src/job/view.ts';
import { HTTP_PROBLEMS, type HttpProblemCode } from '../http/http-problem.ts';

const codes = Object.keys(HTTP_PROBLEMS) as HttpProblemCode[];

export const problem = z
  .strictObject({
    type: z.literal('about:blank'),
    title: z.string(),
    status: z.int(),
    code: z.enum(codes).describe('Stable, for programs; docs/ERRORS.md explains each code.'),
    detail: z.string().describe('What was expected, what came, and what to do.'),
    flaws: z
      .array(
        z.strictObject({
          path: z.string().describe('The field, such as `metadata.owner`; empty for the whole request.'),
          message: z.string(),
        }),
      )
      .min(1)
      .optional()
      .describe('Each thing that is wrong with the request.'),
    job: jobView
      .optional()
      .describe('Only with `job_failed` and `job_cancelled`: the job whose result was asked for.'),
  })
  .meta({ id: 'Problem', description: 'A refusal in the form of RFC 9457.' });
