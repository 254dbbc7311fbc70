import { type ApiError, badRequest, notFound } from '../api/errors.ts';
import { booleanField, requireKnown, stringField } from '../api/fields.ts';

/** SimulatedModel is one model that the simulator offers. */
export type SimulatedModel = {
  readonly id: string;
  /** The dated name that replies carry, as OpenAI's do. Default: the id. */
  readonly snapshot?: string;
  /** `YYYY-MM-DD`, shown by `GET /v1/models`. The simulator shuts no model down by itself. Default: none. */
  readonly shutdownDate?: string;
};

/** ModelChange is what `PUT /simulator/models/:id` takes. An omitted field stays as it is. */
export type ModelChange = {
  /** `YYYY-MM-DD`; null removes the date. */
  readonly shutdownDate?: string | null | undefined;
  /**
   * Whether the model is gone: it is not listed and takes no creates. Responses that already exist continue.
   */
  readonly gone?: boolean | undefined;
};

/** Models are the models of the server, with the changes made while it runs. */
export type Models = {
  readonly defaultName: string;
  /** The ids of all models, including those that are gone. */
  readonly ids: readonly string[];
  list(): object;
  describe(id: string): object;
  /** @throws OpenAI's 404 unless a model that is not gone has this id or snapshot name. */
  find(id: string): Required<Pick<SimulatedModel, 'id' | 'snapshot'>>;
  /** @returns the changed model as `GET /v1/models` lists it, with `gone` added. */
  change(id: string, change: ModelChange): object;
};

/** The `created` of every model, in Unix seconds. It is fixed, so that two listings are equal. */
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
  { id: 'gpt-6.1-sol' },
  { id: 'gpt-6.1-terra' },
  { id: 'gpt-6.2-sol' },
  { id: 'gpt-6.2-astra' },
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

/** readModelChange reads the body of `PUT /simulator/models/:id`. */
export function readModelChange(body: unknown): ModelChange {
  const change = requireKnown(body, ['shutdown_date', 'gone']);
  const date = stringField(change, 'shutdown_date');
  if (date !== undefined && !isDate(date)) {
    throw badRequest(
      `Invalid 'shutdown_date': expected a day as YYYY-MM-DD or null, but got '${date}' instead.`,
      {
        param: 'shutdown_date',
        code: 'invalid_value',
      },
    );
  }
  return { shutdownDate: change['shutdown_date'] === null ? null : date, gone: booleanField(change, 'gone') };
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

/** Whether the calendar has the day: JavaScript reads `2026-02-31` as a day in March. */
function isDate(text: string): boolean {
  const atMs = Date.parse(`${text}T00:00:00Z`);
  return !Number.isNaN(atMs) && new Date(atMs).toISOString().startsWith(`${text}T`);
}
