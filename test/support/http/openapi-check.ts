import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { type OpenApiDocument, openApiDocument } from '../../../producer/openapi/document.ts';
import { everyRoute } from '../hostile/every-route.ts';

/** Exchange is a request to a producer and its answer. */
export interface Exchange {
  method: string;
  /** The path as it was sent, with its query. */
  path: string;
  /** The parsed JSON body; undefined when the body was not JSON. */
  requestBody: unknown;
  status: number;
  headers: Record<string, string | string[] | undefined>;
  /** Parsed JSON of any media type, else text. */
  body: unknown;
}

export type OpenApiCheck = (exchange: Exchange) => void;

let check: OpenApiCheck | undefined;

/**
 * @throws when a documented route has answered against the document, or has accepted a request that it
 * forbids.
 */
export function expectAsDocumented(exchange: Exchange): void {
  check ??= createOpenApiCheck(openApiDocument(everyRoute(), 'test'));
  check(exchange);
}

/** @param document the document of a producer; a route that is not in it is not checked. */
export function createOpenApiCheck(document: OpenApiDocument): OpenApiCheck {
  const routes = routesOf(document);
  const validatorOf = createValidators(document);

  return (exchange) => {
    const { method, path, requestBody, status, headers, body } = exchange;
    const pathname = path.split('?')[0] ?? '';
    const route = routes.find((each) => each.method === method.toLowerCase() && each.pattern.test(pathname));
    if (route === undefined) return;
    const refuse = (expected: string, got: string) => {
      throw new Error(
        `${method} ${pathname} does not answer as the OpenAPI document says (${route.method} ${route.template}): expected ${expected}, got ${got}. ` +
          `Mend the answer, or the route's operation in producer/openapi. The answer was ${status} ` +
          `${shown(body)}`,
      );
    };
    const requireValid = (what: string, value: unknown, ...pointer: string[]) => {
      const validate = validatorOf(['paths', route.template, route.method, ...pointer, 'schema']);
      if (!validate(value)) refuse(`${what} of the documented form`, flawsOf(validate));
    };

    const { responses = {}, requestBody: documentedBody } = route.operation;
    const key = [`${status}`, `${status}`.replace(/..$/, 'XX')].find((each) => each in responses);
    const response = responses[`${key}` as '200'];
    if (response === undefined || '$ref' in response) {
      return refuse(`one of the statuses ${Object.keys(responses).join(', ')}`, `${status}`);
    }
    const promised = Object.entries<{ required?: boolean }>(response.headers ?? {});
    const absent = promised.filter(
      ([name, { required }]) => required === true && headers[name] === undefined,
    );
    if (absent.length > 0) refuse(`the header ${absent.map(([name]) => name).join(', ')}`, 'none');
    const mediaTypes = Object.keys(response.content ?? {});
    const mediaType = String(headers['content-type'] ?? '').split(';')[0] ?? '';
    if (mediaTypes.length === 0) {
      if (body !== '') refuse('no body', `one of ${mediaType}`);
    } else if (!mediaTypes.includes(mediaType)) {
      refuse(`a body of ${mediaTypes.join(' or ')}`, mediaType === '' ? 'none' : `one of ${mediaType}`);
    } else {
      requireValid('a body', body, 'responses', `${key}`, 'content', mediaType);
    }
    if (status < 300 && requestBody !== undefined && documentedBody !== undefined) {
      requireValid('a request', requestBody, 'requestBody', 'content', 'application/json');
    }
  };
}

function routesOf(document: OpenApiDocument) {
  const routes = Object.entries(document.paths ?? {}).flatMap(([template, item]) =>
    (['get', 'post', 'delete'] as const).flatMap((method) => {
      const operation = item[method];
      const pattern = new RegExp(`^${template.replaceAll(/\{\w+\}/g, '[^/]+')}/?$`, 'i');
      return operation === undefined ? [] : [{ template, method, operation, pattern }];
    }),
  );
  // Express decides by the order of routes: `/jobs/bulk` is not a job with the id bulk.
  return routes.toSorted((one, other) => one.template.split('{').length - other.template.split('{').length);
}

/** Compiles each schema when it is used for the first time. */
export function createValidators(
  document: OpenApiDocument,
): (pointer: readonly string[]) => ValidateFunction {
  const ajv = new Ajv2020({
    strict: true,
    allowUnionTypes: true,
    allErrors: true,
    discriminator: true,
    // The document itself is not a schema; the schemas in it are checked when they are compiled.
    meta: false,
    validateSchema: false,
  });
  addFormats.default(ajv);
  for (const field of Object.keys(document)) ajv.addKeyword(field);
  // ajv does not read the mapping, which repeats what the branches say.
  const withoutMapping = JSON.parse(
    JSON.stringify(document, (key, value: unknown) => (key === 'mapping' ? undefined : value)),
  ) as OpenApiDocument;
  ajv.addSchema(withoutMapping, 'document');
  return (pointer) => {
    const fragment = pointer.map((part) =>
      encodeURIComponent(part.replaceAll('~', '~0').replaceAll('/', '~1')),
    );
    const validate = ajv.getSchema(`document#/${fragment.join('/')}`);
    if (validate === undefined)
      throw new Error(`the document was expected to have a schema at ${pointer.join(' > ')}`);
    return validate;
  };
}

function flawsOf({ errors }: ValidateFunction): string {
  return (errors ?? [])
    .map(
      ({ instancePath, message, params }) =>
        `${instancePath || 'the whole'} ${message} ${JSON.stringify(params)}`,
    )
    .join('; ');
}

function shown(body: unknown): string {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return text.length > 1000 ? `${text.slice(0, 1000)}…` : text;
}
