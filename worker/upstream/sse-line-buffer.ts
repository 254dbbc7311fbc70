import { Response } from 'undici';

const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;

/**
 * Holds back what cannot end an event until the rest of its line is there. The SDK copies and searches all that it has of an
 * unfinished event with each piece that comes: 8 s of computing for the last events of an answer of 8 MB, which arrive in hundreds.
 */
export function inWholeLines(reply: Response): Response {
  if (reply.body === null) return reply;
  const held: Uint8Array[] = [];
  const lines = new TransformStream<Uint8Array, Uint8Array>({
    transform(piece, controller) {
      held.push(piece);
      if (!piece.includes(LINE_FEED) && !piece.includes(CARRIAGE_RETURN)) return;
      controller.enqueue(held.length === 1 ? piece : Buffer.concat(held));
      held.length = 0;
    },
    flush(controller) {
      if (held.length > 0) controller.enqueue(Buffer.concat(held));
    },
  });
  return new Response(reply.body.pipeThrough(lines), reply);
}
