/** Words is the text of a refusal, with its codes. */
interface Words {
  status?: number | undefined;
  code: string | null;
  type: string | null;
  message: string;
  param: string | null;
}

/**
 * OpenAI's own codes and types for an account that has no money left. Other codes and words may concern only
 * one request.
 */
const MONEY_CODES = new Set([
  'insufficient_quota',
  'credit_balance_exhausted',
  'organization_spend_limit_exceeded',
  'project_spend_limit_exceeded',
  'organization_usage_limit_exceeded',
  'billing_hard_limit_reached',
  'billing_not_active',
  'billing_limit_user_error',
]);

/** Words of OpenAI, OpenRouter, LiteLLM, xAI, DeepSeek, Alibaba, one-api and others. */
const MONEY = [
  /\bbilling\b|\bpayments?\b.{0,20}\b(required|method|failed|overdue|due)\b|\bunpaid\b|\barrear(s|age)?\b|\boverdue\b|\bgood standing\b/,
  /\binsufficient[_ ](user[_ ])?(quota|funds?|balance|credits?)\b|\b(quota|balance|funds)\b.{0,20}\b(is )?(not enough|insufficient|too low|negative|empty)\b/,
  /\b(no|more|out of|not enough|purchase|buy|add|remaining|available|prepaid|prepayment)\b.{0,30}\bcredits?\b/,
  /\bcredits?\b.{0,40}\b(exhausted|depleted|used up|required|run out|ran out|expired|too low|insufficient)\b/,
  /\bcredit[_ ]balance\b|\btop[- ]?up\b|\brecharge\b|\bprepaid balance\b/,
  /\b(spend(ing)?|usage|hard|monthly|budget)[_ ]limit\b.{0,40}\b(reached|exceeded|hit|exhausted)\b|\b(reached|exceeded|hit|over)\b.{0,40}\b(spend(ing)?|monthly|hard|budget)[_ ]limit\b/,
  /\bbudget\b.{0,20}\b(has been |was |is )?(exceeded|exhausted|reached|used up)\b|\b(exceeded|over|exhausted)\b.{0,5}[_ ]?budget\b|\bexceededbudget\b|\bbudget_exceeded\b/,
  /\bexceeded (your|the) (current|monthly) quota\b|\bquota\b.{0,30}\b(exhausted|used up)\b|\bkey limit exceeded\b/,
];

/** Whether a refusal says that the account has no money left. */
export function saysMoney(words: Words): boolean {
  if (isMoneyCode(words)) return true;
  // This refusal is about a wrong field. A field may have any name, so the words of the refusal say nothing
  // about money.
  if (words.param !== null && words.status !== 402 && words.status !== 429) return false;
  if (words.status === 402) return true;
  if (words.status !== undefined && words.status >= 500) return false;
  return saysOneOf(MONEY, words);
}

/**
 * Whether a refusal has one of OpenAI's own codes for a lack of money. Such a code concerns every request of
 * the account.
 */
export function isMoneyCode({ code, type }: Pick<Words, 'code' | 'type'>): boolean {
  return MONEY_CODES.has(code ?? '') || MONEY_CODES.has(type ?? '');
}

/**
 * OpenAI answers 401 `mismatched_organization`: "OpenAI-Organization header should match organization for API
 * key".
 */
const NAMED_ACCOUNT = [
  /\b(mismatched|invalid|unknown|no such|incorrect)[_ ](organization|project)\b/,
  /\bopenai-(organization|project)\b/,
  /\b(organization|project)\b.{0,40}\b(not found|does not exist|no access|not a member)\b/,
  /\b(not a member of|no access to|access to)\b.{0,20}\b(organization|project)\b/,
];

/** Whether a refusal says that the key may not use the organization or the project that the request names. */
export function saysNamedAccount(words: Words): boolean {
  return (words.status === 401 || words.status === 403) && saysOneOf(NAMED_ACCOUNT, words);
}

const TOO_LARGE = [
  /\brequest (is )?too large\b|\bentity too large\b|\bpayload too large\b/,
  /\b(input|output|prompt|message|max_tokens|tokens)\b.{0,40}\bmust be reduced\b|\breduce (the length|your (message|prompt|input|request))\b/,
  /\bsingle request\b.{0,60}\b(exceeds?|larger)\b|\brequest(ed)?\b.{0,40}\b(exceeds?|is larger than)\b.{0,40}\b(maximum|tokens per request)\b/,
  /\bcontext[_ ]length[_ ]exceeded\b|\bmaximum context length\b/,
];

/**
 * Whether a refusal says that a throttled request is larger than a whole minute allows, so that it can never
 * be sent.
 */
export function saysTooLarge(words: Words): boolean {
  const { status, message } = words;
  if (status !== 413 && status !== 429 && status !== undefined) return false;
  if (saysOneOf(TOO_LARGE, words)) return true;
  const limit = numberAfter(/\blimit:?\s*([\d,]+)/i, message);
  const requested = numberAfter(/\brequested:?\s*([\d,]+)/i, message);
  return limit !== undefined && requested !== undefined && requested > limit;
}

function numberAfter(pattern: RegExp, text: string): number | undefined {
  const digits = pattern.exec(text)?.[1];
  return digits === undefined ? undefined : Number(digits.replaceAll(',', ''));
}

const BUSY = [
  /\bconversation_locked\b|\banother process is currently\b/,
  /\b(conversation|thread|session|previous response|response)\b.{0,60}\b(is locked|is busy|in use|still (running|in progress|active|being))\b/,
  /\balready has an active\b/,
];

/**
 * Whether a refusal says that the upstream is still busy with the conversation or response that this request
 * continues.
 */
