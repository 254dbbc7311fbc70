// A worker that holds each of its jobs at a place of its own, so that one SIGKILL shows what all of them leave behind. Runs the compiled code: Node 20
// reads no TypeScript.
//
// A place is just before something about the job leaves the process (a command to Redis, a call to the upstream), or just after its answer has come
// back and before anything in the process has seen it. A job is held at the first place at which no other job is held: nothing about it is sent or
// heard from then on, as if the process had died there. So there is a job at every place that any job comes to, in whichever order the steps of an
// attempt run. Told on stdout, a line each: {"number": 7, "name": "before finish", "held": true}; the question of that job has "number 7".
import { createHash } from 'node:crypto';
import { Redis } from 'ioredis';
import { Agent } from 'undici';
import { SCRIPTS } from '../../../dist/src/lua/scripts.js';
import { createLogger } from '../../../dist/src/process/log.js';
import { startWorker } from '../../../dist/worker/worker.js';

const NEVER = new Promise(() => {});
const { runsOutOfLocks, ...workerOptions } = JSON.parse(process.argv[2]);
/** The renewal of locks, the look at cancel marks, what is written of a stream and what is told to its readers come with the clock, at any place. */
const BY_THE_CLOCK = new Set(['extendLocks', 'locks.renew', 'hexists', 'run.append of events', 'publish']);
/** The scripts of quotas, which are kept beside the job and mend themselves: a reservation ends with its lease. */
const OF_QUOTAS = /^(quota|tenant)\./;
/** What a dispatcher does is about many jobs at once. */
const ABOUT_MANY = new Set(['fair-queue.dispatch']);
/** What BullMQ answers when there is no job. */
const NO_JOB = [null, 0, 0, 0];

/** By the number of a job: the names of the places that it has passed. */
const trails = new Map();
/** The numbers of the jobs that are held. */
const held = new Set();
/** The places at which a job is held: a name, and how often that job has come there. */
const taken = new Set();
/** A job that comes to the same place again and again is held there at one of its first times, or not at all. */
const MOST_TIMES = 4;
/** By job id and by response id: the number of the job. */
const numbers = new Map();
const scriptNames = new Map();
/** By the number of a job, if locks run out before BullMQ is told of an end: the key of the lock, from the end of the record on. */
const locks = new Map();

/** @returns whether the job is to go no further. */
function reach(number, name) {
  if (held.has(number)) return true;
  const trail = trails.get(number) ?? [];
  trails.set(number, trail);
  // Sent again as a whole, because Redis did not know the script yet.
  if (trail.at(-1) === name) return false;
  trail.push(name);
  const times = trail.filter((passed) => passed === name).length;
  const place = `${times} ${name}`;
  if (times <= MOST_TIMES && !taken.has(place)) {
    taken.add(place);
    held.add(number);
  }
  process.stdout.write(`${JSON.stringify({ number, name, held: held.has(number) })}\n`);
  return held.has(number);
}

function numberIn(text) {
  const [, number] = /number (\d+)\?/.exec(text) ?? [];
  return number === undefined ? undefined : Number(number);
}

function numberOfOneOf(words) {
  return numbers.get(words.find((word) => numbers.has(word)));
}

const sha1 = (lua) => createHash('sha1').update(lua).digest('hex');

function learnScriptNames() {
  for (const { name, sha } of SCRIPTS) scriptNames.set(sha, name);
  const { defineCommand } = Redis.prototype;
  Redis.prototype.defineCommand = function (name, definition) {
    scriptNames.set(sha1(definition.lua), name.split(':')[0]);
    return defineCommand.call(this, name, definition);
  };
}

function effectOf({ name, args }) {
  if (name !== 'evalsha' && name !== 'eval') return name;
  const script = scriptNames.get(name === 'eval' ? sha1(args[0]) : args[0]);
  if (script === 'run.begin' && argument(args, 'fencingToken') !== '') return 'run.begin with purchase.mark';
  // Without a reason it only writes how far the follower is.
  return script === 'run.append' && argument(args, 'reason') === '' ? 'run.append of events' : script;
}

/** What a call of a script has for one of its named arguments. */
function argument(args, name) {
  const keyCount = Number(args[1]);
  return args[2 + keyCount + scriptOf(args).args.indexOf(name)];
}

