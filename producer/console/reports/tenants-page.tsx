import { countText, numberText } from '../../../src/client/quantity.ts';
import type { TenantState, Tenants } from '../../../src/overview/tenants.ts';
import { formatUsd } from '../../../src/usage/usd.ts';
import type { Document } from '../document.tsx';
import type { Visitor } from '../navigation.tsx';
import { Fact } from '../parts.tsx';
import { Use } from './use.tsx';

const BYTES_PER_MB = 1024 ** 2;

/** tenantsPage makes the page of what each tenant waits for, holds and may still spend. */
export function tenantsPage({ tenants, more }: Tenants, visitor: Visitor): Document {
  const paused = tenants.filter((tenant) => tenant.paused !== null).length;
  const state = paused === 0 ? '● no tenant is held back' : `◷ ${countText(paused, 'tenant')} held back`;
  // What one tenant of several sees is not a share of all.
  const allTokens = visitor.isAdmin ? tenants.reduce((sum, { tokens }) => sum + tokens, 0) : undefined;
  return {
    title: `${state} · Tenants`,
    visitor,
    current: '/console/tenants',
    reloadS: 10,
    main: (
      <>
        <h1>Tenants</h1>
        <p class="quiet">
          {tenants.length === 0
            ? 'There are no tenants: no API key of O3Q_KEYS has enqueued a job.'
            : 'Spending and tokens are those of today (UTC). A tenant of weight 2 has twice as many starts as one of weight 1.'}
        </p>
        {more && <p class="quiet">Tenants that neither wait nor have spent today are not listed.</p>}
        <div class="cards">
          {tenants.map((tenant) => (
            <Tenant key={tenant.tenant} state={tenant} allTokens={allTokens} />
          ))}
        </div>
      </>
    ),
  };
}

function Tenant({ state, allTokens }: { state: TenantState; allTokens: number | undefined }) {
  const { tenant, weight, waiting, unfinished, paused } = state;
  return (
    <section class="card" aria-label={tenant}>
      <div class="head">
        <h2>{tenant}</h2>
        <span class={paused === null ? 'completed' : 'delayed'}>
          {paused === null ? '● may start' : '◷ held back'}
        </span>
      </div>
      {paused !== null && <p class="reason delayed">{paused}</p>}
      <dl class="facts">
        <Fact name="Waiting">{numberText(waiting)}</Fact>
        <Use name="Unfinished" used={unfinished} limit={state.max_waiting} write={numberText} />
        {state.in_flight !== null && (
          <Use name="In flight" used={state.in_flight} limit={state.max_in_flight} write={numberText} />
        )}
        <Fact name="Weight">{String(weight)}</Fact>
        <Share tokens={state.tokens} of={allTokens} />
        <Use name="Spent today" used={state.spent_usd} limit={state.daily_budget_usd} write={formatUsd} />
        {state.daily_budget_usd !== null && (
          <Fact name="Budget left">{formatUsd(Math.max(0, state.daily_budget_usd - state.spent_usd))}</Fact>
        )}
        <Use name="Stored" used={state.stored_bytes} limit={state.max_stored_bytes} write={megabytes} />
      </dl>
    </section>
  );
}

/** Share is what a tenant has taken of the tokens of today: what it eats of the quota. */
function Share({ tokens, of }: { tokens: number; of: number | undefined }) {
  if (of === undefined || of === 0) return <Fact name="Tokens today">{numberText(tokens)}</Fact>;
  const percent = `${Math.round((100 * tokens) / of)} %`;
  return (
    <Fact name="Tokens today">
      {numberText(tokens)} ({percent})
      <meter aria-label="Share of the tokens of today" max={of} value={tokens}>
        {percent}
      </meter>
    </Fact>
  );
}

function megabytes(bytes: number): string {
  const tenths = Math.round((bytes / BYTES_PER_MB) * 10);
  return tenths === 0 && bytes > 0 ? 'under 0.1 MB' : `${numberText(tenths / 10)} MB`;
}
