import {
  describeRefusal,
  isLastingRefusal,
  isReadOnlyRefusal,
  isRedisAway,
  isRedisRefusal,
} from '../../../src/redis/refusal.ts';

/** An error as ioredis makes it of an error reply. */
function reply(message: string): Error {
  return Object.assign(new Error(message), { name: 'ReplyError' });
}

const SHA = '94cb315f1b6e232908094143417d255bd54a0229';

it.each([
  "OOM command not allowed when used memory > 'maxmemory'.",
  `OOM command not allowed when used memory > 'maxmemory'. script: ${SHA}, on @user_script:1.`,
  `ERR Error running script (call to f_${SHA}): @user_script:6: @user_script: 6: -OOM command not allowed when used memory > 'maxmemory'. `,
  `ERR Error running script (call to f_${SHA}): @user_script: 2: OOM command not allowed when used memory > 'maxmemory'.`,
  `ERR Error running script (call to f_${SHA}): @user_script:6: @user_script: 6: -MISCONF Redis is configured to save RDB snapshots, but it is currently not able to persist on disk.`,
  'LOADING Redis is loading the dataset in memory',
  'MISCONF Errors writing to the AOF file: No space left on device',
  'NOREPLICAS Not enough good replicas to write.',
  'BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.',
  "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
  'CLUSTERDOWN Hash slot not served',
  'TRYAGAIN Multiple keys request during rehashing of slot',
  'ERR max number of clients reached',
  'ERR max requests limit exceeded. Limit: 500000, Usage: 500000.',
  'Out of memory',
])('"%s" is a refusal that ends by itself', (message) => {
  expect(isRedisAway(reply(message))).toBe(true);
  expect(isRedisRefusal(reply(message))).toBe(true);
  expect(isLastingRefusal(reply(message))).toBe(false);
});

it.each([
  "READONLY You can't write against a read only replica.",
  `ERR Error running script (call to f_${SHA}): @user_script:1: @user_script: 1: -READONLY You can't write against a read only replica. `,
])('"%s" is the refusal of a replica', (message) => {
  expect(isRedisAway(reply(message))).toBe(true);
  expect(isReadOnlyRefusal(reply(message))).toBe(true);
});

it.each([
  'NOAUTH Authentication required.',
  'WRONGPASS invalid username-password pair or user is disabled.',
  "NOPERM this user has no permissions to run the 'evalsha' command",
  `ERR The user executing the script can't publish to the channel mentioned in the command script: ${SHA}, on @user_script:1.`,
  `ERR ACL failure in script: User queue has no permissions to run the 'publish' command script: ${SHA}, on @user_script:1.`,
  'ERR DB index is out of range',
  'MOVED 3999 127.0.0.1:6381',
])('"%s" is a refusal that lasts until an operator acts', (message) => {
  expect(isRedisAway(reply(message))).toBe(true);
  expect(isLastingRefusal(reply(message))).toBe(true);
});

it.each([
  'Connection is closed.',
  'Command timed out',
  "Stream isn't writeable and enableOfflineQueue options is false",
  'connect ECONNREFUSED 127.0.0.1:6379',
  'Failed to refresh slots cache.',
  'Cluster is ended.',
])('"%s" is a Redis that cannot be reached, and no refusal', (message) => {
  expect(isRedisAway(new Error(message))).toBe(true);
  expect(isRedisRefusal(new Error(message))).toBe(false);
});

it('a cluster that redirects a command again and again is unavailable', () => {
  const error = new Error('Too many Cluster redirections. Last error: ReplyError: MOVED 1 127.0.0.1:1');
  expect(isRedisAway(error)).toBe(true);
});

it('a transaction is refused for the reason of its commands', () => {
  const aborted = reply('EXECABORT Transaction discarded because of previous errors.');
  expect(isRedisAway(aborted)).toBe(false);
  expect(isRedisAway(Object.assign(aborted, { previousErrors: [reply('OOM command not allowed')] }))).toBe(
    true,
  );
});

it.each([
  'WRONGTYPE Operation against a key holding the wrong kind of value',
  'BUSYGROUP Consumer Group name already exists',
  'NOSCRIPT No matching script. Please use EVAL.',
  `ERR Error running script (call to f_${SHA}): @user_script:3: attempt to index a nil value`,
  "ERR unknown command 'EVALSHA'",
])('"%s" is an error of ours', (message) => {
  expect(isRedisAway(reply(message))).toBe(false);
});

it('words of the upstream that look like those of Redis are not taken for an error of Redis', () => {
  expect(isRedisAway(new Error('the upstream answered 503: OOM command not allowed'))).toBe(false);
  expect(isRedisAway(new Error('the upstream is out of memory'))).toBe(false);
});

it.each([
  [`NOPERM this user has no permissions to run the 'set' command`, /^NOPERM this user/],
  [
    `ERR The user executing the script can't run this command or subcommand script: ${SHA}, on @user_script:1.`,
    /^NOPERM ERR The user executing the script can't run this command or subcommand$/,
  ],
  [
    `OOM command not allowed when used memory > 'maxmemory'. script: ${SHA}, on @user_script:1.`,
    /^OOM command not allowed when used memory > 'maxmemory'.$/,
  ],
])('"%s" is logged with its code and without the sha of the script', (message, said) => {
  expect(describeRefusal(reply(message))).toMatch(said);
});
