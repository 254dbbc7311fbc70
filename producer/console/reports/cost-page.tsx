import type { VNode } from 'preact';
import { countText, numberText } from '../../../src/client/quantity.ts';
import type { TenantState } from '../../../src/overview/tenants.ts';
import type { UsageReport, UsageRow, UsageSums } from '../../../src/usage/report.ts';
import { formatUsd } from '../../../src/usage/usd.ts';
import { daysBetween } from '../../../src/usage/utc-day.ts';
import { type Document, Section } from '../document.tsx';
import type { Visitor } from '../navigation.tsx';
import { Link } from '../parts.tsx';
import { Use } from './use.tsx';

/** The most rows of the last table. The whole report is behind a link. */
const MOST_ROWS = 1000;
const BAR = 10;
const HEIGHT = 100;

type Dimension = 'day' | 'model' | 'tenant';

/** costPage makes the page of what jobs have cost, by day, model and tenant. */
export function costPage(report: UsageReport, tenants: readonly TenantState[], visitor: Visitor): Document {
  const { from, to, total, rows } = report;
  const cost = costText(total);
  return {
    title: `${cost} · Cost from ${from} to ${to}`,
    visitor,
    current: '/console/cost',
    main: (
      <>
        <h1>Cost</h1>
        <form class="filters" method="get">
          <label>
            From <input type="date" name="from" value={from} />
          </label>
          <label>
            To <input type="date" name="to" value={to} />
          </label>
          <button type="submit">Show</button>
          <Link to={`/usage?from=${from}&to=${to}`}>As JSON</Link>
        </form>
        <p>
          <strong>{cost}</strong> for {countText(total.requests, 'response')}, by UTC days.
          {total.saved_usd > 0 &&
            ` Completion windows have saved ${formatUsd(total.saved_usd)} of ${formatUsd(total.list_usd ?? 0)}.`}
          {total.estimated_usd > 0 && ` ${formatUsd(total.estimated_usd)} of it is estimated.`}
          {total.unpriced_requests > 0 &&
            ` ${countText(total.unpriced_requests, 'response')} without a known price ${total.unpriced_requests === 1 ? 'is' : 'are'} not in it.`}
        </p>
        <p class="quiet">Answers of the simulator cost nothing and are not counted.</p>
        <Budgets tenants={tenants} />
        {rows.length > 0 && (
          <>
            <Days report={report} />
            <Sums title="By model" name="Model" rows={sumsBy(rows, 'model')} of={total} />
            {visitor.isAdmin && (
              <Sums title="By tenant" name="Tenant" rows={sumsBy(rows, 'tenant')} of={total} />
            )}
            <Details rows={rows} isAdmin={visitor.isAdmin} of={total} />
          </>
        )}
      </>
    ),
  };
}

