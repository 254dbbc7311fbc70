import { isUtf8 } from 'node:buffer';
import express, { type RequestHandler } from 'express';

/** Room for pictures and files in a request. */
const LIMIT = '10mb';

/** A body of JSON, as it was sent or not at all. */
export function jsonBody(): RequestHandler {
  return express.json({
    limit: LIMIT,
    // `strict` would call a lone `null` malformed JSON; what it lacks is the form of a request.
    strict: false,
    // The decoder puts a mark in the place of each byte that is no UTF-8: something else would be stored, and bought, than was asked.
    verify: (_request, _response, bytes, encoding) => {
      if (encoding === 'utf-8' && !isUtf8(bytes)) throw new Error('it has bytes that are none');
    },
  });
}