/** The key that a call of a script has under one of its names. */
function keyOf(args, name) {
  return args[2 + scriptOf(args).keys.indexOf(name)];
}

function scriptOf(args) {
  return SCRIPTS.find(({ sha, lua }) => sha === args[0] || lua === args[0]);
}

/** As if the lock's time were over: after the end of the record, and before BullMQ is told of it for the first time. */
async function runOutOfLock(number) {
  const lock = locks.get(number);
  locks.delete(number);
  if (runsOutOfLocks && lock !== undefined) await admin.del(lock);
}

/** Every word of a command that may be an id, alone or at the end of a key. */
function wordsOf({ args }) {
  return args.filter((word) => typeof word === 'string').flatMap((word) => [word, word.split(':').at(-1)]);
}

function watchRedis() {
  const { sendCommand } = Redis.prototype;
  Redis.prototype.sendCommand = function (command, stream) {
    const effect = effectOf(command);
    const about = numberOfOneOf(wordsOf(command));
    if (effect === 'run.append of events' && held.has(about)) return NEVER;
    const isNoPlace =
      OF_QUOTAS.test(effect) || [BY_THE_CLOCK, ABOUT_MANY].some((effects) => effects.has(effect));
    const number = isNoPlace ? undefined : about;
    if (number !== undefined) {
      // The worker can cancel the response from here on.
      if (effect === 'purchase.store') numbers.set(argument(command.args, 'responseId'), number);
      if (reach(number, `before ${effect}`)) return NEVER;
      if (effect === 'run.finish') locks.set(number, keyOf(command.args, 'lock'));
    }
    const answer =
      effect === 'moveToFinished'
        ? runOutOfLock(number).then(() => sendCommand.call(this, command, stream))
        : sendCommand.call(this, command, stream);
    const mayTake = effect?.startsWith('moveTo');
    if (number === undefined && !mayTake) return answer;
    return answer.then((reply) => {
      const isHeld = number !== undefined && reach(number, `after ${effect}`);
      if (mayTake && bringsJob(reply)) return isTakenAndHeld(reply) ? NO_JOB : reply;
      return isHeld ? NEVER : reply;
    });
  };
}

function bringsJob(reply) {
  return Array.isArray(reply) && Array.isArray(reply[0]);
}

/** What is held as soon as it is taken is kept from the worker, which goes on without it: the reply may be about two jobs. */
function isTakenAndHeld([fields, id]) {
  const number = numberIn(String(fields[fields.indexOf('name') + 1]));
  if (number === undefined) return false;
  numbers.set(id, number);
  return reach(number, 'after moveToActive');
}

function watchUpstream() {
  const { dispatch } = Agent.prototype;
  Agent.prototype.dispatch = function (options, handler) {
    const responseId = options.path.split(/[/?]/)[3];
    const number = numberIn(options.body ?? '') ?? numbers.get(responseId);
    if (number === undefined) return dispatch.call(this, options, handler);
    const path = options.path.replace(responseId, ':id').replace(/starting_after=\d+/, 'starting_after=N');
    const call = `${options.method} ${path}`;
    return reach(number, `before ${call}`) || dispatch.call(this, options, untilHeld(handler, number, call));
  };
}

function untilHeld(handler, number, call) {
  const unlessHeld =
    (name) =>
    (...values) =>
      held.has(number) || handler[name](...values);
  return {
    onRequestStart: unlessHeld('onRequestStart'),
    onResponseStart: (controller, status, ...rest) =>
      reach(number, `after ${call} ${status}`) || handler.onResponseStart(controller, status, ...rest),
    onResponseData: unlessHeld('onResponseData'),
    onResponseEnd: unlessHeld('onResponseEnd'),
    onResponseError: unlessHeld('onResponseError'),
  };
}

const admin = new Redis(workerOptions.redisUrl);
learnScriptNames();
watchRedis();
watchUpstream();
const worker = startWorker({
  ...workerOptions,
  logger: createLogger({ level: 'fatal', secrets: [], pretty: false }),
});
process.stdin.once('data', () => void worker.drain());
// Its test is gone.
process.stdin.once('end', () => process.exit());
process.stdout.write('"ready"\n');
