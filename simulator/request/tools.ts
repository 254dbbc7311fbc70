import { badRequest } from '../api/errors.ts';
import { isObject, type JsonObject } from '../api/json.ts';

/** Tool is a function or a custom tool that the caller would run. The simulator runs no tools of its own. */
export type Tool =
  | { readonly kind: 'function'; readonly name: string; readonly parameters: unknown }
  | { readonly kind: 'custom'; readonly name: string; readonly format: unknown };

/** Offer is which tools the response may call, and whether it has to call one. */
export type Offer = { readonly tools: readonly Tool[]; readonly isForced: boolean };

const NOTHING_OFFERED: Offer = { tools: [], isForced: false };

/**
 * readOffer reads `tools` and `tool_choice`: `auto`, `required`, `none`, a tool by its name, or
 * `allowed_tools`.
 * @throws OpenAI's 400 if the choice names a tool that is not in `tools`.
 */
export function readOffer(body: JsonObject): Offer {
  const tools = toolsIn(body['tools']);
  const choice = body['tool_choice'] ?? 'auto';
  if (choice === 'none') return NOTHING_OFFERED;
  if (!isObject(choice)) return { tools, isForced: choice === 'required' };
  switch (choice['type']) {
    case 'function':
    case 'custom': {
      const named = tools.filter(({ kind, name }) => kind === choice['type'] && name === choice['name']);
      if (named.length > 0) return { tools: named, isForced: true };
      throw badRequest(`Tool choice '${String(choice['name'])}' not found in 'tools' parameter.`, {
        param: 'tool_choice',
      });
    }
    case 'allowed_tools': {
      const allowed = toolsIn(choice['tools']);
      return {
        tools: tools.filter((tool) =>
          allowed.some(({ kind, name }) => kind === tool.kind && name === tool.name),
        ),
        isForced: choice['mode'] === 'required',
      };
    }
    default:
      // a tool that OpenAI runs, such as web_search
      return NOTHING_OFFERED;
  }
}

function toolsIn(list: unknown): Tool[] {
  return (Array.isArray(list) ? list : []).flatMap((tool: unknown): Tool[] => {
    if (!isObject(tool) || typeof tool['name'] !== 'string') return [];
    const { type, name, parameters, format } = tool;
    if (type === 'function') return [{ kind: 'function', name, parameters }];
    return type === 'custom' ? [{ kind: 'custom', name, format }] : [];
  });
}
