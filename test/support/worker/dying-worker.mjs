// A worker that stops before its death where it is told to: each of its jobs at a place of its own, so that one SIGKILL shows what all of them leave
// behind. Runs the compiled code: Node 20 reads no TypeScript.
//
// A place is just before something about the job leaves the process (a command to Redis, a call to the upstream), or just after its answer has come
// back and before anybody in the process has seen it. A job whose question says "place 7" is held at the seventh: nothing about it is sent or
// heard from then on, as if the process had died there. Told on stdout, a line each: {"place": 7, "name": "before finish", "held": true}.
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

/** By place: the names of the places that were passed. */
const trails = new Map();
const held = new Set();
/** By job id and by response id: the place where it is to be held. */
const places = new Map();
const scriptNames = new Map();
/** By place, if locks run out before BullMQ is told of an end: the key of the lock, from the end of the record on. */
const locks = new Map();

/** @returns whether the job is to go no further. */
function reach(place, name) {
  if (held.has(place)) return true;
  const trail = trails.get(place) ?? [];
  trails.set(place, trail);
  // Sent again as a whole, because Redis did not know the script yet.
  if (trail.at(-1) === name) return false;
  if (trail.length === place) held.add(place);
  trail.push(name);
  process.stdout.write(`${JSON.stringify({ place, name, held: held.has(place) })}\n`);
  return held.has(place);
}

function placeIn(text) {
  const [, place] = /place (\d+)\?/.exec(text) ?? [];
  return place === undefined ? undefined : Number(place);
}

function placeOfOneOf(words) {
  return places.get(words.find((word) => places.has(word)));
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
async function runOutOfLock(place) {
  const lock = locks.get(place);
  locks.delete(place);
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
    const about = placeOfOneOf(wordsOf(command));
    if (effect === 'run.append of events' && held.has(about)) return NEVER;
    const isNoPlace =
      OF_QUOTAS.test(effect) || [BY_THE_CLOCK, ABOUT_MANY].some((effects) => effects.has(effect));
    const place = isNoPlace ? undefined : about;
    if (place !== undefined) {
      // The worker can cancel the response from here on.
      if (effect === 'purchase.store') places.set(argument(command.args, 'responseId'), place);
      if (reach(place, `before ${effect}`)) return NEVER;
      if (effect === 'run.finish') locks.set(place, keyOf(command.args, 'lock'));
    }
    const answer =
      effect === 'moveToFinished'
        ? runOutOfLock(place).then(() => sendCommand.call(this, command, stream))
        : sendCommand.call(this, command, stream);
    const mayTake = effect?.startsWith('moveTo');
    if (place === undefined && !mayTake) return answer;
    return answer.then((reply) => {
      const isHeld = place !== undefined && reach(place, `after ${effect}`);
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
  const place = placeIn(String(fields[fields.indexOf('name') + 1]));
  if (place === undefined) return false;
  places.set(id, place);
  return reach(place, 'after moveToActive');
}

function watchUpstream() {
  const { dispatch } = Agent.prototype;
  Agent.prototype.dispatch = function (options, handler) {
    const responseId = options.path.split(/[/?]/)[3];
    const place = placeIn(options.body ?? '') ?? places.get(responseId);
    if (place === undefined) return dispatch.call(this, options, handler);
    const call = `${options.method} ${options.path.replace(responseId, ':id')}`;
    return reach(place, `before ${call}`) || dispatch.call(this, options, untilHeld(handler, place, call));
  };
}

function untilHeld(handler, place, call) {
  const unlessHeld =
    (name) =>
    (...values) =>
      held.has(place) || handler[name](...values);
  return {
    onRequestStart: unlessHeld('onRequestStart'),
    onResponseStart: (controller, status, ...rest) =>
      reach(place, `after ${call} ${status}`) || handler.onResponseStart(controller, status, ...rest),
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
