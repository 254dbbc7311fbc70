/**
 * PASSING has the codes of refusals that end without an operator: Redis is full, is loading, cannot save,
 * lacks replicas, runs a script, or fails over. Sources: the code of Redis 6.2 and 7.0.
 */
const PASSING = [
  ...['OOM', 'LOADING', 'MISCONF', 'NOREPLICAS', 'BUSY', 'MASTERDOWN', 'UNBLOCKED'],
  ...['CLUSTERDOWN', 'TRYAGAIN', 'ASK'],
].join('|');

/** The codes of refusals that last until an operator changes the server, the user's rights or REDIS_URL. */
const LASTING = ['READONLY', 'MOVED', 'NOPERM', 'NOAUTH', 'WRONGPASS'].join('|');

const REFUSED = beginningWith(`${PASSING}|${LASTING}`);
const REFUSED_FOR_GOOD = beginningWith(LASTING);
const READ_ONLY = beginningWith('READONLY');
const MOVED = beginningWith('MOVED');

/** Refusals without a code of their own, in the words of Redis 6.2 and 7.0, Dragonfly and hosted services. */
const NO_RIGHT_WORDS = /\bthe user executing the script can't\b|\bACL failure in script\b/i;
const NO_DATABASE_WORDS = /\bDB index is out of range\b|\binvalid DB index\b|\bSELECT is not allowed\b/i;
const PASSING_WORDS =
  /\bout of memory\b|\bnot enough memory\b|\bmax number of clients\b|\bmax (?:\w+ )?requests? limit exceeded\b|\bquota exceeded\b/i;

/** ioredis's messages for connections that are lost, get no answer, or reach no node of a cluster. */
const DISCONNECTED =
  /^(?:Connection is closed|Command timed out|Command aborted due to connection close|Socket timeout|Stream isn't writeable|Reached the max retries|None of startup nodes|Cluster isn't ready|Cluster is ended|Too many Cluster redirections|All sentinels are unreachable)|ECONN|EPIPE|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|Failed to refresh slots/;

/**
 * isRedisAway tells whether an error means that Redis cannot be used now: it cannot be reached, or it refuses
 * commands. Such an error does not mean that the work itself is faulty: it can be done once Redis is back.
 * All producers and workers use this function to judge errors.
 */
export function isRedisAway(error: unknown): error is Error {
  return isRedisRefusal(error) || (error instanceof Error && isDisconnected(error));
}

/** isRedisRefusal tells whether Redis has answered, but does not accept the command now. */
export function isRedisRefusal(error: unknown): error is Error {
  if (!(error instanceof Error)) return false;
  const { name, message } = error;
  if (REFUSED.test(message) || message.startsWith('Too many Cluster redirections')) return true;
  if (name !== 'ReplyError') return false;
  if ('previousErrors' in error && Array.isArray(error.previousErrors)) {
    return error.previousErrors.some(isRedisRefusal);
  }
  return isLastingInWords(message) || PASSING_WORDS.test(message);
}

function isLastingInWords(message: string): boolean {
  return NO_RIGHT_WORDS.test(message) || NO_DATABASE_WORDS.test(message);
}

/**
 * describeRefusal is the text of a refusal for the log. A missing right is always called `NOPERM`, although
 * Redis 7.0 leaves this code out when a script meets it. The script's sha is cut off, because it differs from
 * command to command, and equal lines are logged only once a second.
 */
export function describeRefusal({ message }: Error): string {
  const said = message.replace(/,? script: [0-9a-f]{40}.*/s, '');
  return NO_RIGHT_WORDS.test(said) ? `NOPERM ${said}` : said;
}

/**
 * isLastingRefusal tells whether a refusal lasts until an operator changes the server, its users or
 * REDIS_URL.
 */
export function isLastingRefusal(error: unknown): error is Error {
  if (!isRedisRefusal(error)) return false;
  return REFUSED_FOR_GOOD.test(error.message) || isLastingInWords(error.message);
}

/**
 * isRefusedSelect tells whether an error means that the server does not have the selected database, or does
 * not let this user select it. Without this check, ioredis would then continue in database 0.
 */
export function isRefusedSelect(error: unknown): error is Error {
  if (!(error instanceof Error) || !('command' in error)) return false;
  const { command } = error;
  return typeof command === 'object' && command !== null && 'name' in command && command.name === 'select';
}

/**
 * isReadOnlyRefusal tells whether this connection has reached a replica. After a failover (by Sentinel, or
 * behind one DNS name) a new connection reaches the new master.
 */
export function isReadOnlyRefusal({ message }: Error): boolean {
  return READ_ONLY.test(message);
}

/**
 * beginningWith matches messages that begin with one of the codes. Redis 6.2 puts text before the code of an
 * error inside a script: `ERR Error running script (call to f_…): @user_script:1: @user_script: 1: -OOM
 * command not allowed …`. Redis 7 keeps the code in front.
 */
function beginningWith(codes: string): RegExp {
  return new RegExp(`^(?:ERR Error running script\\b.*@user_script\\b.*?:\\s*-?)?(?:${codes})(?:\\s|$)`, 's');
}

/** isMoved tells whether the error came from a node of a cluster that was addressed as a single server. */
export function isMoved({ message }: Error): boolean {
  return MOVED.test(message);
}

function isDisconnected({ name, message }: Error): boolean {
  return name === 'MaxRetriesPerRequestError' || DISCONNECTED.test(message);
}
