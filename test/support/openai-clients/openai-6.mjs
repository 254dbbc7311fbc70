import OpenAI from 'openai6';
import { zodResponseFormat, zodTextFormat } from 'openai6/helpers/zod';
import { createOf } from './openai.mjs';

export default createOf({ OpenAI, zodResponseFormat, zodTextFormat });
