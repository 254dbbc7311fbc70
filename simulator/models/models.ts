import { type ApiError, notFound } from '../http/errors.ts';

/** A model that the simulator pretends to run. */
export type SimulatedModel = {
  readonly id: string;
  /** The dated name that replies carry, as OpenAI's do. Default: the id. */
  readonly snapshot?: string;
  /** `YYYY-MM-DD`, told by `GET /v1/models`; the simulator shuts no model down by itself. Default: none. */
  readonly shutdownDate?: string;
};

/** What `PUT /simulator/models/:id` takes; what is left out stays as it is. */
export type ModelChange = {
  /** `YYYY-MM-DD`; null: none. */
  readonly shutdownDate?: string | null | undefined;
  /** Not listed, and nothing can be made with it; what was made before goes on. */
  readonly gone?: boolean | undefined;
};

export type Models = {
  readonly defaultName: string;
  /** Also of those that are gone. */
  readonly ids: readonly string[];
  list(): object;
  describe(id: string): object;
  /** The model of this name or snapshot, or OpenAI's 404. */
  find(id: string): Required<Pick<SimulatedModel, 'id' | 'snapshot'>>;
  /** Hands back the model as it is then listed, with `gone`. */
  change(id: string, change: ModelChange): object;
};

/** Unix seconds; a fixed date, so that two listings are equal. */
const CREATED_AT_SECONDS = 1_744_761_600;

export const DEFAULT_MODELS: readonly SimulatedModel[] = [
  { id: 'o3', snapshot: 'o3-2025-04-16', shutdownDate: '2026-12-11' },
  { id: 'o3-pro', snapshot: 'o3-pro-2025-06-10', shutdownDate: '2026-12-11' },
  { id: 'gpt-5', snapshot: 'gpt-5-2025-08-07', shutdownDate: '2026-12-11' },
  { id: 'gpt-5-mini', snapshot: 'gpt-5-mini-2025-08-07', shutdownDate: '2026-12-11' },
  { id: 'gpt-5.1', shutdownDate: '2027-04-01' },
  { id: 'gpt-5.2' },
  { id: 'gpt-5.4' },
  { id: 'gpt-5.5' },
  { id: 'gpt-5.6-sol' },
  { id: 'gpt-5.6-terra' },
  { id: 'gpt-5.6-luna' },
  { id: 'gpt-6-astra' },
  { id: 'gpt-6-sol' },
  { id: 'gpt-6-luna' },
];

export function createModels(models: readonly (string | SimulatedModel)[]): Models {
  const known = new Map<string, SimulatedModel>();
  for (const entry of models) {
    const model = typeof entry === 'string' ? (defaultsOf(entry) ?? { id: entry }) : entry;
    known.set(model.id, model);
  }
  const gone = new Set<string>();
  const get = (id: string): SimulatedModel => {
    const model = known.get(id) ?? [...known.values()].find((candidate) => candidate.snapshot === id);
    if (model) return model;
    throw modelNotFound(`The model \`${id}\` does not exist or you do not have access to it.`);
  };
  const find = (id: string): SimulatedModel => {
    const model = get(id);
    if (!gone.has(model.id)) return model;
    throw modelNotFound(
      model.shutdownDate === undefined
        ? `The model \`${id}\` does not exist or you do not have access to it.`
        : `The model \`${id}\` has been deprecated, learn more here: https://platform.openai.com/docs/deprecations`,
    );
  };
  const [first] = known.keys();
  if (first === undefined) throw new Error('models must name at least one model, got an empty list');
  return {
    defaultName: first,
    ids: [...known.keys()],
    list: () => ({
      object: 'list',
      data: [...known.values()].filter(({ id }) => !gone.has(id)).map(describe),
    }),
    describe: (id) => describe(find(id)),
    find: (id) => {
      const model = find(id);
      return { id: model.id, snapshot: model.snapshot ?? model.id };
    },
    change: (id, { shutdownDate, gone: isGone }) => {
      const { shutdownDate: planned, ...model } = get(id);
      const date = shutdownDate === undefined ? planned : (shutdownDate ?? undefined);
      const changed = { ...model, ...(date === undefined ? {} : { shutdownDate: date }) };
      known.set(changed.id, changed);
      if (isGone === true) gone.add(changed.id);
      else if (isGone === false) gone.delete(changed.id);
      return { ...describe(changed), gone: gone.has(changed.id) };
    },
  };
}

function modelNotFound(message: string): ApiError {
  return notFound(message, { code: 'model_not_found' });
}

function defaultsOf(id: string): SimulatedModel | undefined {
  return DEFAULT_MODELS.find((model) => model.id === id);
}

function describe(model: SimulatedModel): object {
  return {
    id: model.id,
    object: 'model',
    created: CREATED_AT_SECONDS,
    owned_by: 'simulator',
    shutdown_date: model.shutdownDate ?? null,
  };
}
