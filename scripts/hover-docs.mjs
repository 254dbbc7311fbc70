// Writes the types that zod infers out, with a comment on each field: an editor shows the comment of a field
// only where the field is declared. The comments are the descriptions of the schemas, as in /openapi.json.
// `npm run build` runs it on the declarations in `dist`.
import { readFileSync, writeFileSync } from 'node:fs';
import { z } from 'zod';
import { auditEntry, auditPage } from '../dist/src/audit/audit.js';
import { actionView, selectionView } from '../dist/src/job/action.js';
import { jobPage, jobResult, jobView } from '../dist/src/job/view.js';

/** The width of a comment, in columns. */
const WIDTH = 100;

const view = z.toJSONSchema(jobView, { io: 'output' });
const ofJob = (id) => view.$defs[id];
const schemaOf = (type) => {
  const { $ref, $defs, ...schema } = z.toJSONSchema(type, { io: 'output' });
  return $ref === undefined ? schema : $defs[$ref.split('/').at(-1)];
};

/** The declarations, each with the schemas of its types. */
const FILES = {
  'dist/src/job/view.d.ts': {
    Usage: ofJob('Usage'),
    JobError: ofJob('FailedJob').properties.error,
    ResultSummary: ofJob('CompletedJob').properties.result,
    ...Object.fromEntries(
      ['WaitingJob', 'DelayedJob', 'ActiveJob', 'CompletedJob', 'FailedJob', 'CancelledJob'].map((id) => [
        id,
        ofJob(id),
      ]),
    ),
    JobView: schemaOf(jobView),
    JobResult: schemaOf(jobResult),
    JobPage: schemaOf(jobPage),
  },
  'dist/src/job/action.d.ts': { Selection: schemaOf(selectionView), Action: schemaOf(actionView) },
  'dist/src/audit/audit.d.ts': { AuditEntry: schemaOf(auditEntry), AuditPage: schemaOf(auditPage) },
};
/** The names of these types. One never refers to another of another file. */
const NAMES = new Set(Object.values(FILES).flatMap((types) => Object.keys(types)));

for (const [file, types] of Object.entries(FILES)) {
  let text = readFileSync(file, 'utf8');
  for (const [name, schema] of Object.entries(types)) {
    const inferred = new RegExp(`^export type ${name} = z\\.infer<typeof \\w+>;$`, 'm');
    if (!inferred.test(text)) throw new Error(`expected ${file} to infer ${name}`);
    const written = typeFrom(schema, '', name);
    text = text.replace(inferred, () => `export type ${name} = ${written};`);
  }
  writeFileSync(file, text);
}

/** @param name the type that is declared, which its own schema must not refer to. */
function typeFrom(schema, indent, name) {
  const { $ref, anyOf, oneOf, type, properties, additionalProperties, items } = schema;
  const id = $ref === undefined ? schema.id : $ref.split('/').at(-1);
  if (id !== undefined && id !== name && NAMES.has(id)) return id;
  if (id === 'Job' && name !== 'JobView') return 'JobView';
  const union = anyOf ?? oneOf;
  if (union !== undefined) return [...new Set(union.map((each) => typeFrom(each, indent, '')))].join(' | ');
  if ('const' in schema) return JSON.stringify(schema.const);
  if (schema.enum !== undefined) return schema.enum.map((value) => JSON.stringify(value)).join(' | ');
  if (type === 'array') return `(${typeFrom(items, indent, '')})[]`;
  if (properties !== undefined) return `{\n${fieldsOf(schema, `${indent}    `)}${indent}}`;
  if (type === 'object') return `Record<string, ${typeFrom(additionalProperties, indent, '')}>`;
  if (type === 'integer') return 'number';
  if (type === undefined && Object.keys(schema).some((key) => key !== 'description'))
    throw new Error(`expected a type of ${JSON.stringify(schema)}`);
  return Array.isArray(type) ? type.join(' | ') : (type ?? 'unknown');
}

function fieldsOf({ properties, required = [] }, indent) {
  return Object.entries(properties)
    .map(([field, schema]) => {
      const isRequired = required.includes(field);
      const type = typeFrom(schema, indent, '');
      const comment = commentOf(schema.description, indent);
      return `${comment}${indent}${field}${isRequired ? '' : '?'}: ${type}${isRequired ? '' : ' | undefined'};\n`;
    })
    .join('');
}

function commentOf(description = '', indent) {
  const lines = [''];
  for (const word of description.replaceAll('*/', '*\\/').split(' ')) {
    const line = `${lines.at(-1)} ${word}`;
    if (line.length > WIDTH) lines.push(` ${word}`);
    else lines[lines.length - 1] = line;
  }
  if (lines.length === 1) return `${indent}/**${lines[0]} */\n`;
  return [`${indent}/**`, ...lines.map((line) => `${indent} *${line}`), `${indent} */\n`].join('\n');
}
