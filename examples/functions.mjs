// The seven functions, made for a REPL: they answer with { ok, … } and never throw for a job's fate.
import {
  askO3,
  askO3Async,
  cancelO3,
  checkO3Status,
  getO3Result,
  listO3Tasks,
  showO3Progress,
} from 'o3-queue';

const started = await askO3Async('Why is the sky blue?');
if (!started.ok) throw new Error(started.error);
console.log(await checkO3Status(started.data));

console.log(await askO3('Why is the sea blue?', undefined, { timeout: 60 }));
console.log(await getO3Result(started.data));

const second = await askO3Async('Why is grass not blue?');
if (second.ok) console.log(await cancelO3(second.data));
console.log(await listO3Tasks());
await showO3Progress();
