// Replaces the wall clock of a process: `node --import movable-clock.mjs …`. The clock is off by O3_TEST_CLOCK_MS
// (ms) from the start, or by the number that the parent has sent last. Timers and `performance` stay right, as they
// do when somebody sets the clock of a machine.
const RealDate = Date;
let offMs = Number(process.env.O3_TEST_CLOCK_MS ?? 0);
process.on('message', (message) => {
  if (typeof message !== 'number') return;
  offMs = message;
  process.send?.('moved');
});
process.channel?.unref();

globalThis.Date = class MovableDate extends RealDate {
  constructor(...args) {
    if (args.length === 0) super(RealDate.now() + offMs);
    else super(...args);
  }
  static now() {
    return RealDate.now() + offMs;
  }
};
