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
            : 'The spending is that of today (UTC). A tenant of weight 2 has twice as many starts as one of weight 1.'}
        </p>
        {more && <p class="quiet">Tenants that neither wait nor have spent today are not listed.</p>}
        <div class="cards">
          {tenants.map((tenant) => (
            <Tenant key={tenant.tenant} state={tenant} />
          ))}
        </div>
      </>
    ),
  };
}

function Tenant({ state }: { state: TenantState }) {
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
        <Use name="Spent today" used={state.spent_usd} limit={state.daily_budget_usd} write={formatUsd} />
        {state.daily_budget_usd !== null && (
          <Fact name="Budget left">{formatUsd(Math.max(0, state.daily_budget_usd - state.spent_usd))}</Fact>
        )}
        <Use name="Stored" used={state.stored_bytes} limit={state.max_stored_bytes} write={megabytes} />
      </dl>
    </section>
  );
}

function megabytes(bytes: number): string {
  return `${numberText(Math.round((bytes / BYTES_PER_MB) * 10) / 10)} MB`;
}
