import { readFileSync } from 'node:fs';
import type { Flaw } from '../errors/problem.ts';
import { textFrom } from './text-file.ts';

/** The variables that hold a secret, each of which may stand in a file instead. */
const SECRETS = ['REDIS_URL', 'O3Q_KEYS', 'OPENAI_API_KEY', 'OPENAI_WEBHOOK_SECRET', 'O3Q_SIGNING_SECRET'];
const SUFFIX = '_FILE';

/** isSecretFile tells whether a variable names the file of a secret: `O3Q_KEYS_FILE`. */
export function isSecretFile(variable: string): boolean {
  return SECRETS.some((name) => variable === name + SUFFIX);
}

/** secretFilesOf lists the files that these variables name. */
export function secretFilesOf(environment: NodeJS.ProcessEnv): string[] {
  return SECRETS.flatMap((name) => environment[name + SUFFIX] || []);
}

/**
 * withSecretsOfFiles sets each secret whose `…_FILE` names a file to the content of that file, without the
 * line break at its end. Docker and Kubernetes mount secrets in this form, where no list of processes and no
 * description of a container shows them.
 *
 * @returns the environment, and what is wrong with the files. No message quotes the content of a file.
 */
export function withSecretsOfFiles(environment: NodeJS.ProcessEnv): {
  environment: NodeJS.ProcessEnv;
  flaws: Flaw[];
} {
  const read: NodeJS.ProcessEnv = {};
  const flaws: Flaw[] = [];
  for (const name of SECRETS) {
    const path = environment[name + SUFFIX];
    if (path === undefined || path === '') continue;
    if (environment[name]) {
      flaws.push({ path: name + SUFFIX, message: `is set beside ${name}; set one of them` });
      continue;
    }
    try {
      read[name] = textFrom(readFileSync(path)).replace(/\r?\n$/, '');
      if (read[name] === '') flaws.push({ path: name + SUFFIX, message: `names an empty file, ${path}` });
    } catch (error: unknown) {
      const cause = error instanceof Error ? error.message : String(error);
      flaws.push({ path: name + SUFFIX, message: `cannot be read: ${cause}` });
    }
  }
  return { environment: { ...environment, ...read }, flaws };
}
