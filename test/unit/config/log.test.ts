import { createLogger } from '../../../src/process/log.ts';

const SECRET = 'sk-proj-0123456789';

function logged(
  secrets: readonly string[],
  level = 'debug',
): { logger: ReturnType<typeof createLogger>; lines: string[] } {
  const lines: string[] = [];
  const destination = { write: (line: string) => void lines.push(line) };
  return { logger: createLogger({ level, secrets, pretty: false, destination }), lines };
}

it('the log writes one JSON object per line, with the time and the name of the level', () => {
  const { logger, lines } = logged([]);
  logger.info({ job: 'job_1' }, 'completed');
  logger.child({ model: 'o3' }).warn('retried');
  expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual([
    { level: 'info', time: expect.stringMatching(/^\d{4}-.*Z$/), job: 'job_1', msg: 'completed' },
    { level: 'warn', time: expect.any(String), model: 'o3', msg: 'retried' },
  ]);
  expect(lines.every((line) => line.endsWith('\n') && line.trimEnd().split('\n').length === 1)).toBe(true);
});

it('the log writes nothing below its level', () => {
  const { logger, lines } = logged([], 'warn');
  logger.info('not this');
  logger.debug('nor this');
  logger.error('this');
  expect(lines).toHaveLength(1);
});

it('the log masks a secret anywhere in a line', () => {
  const { logger, lines } = logged([SECRET]);
  const error = Object.assign(new Error(`401 for ${SECRET}`), {
    headers: { authorization: `Bearer ${SECRET}` },
  });
  logger.info(SECRET);
  logger.info({ [SECRET]: 1 }, 'as a name');
  logger.info({ deep: [{ key: `x${SECRET}y` }] }, 'inside');
  logger.error({ err: error }, 'an error');
  logger.error(error);
  logger.child({ key: SECRET }).info('of a child');
  logger.info('%s and %j', SECRET, { SECRET });
  expect(lines).toHaveLength(7);
  expect(lines.join('')).not.toContain(SECRET);
  expect(lines.every((line) => line.includes('***'))).toBe(true);
  for (const line of lines) expect(() => JSON.parse(line) as unknown).not.toThrow();
});

it.each(['with "quotes"', 'back\\slash', 'täb\tand ümläut', 'line\nbreak'])(
  'the log masks the secret %j in the spelling of JSON too',
  (secret) => {
    const { logger, lines } = logged([secret]);
    logger.info({ url: `redis://:${secret}@host` }, `password ${secret}`);
    expect(lines.join('')).not.toContain(JSON.stringify(secret).slice(1, -1));
    expect(lines.join('')).not.toContain(secret);
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({ url: 'redis://:***@host', msg: 'password ***' });
  },
);

it('the log masks two secrets with the same beginning whole', () => {
  const { logger, lines } = logged(['hunter2', 'hunter2-and-more']);
  logger.info('hunter2-and-more, hunter2');
  expect(JSON.parse(lines[0] ?? '')).toMatchObject({ msg: '***, ***' });
});

it('the log does not mask ordinary words because of a very short secret', () => {
  const { logger, lines } = logged(['a', 'ok', '']);
  logger.info('all is ok');
  expect(JSON.parse(lines[0] ?? '')).toMatchObject({ level: 'info', msg: 'all is ok' });
});
