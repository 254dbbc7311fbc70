import type { IncomingHttpHeaders } from 'node:http';

/**
 * Account is what the headers `OpenAI-Organization` and `OpenAI-Project` of a call choose; null: the default
 * of the key. A response belongs to the account that created it, and no other account can find it.
 */
export type Account = { readonly organization: string | null; readonly project: string | null };

export function accountOf(headers: IncomingHttpHeaders): Account {
  const header = (name: string): string | null => {
    const value = headers[name];
    return typeof value === 'string' && value !== '' ? value : null;
  };
  return { organization: header('openai-organization'), project: header('openai-project') };
}

export function isSameAccount(left: Account, right: Account): boolean {
  return left.organization === right.organization && left.project === right.project;
}
