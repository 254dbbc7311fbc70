import type { z } from 'zod';
import { type OpenApiDocument, openApiDocument } from '../../../producer/openapi/document.ts';
import type { modelView } from '../../../producer/openapi/operations/models.ts';
import { pathTemplate } from '../../../producer/openapi/rendering.ts';
import type { ModelView } from '../../../src/models/view.ts';
import { everyRoute } from '../../support/hostile/every-route.ts';
import { createValidators } from '../../support/http/openapi-check.ts';

const document: OpenApiDocument = JSON.parse(JSON.stringify(openApiDocument(everyRoute(), '1.2.3')));
const validatorOf = createValidators(document);

const operations = Object.entries(document.paths ?? {}).flatMap(([path, item]) =>
  (['get', 'post', 'delete'] as const).flatMap((method) => {
    const operation = item[method];
    return operation === undefined ? [] : [{ name: `${method} ${path}`, path, method, operation }];
  }),
);

/** Every object anywhere in the document, with the way to it. */
function* objectsIn(value: unknown, pointer: string[] = []): Generator<[string[], Record<string, unknown>]> {
  if (typeof value !== 'object' || value === null) return;
  if (!Array.isArray(value)) yield [pointer, value as Record<string, unknown>];
  for (const [key, part] of Object.entries(value)) yield* objectsIn(part, [...pointer, key]);
}

describe('the OpenAPI document', () => {
  it('has every route of the table and no others', () => {
    const routes = everyRoute().map(({ method, path }) => `${method} ${pathTemplate(path)}`);
    expect(operations.length).toBeGreaterThan(10);
    expect(operations.map(({ name }) => name).toSorted()).toEqual(routes.toSorted());
  });

  it('says which OpenAPI it is, and the version that it describes', () => {
    expect(document).toMatchObject({ openapi: '3.1.0', info: { title: 'o3-queue', version: '1.2.3' } });
  });

  it('has no references outside itself', () => {
    const refs = [...objectsIn(document)].flatMap(([, { $ref }]) =>
      $ref === undefined ? [] : [String($ref)],
    );
    const names = Object.keys(document.components?.schemas ?? {});
    expect(refs.length).toBeGreaterThan(20);
    expect(
      [...new Set(refs)].filter((ref) => !names.includes(ref.replace('#/components/schemas/', ''))),
    ).toEqual([]);
  });

  it('names each operation once, with an identifier that every language accepts', () => {
    const ids = operations.map(({ operation }) => operation.operationId ?? '');
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids.filter((id) => !/^[a-z][A-Za-z]+$/.test(id))).toEqual([]);
  });

  it.each(operations)(
    '$name declares its parameters, sums itself up, and puts itself under a known tag',
    (each) => {
      const { path, operation } = each;
      const declared = (operation.parameters ?? []).flatMap((parameter) =>
        'in' in parameter && parameter.in === 'path' ? [parameter.name] : [],
      );
      expect(declared).toEqual([...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1]));
      expect(operation.summary).toMatch(/^[A-Z].*[^.]$/);
      expect(document.tags?.map(({ name }) => name)).toEqual(
        expect.arrayContaining(operation.tags ?? ['none']),
      );
    },
  );

  it('has schemas that a strict validator accepts, and examples that follow them', () => {
    const contents = [...objectsIn(document.paths)].filter(
      ([pointer, value]) => pointer.at(-2) === 'content' && 'schema' in value,
    );
    expect(contents.length).toBeGreaterThan(50);
    let examples = 0;
    for (const [pointer, content] of contents) {
      const validate = validatorOf(['paths', ...pointer, 'schema']);
      for (const [name, { value }] of Object.entries(
        (content['examples'] ?? {}) as Record<string, { value: unknown }>,
      )) {
        examples += 1;
        validate(value);
        expect({ at: pointer.join(' '), name, errors: validate.errors }).toMatchObject({ errors: null });
      }
    }
    expect(examples).toBeGreaterThan(5);
  });

  it('documents every field of our answers', () => {
    const open = Object.entries(document.components?.schemas ?? {}).filter(
      ([, schema]) => 'properties' in schema && schema.additionalProperties !== false,
    );
    // OpenAI's own, to which it adds as it likes.
    expect(open.map(([name]) => name)).toEqual(['Response', 'ChatCompletion']);
  });
});

type Same<One, Other> =
  (<T>() => T extends One ? 1 : 2) extends <T>() => T extends Other ? 1 : 2 ? true : false;
type Plain<T> = T extends object ? { [Key in keyof T]: Plain<T[Key]> } : T;

test('the documented model has the type of src', () => {
  // Checked by `npm run types`: where the types differ, `true` is a mistake.
  const same: Same<Plain<z.infer<typeof modelView>>, Plain<ModelView>> = true;
  expect(same).toBe(true);
});