/** Days draws a bar for each day. The tables below say the same in numbers. */
function Days({ report: { from, to, rows } }: { report: UsageReport }) {
  const sums = new Map(sumsBy(rows, 'day').map((row) => [row.day, row.cost_usd ?? 0]));
  const days = daysBetween(from, to);
  const most = Math.max(...sums.values());
  const dearest = [...sums].find(([, cost]) => cost === most)?.[0] ?? '';
  const label = `Cost of each day from ${from} to ${to}; the dearest is ${dearest} with ${formatUsd(most)}`;
  return (
    <figure class="days">
      <svg
        viewBox={`0 0 ${days.length * BAR} ${HEIGHT}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={label}
      >
        {days.map((day, i) => {
          const height = most === 0 ? 0 : ((sums.get(day) ?? 0) / most) * HEIGHT;
          return (
            <rect key={day} class="busy" x={i * BAR} y={HEIGHT - height} width={BAR - 2} height={height}>
              <title>{`${day}: ${formatUsd(sums.get(day) ?? 0)}`}</title>
            </rect>
          );
        })}
      </svg>
      <figcaption>
        <span>{from}</span>
        <span>
          {dearest}: {formatUsd(most)}
        </span>
        <span>{to}</span>
      </figcaption>
    </figure>
  );
}

function Budgets({ tenants }: { tenants: readonly TenantState[] }) {
  const limited = tenants.flatMap(({ tenant, spent_usd: spent, daily_budget_usd: budget }) =>
    budget === null ? [] : [{ tenant, spent, budget }],
  );
  if (limited.length === 0) return null;
  return (
    <Section title="Budgets of today (UTC)">
      <dl class="facts">
        {limited.map(({ tenant, spent, budget }) => (
          <Use key={tenant} name={tenant} used={spent} limit={budget} write={formatUsd} />
        ))}
      </dl>
    </Section>
  );
}

function Sums({ title, name, rows, of }: { title: string; name: string; rows: UsageRow[]; of: UsageSums }) {
  const all = of.cost_usd ?? 0;
  return (
    <Section title={title}>
      <Table
        head={[name, '', ...numberHeads(of)]}
        rows={rows
          .sort((one, other) => (other.cost_usd ?? 0) - (one.cost_usd ?? 0))
          .map((row) => {
            const share = all === 0 ? 0 : (row.cost_usd ?? 0) / all;
            const names = row.model ?? row.tenant ?? 'no tenant';
            const percent = `${Math.round(share * 100)} %`;
            return [
              names,
              <meter key="share" value={share} aria-label={`Share of ${names}`}>
                {percent}
              </meter>,
              ...numbersOf(row, of),
            ];
          })}
      />
    </Section>
  );
}

function Details({ rows, isAdmin, of }: { rows: readonly UsageRow[]; isAdmin: boolean; of: UsageSums }) {
  const shown = rows.slice(-MOST_ROWS).reverse();
  return (
    <details>
      <summary>Every day, model{isAdmin && ' and tenant'}</summary>
      {shown.length < rows.length && <p class="quiet">The latest {numberText(MOST_ROWS)} rows.</p>}
      <Table
        head={['Day', 'Model', ...(isAdmin ? ['Tenant'] : []), ...numberHeads(of)]}
        rows={shown.map((row) => [
          row.day ?? '',
          row.model ?? '',
          ...(isAdmin ? [row.tenant ?? 'no tenant'] : []),
          ...numbersOf(row, of),
        ])}
      />
    </details>
  );
}

/** Table shows rows whose cells from `Responses` on are numbers; a phone shows those without the tokens. */
function Table({ head, rows }: { head: readonly string[]; rows: readonly (string | VNode)[][] }) {
  const firstNumber = head.indexOf(RESPONSES);
  const classOf = (i: number): string => {
    if (i < firstNumber) return '';
    return head[i]?.startsWith('Tokens') ? 'number lesser' : 'number';
  };
  return (
    <table class="list plain">
      <thead>
        <tr>
          {head.map((name, i) =>
            name === '' ? (
              <td key={name} />
            ) : (
              <th key={name} scope="col" class={classOf(i)}>
                {name}
              </th>
            ),
          )}
        </tr>
      </thead>
      <tbody>
        {rows.map((cells) => (
          <tr key={cells.filter((cell) => typeof cell === 'string').join(' ')}>
            {cells.map((cell, i) => (
              <td key={head[i]} class={classOf(i)}>
                {cell}
              </td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  );
}

const RESPONSES = 'Responses';

/** @param of the sums over all rows: without savings the table has no column for them. */
function numberHeads(of: UsageSums): string[] {
  return [RESPONSES, 'Tokens in', 'Tokens out', 'Cost', ...(of.saved_usd > 0 ? ['Saved'] : [])];
}

function numbersOf(sums: UsageSums, of: UsageSums): string[] {
  const { requests, input_tokens: input, output_tokens: output, saved_usd: saved } = sums;
  const numbers = [requests, input, output].map(numberText);
  return [...numbers, costText(sums), ...(of.saved_usd > 0 ? [formatUsd(saved)] : [])];
}

function costText({ cost_usd: cost, unpriced_requests: unpriced }: UsageSums): string {
  if (cost === null) return 'unknown';
  return `${formatUsd(cost)}${unpriced > 0 ? ' +' : ''}`;
}

/** sumsBy adds up the rows that are alike in one dimension. */
function sumsBy(rows: readonly UsageRow[], dimension: Dimension): UsageRow[] {
  const groups = new Map<string | null | undefined, UsageRow>();
  for (const { day, model, tenant, ...sums } of rows) {
    const value = { day, model, tenant }[dimension];
    const group = groups.get(value);
    groups.set(value, { ...(group === undefined ? sums : added(group, sums)), [dimension]: value });
  }
  return [...groups.values()];
}

function added(one: UsageSums, other: UsageSums): UsageSums {
  const sum = (field: 'cost_usd' | 'list_usd'): number | null =>
    one[field] === null && other[field] === null ? null : (one[field] ?? 0) + (other[field] ?? 0);
  return {
    requests: one.requests + other.requests,
    input_tokens: one.input_tokens + other.input_tokens,
    cached_tokens: one.cached_tokens + other.cached_tokens,
    output_tokens: one.output_tokens + other.output_tokens,
    reasoning_tokens: one.reasoning_tokens + other.reasoning_tokens,
    cost_usd: sum('cost_usd'),
    list_usd: sum('list_usd'),
    saved_usd: one.saved_usd + other.saved_usd,
    unpriced_requests: one.unpriced_requests + other.unpriced_requests,
    estimated_requests: one.estimated_requests + other.estimated_requests,
    estimated_usd: one.estimated_usd + other.estimated_usd,
  };
}
