/** Where a job stands in its model's line. */
export interface Place {
  /** How many start before it, as things are. */
  before: number;
  /** Why its tenant's jobs have to wait while others go on; undefined: they do not. */
  stop: { reason: string; until: number } | undefined;
  /** What the dispatchers have said in the last seconds; undefined: there are none. */
  told: Told | undefined;
}

interface Told {
  /** '': the line moves. */
  reason: string;
  startsPerSecond: number | undefined;
  basis: string;
  durationMs: number | undefined;
  notBefore: number;
}

export interface Waiting {
  waiting_for: string;
  position: number | null;
  eta_ms: number | null;
  eta_basis: string | null;
}

/** As the script `read` returns it. */
export function placeFrom(raw: readonly [number, string, string, ...string[]] | null): Place | undefined {
  if (raw === null) return undefined;
  const [before, reason, until, ...flat] = raw;
  const told = new Map<string, string>();
  for (let i = 0; i + 1 < flat.length; i += 2) told.set(flat[i] ?? '', flat[i + 1] ?? '');
  const number = (field: string): number | undefined => {
    const text = told.get(field) ?? '';
    return text === '' ? undefined : Number(text);
  };
  return {
    before,
    stop: reason === '' ? undefined : { reason, until: Number(until) },
    told:
      told.size === 0
        ? undefined
        : {
            reason: told.get('reason') ?? '',
            startsPerSecond: number('starts_per_second'),
            basis: told.get('basis') ?? '',
            durationMs: number('duration_ms'),
            notBefore: number('not_before') ?? 0,
          },
  };
}

/** Why a tenant that has as many jobs in flight as it may is stopped. */
export function placesTaken(tenant: string, maxInFlight: number): string {
  return `one of the ${maxInFlight} jobs that ${tenant} may have in flight to end`;
}

/** What a job that is not in the line waits for. */
export function waitingOutside(paused: boolean): Waiting {
  return {
    waiting_for: paused ? 'the queue to be resumed' : 'a free worker',
    position: null,
    eta_ms: null,
    eta_basis: null,
  };
}

export function waitingIn({ before, stop, told }: Place, paused: boolean, now: number): Waiting {
  const position = before + 1;
  if (paused) return { ...waitingOutside(true), position };
  if (told === undefined) return { ...waitingOutside(false), position };
  const estimate = etaOf(before, told, Math.max(stop?.until ?? 0, told.notBefore), now);
  const turn = before === 0 ? 'its start' : `its turn: ${before} before it`;
  return { waiting_for: stop?.reason ?? (told.reason || turn), position, ...estimate };
}

/** Until its answer: its turn, and as long as such answers take. */
function etaOf(
  before: number,
  { startsPerSecond, basis, durationMs }: Told,
  notBefore: number,
  now: number,
): Pick<Waiting, 'eta_ms' | 'eta_basis'> {
  if (durationMs === undefined)
    return { eta_ms: null, eta_basis: 'no answer of this model has been seen yet' };
  if (startsPerSecond === undefined || startsPerSecond <= 0) {
    return { eta_ms: null, eta_basis: 'how fast the line moves is not known yet' };
  }
  const standsMs = Math.max(0, notBefore - now);
  const turnMs = (before / startsPerSecond) * 1000;
  const rate = `${round(startsPerSecond)} starts a second (${basis})`;
  return {
    eta_ms: Math.round(standsMs + turnMs + durationMs),
    eta_basis: `${before} before it at ${rate}, then ${round(durationMs / 1000)} s for the answer`,
  };
}

function round(value: number): number {
  return Number(value.toPrecision(2));
}
