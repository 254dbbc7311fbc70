import { uncertainPurchases } from './checks.ts';
import type { Evidence } from './evidence.ts';
import type { Requirement } from './report.ts';

const NAMED = 20;

/** totalPurchases counts the purchases and the uncertain purchases of all jobs. */
export function totalPurchases({ jobs }: Evidence): { bought: number; uncertain: number } {
  return {
    bought: jobs.reduce((sum, job) => sum + job.bought.length, 0),
    uncertain: jobs.reduce((sum, job) => sum + uncertainPurchases(job.last), 0),
  };
}

/**
 * purchaseRequirement is for a run without faults. It requires that every job is bought once, and at most
 * once more for each uncertain purchase.
 */
export function purchaseRequirement(evidence: Evidence, required: number): Requirement {
  const { bought, uncertain } = totalPurchases(evidence);
  return {
    what: 'purchases',
    required: uncertain === 0 ? `${required}` : `${required} to ${required + uncertain}`,
    measured: `${bought}`,
    met: bought >= required && bought <= required + uncertain,
  };
}

/**
 * uncertainRequirement names the jobs with uncertain purchases, and counts the jobs that were bought again.
 */
export function uncertainRequirement({ jobs }: Evidence): Requirement {
  const uncertain = jobs.filter(({ last }) => uncertainPurchases(last) > 0);
  const names = uncertain.slice(0, NAMED).map(({ history }) => history.name);
  const again = uncertain.filter(({ bought }) => bought.length > 1).length;
  const more = uncertain.length > NAMED ? ` and ${uncertain.length - NAMED} more` : '';
  return {
    what: 'jobs with uncertain purchases',
    required: '',
    measured:
      uncertain.length === 0
        ? 'none'
        : `${uncertain.length}, ${again} of them bought more than once: ${names.join(' ')}${more}`,
    met: undefined,
  };
}
