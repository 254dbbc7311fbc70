import { numberText } from '../../src/client/quantity.ts';
import { isFinishedJob } from '../../src/job/job.ts';
import type { JobDetail } from '../../src/job-store/result.ts';
import { iso } from '../../src/model-queue/job-view.ts';
import { type DeliveryQueue, type DeliveryState, deliveryStateOf } from '../../src/webhooks/deliveries.ts';
import { Section } from './document.tsx';
import { Fact, Time } from './parts.tsx';

/** JobWebhook is where the end of a job is sent, and how far that has come. */
export interface JobWebhook {
  readonly url: string;
  /** Undefined: the job has not ended, or this instance sends no webhooks. */
  readonly delivery: DeliveryState | undefined;
}

/** webhookOf reads the webhook of a job; undefined: the job has none. */
export async function webhookOf(
  deliveries: DeliveryQueue | undefined,
  { job, webhook: url }: JobDetail,
): Promise<JobWebhook | undefined> {
  if (url === undefined) return undefined;
  const isSent = deliveries !== undefined && isFinishedJob(job);
  return { url, delivery: isSent ? await deliveryStateOf(deliveries, job) : undefined };
}

/** Webhook shows the webhook of a job. */
export function Webhook({ webhook }: { webhook: JobWebhook | undefined }) {
  if (webhook === undefined) return null;
  const { url, delivery } = webhook;
  return (
    <Section title="Webhook">
      <dl class="facts">
        <Fact name="Address">
          <code>{withoutQuery(url)}</code>
        </Fact>
        <Fact name="Delivery">{delivery === undefined ? 'when the job has ended' : stateText(delivery)}</Fact>
        <Fact name="Tries">{delivery !== undefined && delivery.tries > 0 && numberText(delivery.tries)}</Fact>
        <Fact name="Ended">{delivery?.endedAt !== undefined && <Time of={iso(delivery.endedAt)} />}</Fact>
        <Fact name="The last try failed because">{delivery?.why}</Fact>
      </dl>
    </Section>
  );
}

function stateText({ state }: DeliveryState): string {
  switch (state) {
    case 'unknown':
      return 'not begun yet, or ended too long ago to be kept';
    case 'sending':
      return '○ waits for its turn';
    case 'retrying':
      return '◷ failed, and waits for its next try';
    case 'delivered':
      return '✓ delivered';
    case 'given up':
      return '✕ given up';
    default:
      return state satisfies never;
  }
}

/** A query may hold a secret of the receiver, which a page need not show. */
function withoutQuery(url: string): string {
  return url.replace(/[?#].*$/s, '?…');
}