export function saysBusy(words: Words): boolean {
  return words.status !== undefined && words.status < 500 && words.status !== 429 && saysOneOf(BUSY, words);
}

const THROTTLED = [
  /\brate_limit_exceeded\b|\brate[ _]limit(ed)?\b.{0,30}\b(exceeded|reached|hit)\b|\btoo many requests\b/,
];

/** Whether a refusal with a status other than 429 says that requests come too fast. */
export function saysThrottled(words: Words): boolean {
  return words.param === null && words.status !== 401 && saysOneOf(THROTTLED, words);
}

const CONTENT = [
  /\bmoderation\b|\bflagged\b|\bcontent[_ ](policy|filter|violat)|\bresponsible ?ai\b|\bviolat\w*\b.{0,40}\b(polic|guideline|terms)|\busage (polic|guideline)/,
];

/** Whether a refusal says that the content of the request is not allowed. */
export function saysContent(words: Words): boolean {
  // When an account was closed because of what its requests contained, the refusal concerns the account, not
  // this request.
  return saysOneOf(CONTENT, words) && !saysOneOf(ACCOUNT, words);
}

const ACCOUNT = [
  /\b(account|organi[sz]ation|project|team|workspace|subscription|user)\b.{0,40}\b(deactivated|suspended|disabled|blocked|banned|terminated|restricted|archived|closed)\b/,
];
const CREDENTIALS = [
  ...ACCOUNT,
  /\bapi[ _-]?key\b.{0,40}\b(not valid|invalid|incorrect|expired|revoked|disabled|missing|required|not found|unknown|wrong|leaked)\b/,
  /\b(invalid|incorrect|expired|missing|revoked|disabled|unknown|wrong|no)\b.{0,20}\b(api[ _-]?keys?|credentials?|authentication|auth token|access token|bearer token|subscription key)\b/,
  /\b(invalid_api_key|account_deactivated)\b|\bunsupported_country|\b(country|region|territory|location)\b.{0,60}\bnot (supported|available|allowed)\b|\bnot (supported|available|allowed)\b.{0,40}\b(country|region|territory|location)\b/,
  /\bmust be (a )?(member of an organi[sz]ation|verified)\b|\bip[ _](address )?(is )?not[ _](authorized|allowed)\b|\bunauthori[sz]ed\b|\bauthentication (failed|error|required)\b/,
];

/**
 * Whether a refusal says that the upstream does not accept the key, the account, the project or the location.
 */
export function saysCredentials(words: Words): boolean {
  return words.param === null && saysOneOf(CREDENTIALS, words);
}

const MODEL_CODES =
  /^(model_not_found|deployment_?not_?found|model_decommissioned|model_not_available|model_not_active|invalid_model(_name)?|model_not_supported|unsupported_model|unknown_model)$/i;
const MODEL = [
  /\b(model|deployment|engine)\b.{0,100}\b(does not exist|doesn't exist|not found|no longer|deprecated|decommissioned|retired|removed|shut ?down|not available|unavailable|not exist)\b/,
  /\b(does|do) not work with the specified model\b|\bmodel [`'"]?[\w./:@-]+[`'"]? (is (not|only) supported|(cannot|can't|can not) be used)\b/,
  /\b(no such|unknown|invalid) model\b|\binvalid model name\b|\bnot a valid model\b|\bno (available )?(endpoints?|channels?|deployments?|providers?)\b.{0,40}\b(found|for|available)\b/,
];
const WRONG_MODEL = [/\bmodel\b.{0,100}\b(is (not|only) supported|(cannot|can't|can not) be used)\b/];

/**
 * Whether a refusal says that the upstream does not have the model: by the code of the refusal, or by words
 * that contain the name of the requested model. Words with another name concern something else in the
 * request.
 */
export function saysModel(words: Words, upstreamModel: string | undefined): boolean {
  if (MODEL_CODES.test(words.code ?? '')) return true;
  if (words.status === undefined || words.status === 401 || words.status === 429) return false;
  if (words.param !== null && words.param !== 'model') return false;
  if (words.status >= 500 && words.status !== 503) return false;
  const isNamed = upstreamModel !== undefined && words.message.includes(upstreamModel);
  if (isNamed && saysOneOf(MODEL, words)) return true;
  // OpenAI then names only the field `model`, not the model itself: "This model is only supported in
  // v1/chat/completions".
  return words.param === 'model' && saysOneOf(WRONG_MODEL, words);
}

/** Ids in the form of OpenAI and of servers that imitate it. */
const THING =
  /\b(resp|file|conv|msg|vs|prompt|pmpt|asst|run|rs|fc|cntr|item|thread|batch)[_-]\w+|\bwith id\b/i;

/** Whether a 404 is about a thing that the request names, and not about the path. */
export function namesThing(words: Words): boolean {
  const { code, param, message } = words;
  if (saysAddress(words)) return false;
  return param !== null || /_not_found$/.test(code ?? '') || THING.test(message) || saysOneOf(MODEL, words);
}

const ADDRESS = [
  /\bunknown[_ ](request )?url\b|\binvalid url\b|\bno (such )?route\b|\bcannot (post|get)\b|\bpage not found\b|\bno handler\b|\b(unknown|unexpected) (path|endpoint|route)\b/,
  /\b(http request|plain http)\b.{0,40}\bhttps\b|\bmethod not allowed\b/,
];

/** Whether a refusal says that the address is wrong: the server is not the API, or does not know the path. */
export function saysAddress(words: Words): boolean {
  return saysOneOf(ADDRESS, words);
}

function saysOneOf(patterns: readonly RegExp[], { code, type, message }: Words): boolean {
  const text = `${code ?? ''} ${type ?? ''} ${message}`.toLowerCase();
  return patterns.some((pattern) => pattern.test(text));
}
